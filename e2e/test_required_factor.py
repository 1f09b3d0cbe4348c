"""An admin requires a second factor: a member sets one up and returns to the page they opened."""

from __future__ import annotations

import pyotp
from playwright.sync_api import Page, expect

from e2e.conftest import SignIn, toasts
from e2e.test_accessibility import violations

ACME = "/account/acme"


def set_up_authenticator(page: Page) -> None:
    """Set up an authenticator app, and confirm that the recovery codes are stored."""
    page.get_by_role("link", name="Set up an authenticator app").click()
    secret = page.locator("main code.text-break").inner_text().replace(" ", "")
    page.get_by_label("Code that the app shows").fill(pyotp.TOTP(secret).now())
    page.get_by_role("button", name="Add authenticator app").click()
    page.get_by_role("link", name="I’ve stored the codes").click()


def test_an_admin_requires_a_second_factor_and_a_member_sets_one_up(sign_in: SignIn) -> None:
    admin, member = sign_in("account", color_scheme="light"), sign_in("environment")
    member.goto("/environment/acme/production/images?q=noble")
    admin.goto(f"{ACME}/members")
    admin.get_by_role("link", name="Require a second factor").click()
    expect(admin.get_by_role("alert")).to_contain_text(
        "Only people with a second factor can require one"
    )
    assert not violations(admin)
    admin.get_by_role("link", name="Set up a second factor").click()
    set_up_authenticator(admin)
    expect(admin.locator("main")).to_contain_text("will not count")
    assert not violations(admin)
    admin.get_by_role("button", name="Require a second factor").click()
    expect(toasts(admin)).to_contain_text("now requires a second factor")
    expect(admin.get_by_text("No second factor").first).to_be_visible()
    assert not violations(admin)

    # A request of HTMX leaves the page as it is, with what was typed.
    member.get_by_label("Search images").fill("noble os:ubuntu")
    member.keyboard.press("Enter")
    expect(toasts(member)).to_contain_text("You need a second factor to continue")
    expect(member.get_by_label("Search images")).to_have_value("noble os:ubuntu")
    member.reload()
    expect(member.get_by_role("heading", level=1)).to_have_text(
        "You need a second factor to continue"
    )
    assert not violations(member)
    member.get_by_role("link", name="Set up a second factor").click()
    assert not violations(member)
    set_up_authenticator(member)
    expect(member.get_by_label("Search images")).to_have_value("noble")

    member.goto("/security/authenticator/remove")
    expect(member.locator("main")).to_contain_text("because an admin requires one")
    assert not violations(member)
    admin.goto(f"{ACME}/members")
    admin.get_by_role("link", name="Stop requiring a second factor").click()
    admin.get_by_role("button", name="Stop requiring a second factor").click()
    expect(toasts(admin)).to_contain_text("no longer requires a second factor")
