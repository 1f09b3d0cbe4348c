"""Two people edit one image at the same time; the second compares both versions."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from e2e.conftest import PHONE, SignIn, register, tab_to, toasts
from e2e.sandbox_amis import DEBIAN, NOBLE, OWN, WINDOWS, Ami


def open_edit_forms(sign_in: SignIn, ami: Ami, name: str, **options: object) -> tuple[Page, Page]:
    """Register an image, and open its edit form twice.

    Return the form of the person who saves second, and the form of the person who saves first.
    """
    first, second = sign_in("scalr"), sign_in("account", **options)
    register(second, "/account/acme", ami.id, ami.location, name=name)
    second.get_by_role("link", name="Edit", exact=True).click()
    first.goto(second.url)
    return second, first


def save(page: Page, **fields: str) -> None:
    for label, value in fields.items():
        page.get_by_label(label, exact=True).fill(value)
    page.get_by_role("button", name="Save changes").click()


def save_first(page: Page) -> None:
    page.get_by_label("Shared", exact=True).uncheck()
    save(page, Name="their name")
    expect(toasts(page)).to_contain_text("Changes saved.")


def test_both_versions_are_combined_with_the_keyboard(sign_in: SignIn) -> None:
    second, first = open_edit_forms(sign_in, OWN, "combined one")
    save_first(first)
    save(second, Size="40")
    expect(second.locator("main .alert-warning")).to_be_focused()
    expect(second.locator("main .alert-warning")).to_contain_text(
        "Your changes in the form haven’t been saved yet."
    )
    expect(second.get_by_role("radio", name="Name: their version")).to_be_checked()
    expect(second.get_by_role("radio", name="Size: your version")).to_be_checked()
    tab_to(second, "[name=version-name]")
    second.keyboard.press("ArrowRight")
    expect(second.get_by_role("radio", name="Name: your version")).to_be_checked()
    tab_to(second, "button.btn-primary")
    second.keyboard.press("Enter")
    expect(toasts(second)).to_contain_text("Changes saved.")
    expect(second.get_by_role("heading", name="combined one")).to_be_visible()
    expect(second.get_by_text("40 GB", exact=True)).to_be_visible()
    expect(second.get_by_text("No, visible only at Account acme")).to_be_visible()


@pytest.mark.parametrize(
    ("button", "name", "ami"),
    [("Keep all of mine", "mine", NOBLE), ("Keep all of theirs", "their name", DEBIAN)],
)
def test_one_version_is_kept_without_javascript_on_a_phone(
    sign_in: SignIn, button: str, name: str, ami: Ami
) -> None:
    second, first = open_edit_forms(sign_in, ami, "both", java_script_enabled=False, viewport=PHONE)
    save_first(first)
    save(second, Name="mine")
    keep_button = second.get_by_role("button", name=button)
    expect(keep_button).to_be_visible()
    width = second.evaluate("document.documentElement.scrollWidth")
    assert width <= PHONE["width"]
    keep_button.click()
    expect(second.get_by_role("heading", name=name)).to_be_visible()


def test_a_deletion_shows_what_changed_since_the_page_was_opened(sign_in: SignIn) -> None:
    second, first = open_edit_forms(sign_in, WINDOWS, "deleted one")
    second.goto(second.url.replace("/edit", "/delete"))
    save_first(first)
    second.get_by_role("button", name="Delete image").click()
    expect(second.locator("main .alert-warning")).to_contain_text(
        "Some values have changed since you opened"
    )
    expect(second.locator("main .alert-warning")).to_contain_text("their name")
    second.get_by_role("button", name="Delete image").click()
    expect(toasts(second)).to_contain_text("deleted")
