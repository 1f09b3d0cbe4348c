"""Signing in and returning to the requested page, signing out, passwords, theme and scopes."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from e2e.conftest import PASSWORD, PHONE, OpenPage, SignIn, toasts

PHONE_OPTIONS = {
    "viewport": PHONE,
    "user_agent": (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 "
        "(KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
    ),
}


@pytest.mark.firefox
def test_signing_in_and_out(open_page: OpenPage) -> None:
    page = open_page()
    page.goto("/environment/acme/production/images?q=noble")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_label("E-mail")).to_be_focused()
    page.get_by_label("E-mail").fill("environment@example.com")
    page.get_by_label("Password").fill("something else")
    page.keyboard.press("Enter")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("Incorrect e-mail address or password")
    expect(alert).to_be_focused()
    expect(page.get_by_label("E-mail")).to_have_value("environment@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_label("Search images")).to_have_value("noble")
    page.locator("summary[aria-label='Eden Environment']").click()
    page.get_by_role("button", name="Sign out").click()
    expect(toasts(page)).to_contain_text("signed out")
    page.goto("/environment/acme/production/images")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_new_password_ends_the_other_session(sign_in: SignIn) -> None:
    here, elsewhere = sign_in("globex"), sign_in("globex")
    here.goto("/password")
    here.get_by_label("Current password").fill(PASSWORD)
    here.get_by_label("New password").fill("a whole new password")
    here.get_by_role("button", name="Change password").click()
    expect(toasts(here)).to_contain_text("Password changed")
    elsewhere.reload()
    expect(elsewhere.get_by_role("heading", name="Sign in")).to_be_visible()


def test_other_browsers_are_signed_out_on_the_page_sessions(sign_in: SignIn) -> None:
    here, phone = sign_in("environment"), sign_in("environment", **PHONE_OPTIONS)
    lost = sign_in("environment")
    here.locator("summary[aria-label='Eden Environment']").click()
    here.get_by_role("link", name="Sessions").click()
    rows = here.get_by_role("row")
    expect(rows).to_have_count(4)
    expect(rows.filter(has_text="This browser")).to_contain_text("Chrome on Linux")
    expect(rows.filter(has_text="Safari on iPhone")).to_have_count(1)
    expect(rows.nth(2).locator("time").first).not_to_contain_text("UTC")
    here.get_by_role("link", name="Sign out of Chrome on Linux").click()
    here.get_by_role("button", name="Sign out").click()
    expect(toasts(here)).to_contain_text("Signed out of Chrome on Linux.")
    lost.reload()
    expect(lost.get_by_role("heading", name="Sign in")).to_be_visible()
    phone.goto("/sessions")
    phone.get_by_role("link", name="Sign out everywhere else").click()
    phone.get_by_role("button", name="Sign out everywhere else").click()
    expect(phone.locator("main")).to_contain_text("You’re signed in only in this browser.")
    here.reload()
    expect(here.get_by_role("heading", name="Sign in")).to_be_visible()


def test_the_theme_and_the_scope_can_be_switched(sign_in: SignIn) -> None:
    page = sign_in("account", color_scheme="light")
    theme = page.locator("summary[aria-label^='Theme']")
    theme.click()
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    theme.click()
    page.get_by_role("button", name="System").click()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "light")
    page.locator("summary", has_text="Account acme").click()
    expect(page.get_by_role("link", name="staging")).to_be_visible()
    page.get_by_label("Filter scopes").fill("prod")
    expect(page.get_by_role("link", name="staging")).to_have_count(0)
    page.get_by_role("link", name="production").click()
    expect(page).to_have_url("/environment/acme/production/images")


FILL_AS_SOON_AS_IT_APPEARS = """
new MutationObserver(() => {
  const box = document.getElementById("scope-filter");
  if (!box || box.value) return;
  box.value = "prod";
  box.dispatchEvent(new Event("input", { bubbles: true }));
}).observe(document.body, { childList: true, subtree: true });
"""


def test_a_text_typed_before_htmx_listens_to_the_scope_filter_is_searched(sign_in: SignIn) -> None:
    page = sign_in("account")
    page.evaluate(FILL_AS_SOON_AS_IT_APPEARS)
    page.locator("summary", has_text="Account acme").click()
    expect(page.get_by_role("link", name="production")).to_be_visible()
    expect(page.get_by_role("link", name="staging")).to_have_count(0)
