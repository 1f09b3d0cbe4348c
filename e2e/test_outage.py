"""The database disappears while a person works: nothing that they entered is lost."""

from __future__ import annotations

from contextlib import suppress

from playwright.sync_api import Locator, expect
from playwright.sync_api import TimeoutError as BrowserTimeout

from e2e.conftest import OpenPage, SignIn, Site, toasts
from e2e.sandbox_amis import NOBLE

UNREACHABLE = "The registry can’t reach its database"
RECOVERY_ATTEMPTS = 15
"""The maximum number of attempts after an outage.

The first attempts can fail, because PgBouncer needs a moment after the database works again."""
ATTEMPT_MS = 1_000


def press_until_visible(button: Locator, result: Locator) -> None:
    """Press the button until the application works again and shows `result`."""
    for _ in range(RECOVERY_ATTEMPTS):
        with suppress(BrowserTimeout):
            button.click(timeout=ATTEMPT_MS)
            result.wait_for(timeout=ATTEMPT_MS)
            break
    expect(result).to_be_visible()


def test_a_form_sent_during_an_outage_can_be_sent_again(
    sign_in: SignIn, running_site: Site
) -> None:
    page = sign_in("scalr")
    page.goto("/scalr/accounts")
    page.get_by_label("Name").fill("Made during an outage")
    with running_site.without_database():
        page.get_by_role("button", name="Create account").click()
        expect(page.get_by_role("heading", name=UNREACHABLE)).to_be_visible()
        expect(page.get_by_text("Nothing was saved.")).to_be_visible()
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_role("heading", name=UNREACHABLE)).to_be_visible()
    press_until_visible(
        page.get_by_role("button", name="Try again"),
        page.get_by_role("link", name="Made during an outage").first,
    )
    expect(page).to_have_url("/scalr/accounts")


def test_a_toast_during_an_outage_leaves_what_was_typed(
    sign_in: SignIn, running_site: Site
) -> None:
    page = sign_in("account")
    page.goto("/account/acme/images/new/aws")
    page.wait_for_load_state("networkidle")
    page.get_by_label("Location").select_option(NOBLE.location)
    field = page.get_by_label("Cloud Image ID")
    field.fill(NOBLE.id)
    with running_site.without_database():
        page.get_by_role("button", name="NEXT").click()
        expect(toasts(page)).to_contain_text(UNREACHABLE)
        expect(field).to_have_value(NOBLE.id)
    press_until_visible(
        page.get_by_role("button", name="NEXT"), page.get_by_role("button", name="REGISTER")
    )


def test_signing_in_during_an_outage_keeps_the_e_mail_address(
    open_page: OpenPage, running_site: Site
) -> None:
    page = open_page()
    page.goto("/sign-in")
    page.get_by_label("E-mail").fill("account@example.com")
    page.get_by_label("Password").fill("demonstration")
    with running_site.without_database():
        page.get_by_role("button", name="Sign in", exact=True).click()
        expect(page.get_by_role("heading", name=UNREACHABLE)).to_be_visible()
    press_until_visible(page.get_by_role("button", name="Try again"), page.get_by_label("E-mail"))
    expect(page.get_by_label("E-mail")).to_have_value("account@example.com")
