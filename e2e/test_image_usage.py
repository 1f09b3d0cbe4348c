"""The panel “Use it” on the page of an image."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from e2e.conftest import PHONE, SignIn, register, tab_to
from e2e.sandbox_amis import NOBLE
from e2e.test_accessibility import violations

SUMMARY = ".usage > summary"


def open_image(page: Page) -> None:
    """Open the page of an image, and register the image first if necessary."""
    page.goto(f"/account/acme/images?q={NOBLE.id}")
    if page.locator("#results tbody tr").count():
        page.locator("#results tbody a").first.click()
    else:
        register(page, "/account/acme", NOBLE.id, NOBLE.location)
    expect(page.get_by_role("heading", name="Use it")).to_be_visible()


def example(page: Page, tool: str) -> Locator:
    return page.get_by_role("group", name=tool, exact=True)


def test_an_example_is_copied_with_the_keyboard(sign_in: SignIn) -> None:
    page = sign_in("account", permissions=["clipboard-read", "clipboard-write"])
    open_image(page)
    expect(example(page, "Terraform")).to_be_hidden()
    tab_to(page, SUMMARY)
    page.keyboard.press("Enter")
    expect(example(page, "Terraform")).to_contain_text(NOBLE.id)
    tab_to(page, "[aria-label='Copy the example for AWS CLI']")
    page.keyboard.press("Enter")
    command = f"aws ec2 describe-images --region {NOBLE.location} --image-ids {NOBLE.id}"
    expect(page.locator(".copy.copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == command
    assert not violations(page)


def test_the_panel_opens_without_javascript_on_a_phone(sign_in: SignIn) -> None:
    page = sign_in("account", java_script_enabled=False, viewport=PHONE)
    open_image(page)
    page.locator(SUMMARY).click()
    expect(example(page, "curl")).to_contain_text("Authorization: Bearer $TOKEN")
    expect(example(page, "Ansible")).to_contain_text("amazon.aws.ec2_instance")
    expect(page.get_by_role("button", name="Copy the example for curl")).to_be_hidden()
