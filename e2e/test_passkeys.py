"""A person adds a passkey and signs in with it. Chromium's virtual authenticator is the device."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import CDPSession, Page, expect

from e2e.conftest import PASSWORD, OpenPage, SignIn, Site, one_server, toasts
from e2e.test_accessibility import violations
from tests.postgresql import free_port

DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("site")


@pytest.fixture(scope="module")
def running_site(sandbox: Path, folder: Path) -> Iterator[Site]:
    port = free_port()
    url = f"http://localhost:{port}"
    with one_server(folder, sandbox, port, PUBLIC_URL=url) as site:
        yield Site(url, site.without_database)


@pytest.fixture(scope="module")
def database(folder: Path) -> Path:
    return folder / "registry.db"


def age_sessions(database: Path) -> None:
    """Make the last confirmation of all sessions an hour old, so that people must confirm again."""
    with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        connection.execute("UPDATE sign_in_session SET confirmed_at = datetime('now', '-1 hour')")


def add_device(page: Page) -> tuple[CDPSession, str]:
    """Give the page a virtual authenticator, and return its session and ID."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    added = session.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})
    return session, added["authenticatorId"]


def add_passkey(page: Page, name: str) -> None:
    """Add a passkey with the Enter key, which does what the button does."""
    page.goto("/security")
    page.get_by_role("link", name="Add a passkey").click()
    expect(page.get_by_role("heading", name="Add a passkey")).to_be_visible()
    assert not violations(page)
    page.get_by_label("Name").fill(name)
    page.get_by_label("Name").press("Enter")


def test_a_passkey_is_added_and_signs_in(sign_in: SignIn, database: Path) -> None:
    page = sign_in("account")
    session, device = add_device(page)
    add_passkey(page, "Work laptop")
    expect(page.get_by_role("heading", name="Your recovery codes")).to_be_visible()
    assert not violations(page)
    page.get_by_role("link", name="I’ve stored the codes").click()
    expect(page.get_by_role("cell", name="Work laptop Passkey")).to_be_visible()
    assert not violations(page)
    add_passkey(page, "The same laptop")
    expect(page.locator("[data-passkey-note]")).to_contain_text("already has a passkey")

    sign_out(page)
    page.goto("/sign-in?next=/account/acme/views")
    assert not violations(page)
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page).to_have_url(re.compile("^[^?]*/account/acme/views$"))

    page.goto("/security")
    page.get_by_role("link", name="Rename the passkey Work laptop").click()
    expect(page.get_by_label("Name")).to_be_visible()
    assert not violations(page)
    page.get_by_label("Name").fill("Laptop")
    page.get_by_role("button", name="Rename").click()
    expect(toasts(page)).to_contain_text("Passkey renamed")

    sign_out(page)
    page.get_by_label("E-mail").fill("account@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", name="Use your passkey")).to_be_visible()
    assert not violations(page)
    session.send("WebAuthn.setUserVerified", {"authenticatorId": device, "isUserVerified": False})
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.locator("[data-passkey-note]")).to_contain_text("No passkey was used")
    session.send("WebAuthn.setUserVerified", {"authenticatorId": device, "isUserVerified": True})
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("heading", name="Images", exact=True)).to_be_visible()

    age_sessions(database)
    page.goto("/account/acme/credentials/new")
    expect(page.get_by_role("heading", name="Confirm that it’s you")).to_be_visible()
    assert not violations(page)
    page.get_by_role("button", name="Use a passkey").click()
    expect(page).to_have_url(re.compile("^[^?]*/credentials/new$"))

    page.goto("/security")
    page.get_by_role("link", name="Remove the passkey Laptop").click()
    expect(page.get_by_role("heading", name="Remove this passkey?")).to_be_visible()
    assert not violations(page)
    page.get_by_role("button", name="Remove passkey").click()
    expect(toasts(page)).to_contain_text("Passkey removed")


def sign_out(page: Page) -> None:
    page.locator("summary[aria-label='Alex Account']").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_passkey_can_be_used_again_after_an_outage(
    open_page: OpenPage, running_site: Site
) -> None:
    page = open_page()
    add_device(page)
    page.goto("/sign-in")
    note = page.locator("[data-passkey-note]")
    button = page.get_by_role("button", name="Sign in with a passkey")
    with running_site.without_database():
        button.click()
        expect(note).to_have_text(
            "The registry can’t do this at the moment. Try again in a minute."
        )
    button.click()
    expect(note).to_contain_text("No passkey was used")


def test_without_javascript_or_a_passkey_the_page_says_what_to_do(open_page: OpenPage) -> None:
    page = open_page(java_script_enabled=False)
    page.goto("/sign-in")
    expect(page.get_by_text("To sign in with a passkey, turn on JavaScript.")).to_be_visible()
    expect(page.get_by_role("button", name="Sign in with a passkey")).to_be_hidden()
    other = open_page()
    add_device(other)
    other.goto("/sign-in")
    button = other.get_by_role("button", name="Sign in with a passkey")
    button.focus()
    button.press("Enter")
    expect(other.locator("[data-passkey-note]")).to_contain_text("No passkey was used")
    expect(button).to_be_focused()
    expect(button).not_to_have_attribute("aria-busy", "true")
