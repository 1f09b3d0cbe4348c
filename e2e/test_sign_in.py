"""Signing in and returning to the requested page, signing out, passwords, theme and scopes."""

from __future__ import annotations

from playwright.sync_api import expect

from e2e.conftest import PASSWORD, OpenPage, SignIn, toasts


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
