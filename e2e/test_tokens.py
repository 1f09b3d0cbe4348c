"""API tokens: created, shown once, rotated and revoked, with a keyboard and without JavaScript."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from e2e.conftest import PHONE, SignIn, tab_to, toasts
from e2e.test_accessibility import violations

TEXT = re.compile(r"^imr_[0-9a-z]{12}_[0-9A-Za-z]{38}$")
ACME = "/account/acme/tokens"


def create(page: Page, url: str, name: str) -> str:
    """Create a token with the default values, and return its text."""
    page.goto(url)
    page.get_by_role("link", name="New token").click()
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Create token").click()
    text = page.locator("#new-token")
    expect(text).to_have_text(TEXT)
    return text.inner_text()


def test_a_new_token_is_shown_once_and_can_be_copied(sign_in: SignIn) -> None:
    page = sign_in("account", permissions=["clipboard-read", "clipboard-write"])
    text = create(page, "/tokens", "laptop")
    page.get_by_role("button", name="Copy the token").click()
    assert page.evaluate("navigator.clipboard.readText()") == text
    page.get_by_role("link", name="I’ve stored the token").click()
    expect(page.get_by_role("row", name="laptop")).to_contain_text("Never")
    assert text not in page.content()


def test_a_token_is_created_rotated_and_revoked_by_keyboard(sign_in: SignIn) -> None:
    page = sign_in("account")
    page.goto(ACME)
    tab_to(page, "main a.btn-primary")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Name")).to_be_focused()
    page.keyboard.type("pipeline")
    tab_to(page, "input[name=role]:checked")
    page.keyboard.press("ArrowDown")
    tab_to(page, "textarea")
    page.keyboard.type("10.0.0.0/40")
    tab_to(page, "main button.btn-primary")
    page.keyboard.press("Enter")
    expect(page.get_by_label("IP networks")).to_be_focused()
    expect(page.get_by_label("Editor")).to_be_checked()
    page.keyboard.press("Control+A")
    page.keyboard.type("10.0.0.0/8")
    tab_to(page, "main button.btn-primary")
    page.keyboard.press("Enter")
    expect(page.locator(".new-token")).to_be_focused()
    first = page.locator("#new-token").inner_text()
    tab_to(page, "main a.btn-primary")
    page.keyboard.press("Enter")
    expect(page.get_by_role("row", name="pipeline")).to_contain_text("Only from 10.0.0.0/8")
    tab_to(page, "main td a")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Rotate pipeline")).to_be_visible()
    tab_to(page, "main button.btn-primary")
    page.keyboard.press("Enter")
    expect(page.locator("#new-token")).not_to_have_text(first)
    page.goto(ACME)
    tab_to(page, "main a.btn-outline-danger")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Revoke pipeline")).to_be_visible()
    tab_to(page, "main button.btn-danger")
    page.keyboard.press("Enter")
    expect(toasts(page)).to_contain_text("Token “pipeline” revoked.")
    expect(page.get_by_role("heading", name="Account acme has no API tokens")).to_be_visible()


def test_a_token_is_created_on_a_phone_without_javascript(sign_in: SignIn) -> None:
    page = sign_in("environment", java_script_enabled=False, viewport=PHONE)
    page.locator("header details").last.click()
    page.get_by_role("link", name="Your API tokens").click()
    expect(page.get_by_role("heading", name="You have no API tokens")).to_be_visible()
    create(page, page.url, "phone")
    page.get_by_role("link", name="I’ve stored the token").click()
    page.get_by_role("link", name="Revoke phone").click()
    page.get_by_role("button", name="Revoke token").click()
    expect(page.get_by_role("heading", name="You have no API tokens")).to_be_visible()


def test_the_pages_of_tokens_are_accessible(sign_in: SignIn) -> None:
    page, found = sign_in("account", color_scheme="light"), set()
    page.goto(ACME)
    found |= violations(page)
    page.goto(f"{ACME}/new")
    page.get_by_role("button", name="Create token").click()
    expect(page.get_by_text("Enter a name.")).to_be_visible()
    found |= violations(page)
    page.get_by_label("Name").fill("a" * 64)
    page.get_by_label("IP networks").fill("2001:db8:aaaa:bbbb::/64 10.0.0.0/8 192.0.2.0/24")
    page.get_by_role("button", name="Create token").click()
    expect(page.locator("#new-token")).to_be_visible()
    found |= violations(page)
    page.goto(ACME)
    found |= violations(page)
    for name in ("Rotate", "Revoke"):
        page.goto(ACME)
        page.get_by_role("link", name=f"{name} aaa").click()
        expect(page.get_by_role("button", name=f"{name} token")).to_be_visible()
        found |= violations(page)
    page.goto("/tokens/new")
    found |= violations(page)
    assert not found
