"""Inviting a person with a one-time link; creating, renaming and deleting scopes."""

from __future__ import annotations

from playwright.sync_api import expect

from e2e.conftest import OpenPage, SignIn, toasts
from e2e.test_accessibility import violations


def test_an_invitation_link_works_once(sign_in: SignIn, open_page: OpenPage) -> None:
    admin = sign_in("environment", color_scheme="light")
    admin.goto("/environment/acme/production/members")
    admin.get_by_label("E-mail").fill("nora@example.com")
    admin.get_by_label("Role", exact=True).select_option("editor")
    admin.get_by_role("button", name="Create invitation link").click()
    link = admin.locator("#invitation-link").inner_text()
    assert not violations(admin)
    newcomer = open_page(color_scheme="light")
    newcomer.goto(link)
    newcomer.get_by_label("Your name").fill("Nora New")
    newcomer.get_by_label("Password").fill("short")
    newcomer.get_by_role("button", name="Accept").click()
    expect(newcomer.get_by_label("Your name")).to_have_value("Nora New")
    assert not violations(newcomer)
    newcomer.get_by_label("Password").fill("long enough to keep")
    newcomer.get_by_role("button", name="Accept").click()
    expect(toasts(newcomer)).to_contain_text("Welcome")
    expect(newcomer.get_by_role("link", name="New Image")).to_be_visible()
    again = open_page()
    again.goto(link)
    expect(again.get_by_role("heading")).to_have_text("This invitation is no longer valid")
    admin.reload()
    admin.goto("/environment/acme/production/members")
    admin.get_by_role("link", name="Remove Nora New").click()
    admin.get_by_role("button", name="Remove member").click()
    expect(admin.get_by_role("row", name="Nora New")).to_have_count(0)
    newcomer.reload()
    expect(newcomer.get_by_role("heading")).to_have_text("Page not found")


def test_an_environment_is_created_renamed_and_deleted(sign_in: SignIn) -> None:
    page = sign_in("account")
    page.goto("/account/acme/environments")
    page.get_by_label("Name").fill("Blue Green")
    page.get_by_role("button", name="Create").click()
    toasts(page).get_by_role("link", name="Environment acme / Blue Green").click()
    expect(page).to_have_url("/environment/acme/blue-green/images")
    page.goto("/account/acme/environments")
    page.get_by_role("link", name="Rename Blue Green").click()
    page.get_by_label("Name").fill("Canary")
    page.get_by_role("button", name="Rename").click()
    page.get_by_role("link", name="Delete Canary").click()
    expect(page.locator("main")).to_contain_text("0 registered images")
    page.get_by_label("Name").fill("canary")
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_label("Name")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Name").fill("Canary")
    page.get_by_role("button", name="Delete").click()
    expect(toasts(page)).to_contain_text("deleted")
