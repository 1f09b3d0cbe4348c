"""Mails that people act on: an invitation, and a link to choose a new password."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from e2e.conftest import OpenPage, SignIn, Site, one_server, toasts
from e2e.test_accessibility import violations
from tests.mail.server import HOST, MailServer, mail_server

NEW_PASSWORD = "seven purple otters juggle"
PUBLIC_URL = f"http://{HOST}"
"""The links in mails have no port, because this setting is needed before a port is chosen."""
MAIL_SECONDS = 30


@pytest.fixture(scope="module")
def mailbox() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


@pytest.fixture(scope="module")
def running_site(
    sandbox: Path, mailbox: MailServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    settings = {
        "SMTP_URL": f"smtp://{HOST}:{mailbox.port}",
        "MAIL_FROM": "registry@example.com",
        "PUBLIC_URL": PUBLIC_URL,
    }
    with one_server(tmp_path_factory.mktemp("site"), sandbox, **settings) as site:
        yield site


def link_to(mailbox: MailServer, recipient: str) -> str:
    """Wait for a mail with a link that works once, and return the path of the link."""
    end = time.monotonic() + MAIL_SECONDS
    while time.monotonic() < end:
        for message in mailbox.received:
            found = re.search(rf"{PUBLIC_URL}(/(?:in|res)\S+/\S+)", message.get_content())
            if message["To"] == recipient and found:
                return found[1]
        time.sleep(0.1)
    raise AssertionError(f"No mail to {recipient} with a link.")


def test_an_invitation_arrives_by_mail(
    sign_in: SignIn, open_page: OpenPage, mailbox: MailServer
) -> None:
    admin = sign_in("environment")
    admin.goto("/environment/acme/production/members")
    admin.get_by_label("E-mail").fill("nora@example.com")
    admin.get_by_role("button", name="Send invitation").click()
    expect(toasts(admin)).to_contain_text("We’ll send the invitation to")
    expect(admin.locator("#invitation-link")).to_have_count(0)
    newcomer = open_page(color_scheme="light")
    newcomer.goto(link_to(mailbox, "nora@example.com"))
    assert not violations(newcomer)
    newcomer.get_by_label("Your name").fill("Nora New")
    newcomer.get_by_label("Password").fill(NEW_PASSWORD)
    newcomer.get_by_role("button", name="Accept").click()
    expect(toasts(newcomer)).to_contain_text("Welcome")
    admin.reload()
    row = admin.get_by_role("row", name="Nora New")
    expect(row).to_be_visible()
    expect(row).not_to_contain_text("Address not verified")


def test_a_forgotten_password_is_replaced(open_page: OpenPage, mailbox: MailServer) -> None:
    page = open_page(color_scheme="light")
    page.goto("/sign-in")
    page.get_by_role("link", name="Forgot your password?").click()
    expect(page.get_by_role("heading", name="Forgot your password?")).to_be_visible()
    assert not violations(page)
    page.get_by_label("E-mail").fill("globex@example.com")
    page.get_by_role("button", name="Send link").click()
    expect(page.get_by_role("heading", name="Check your mail")).to_be_visible()
    assert not violations(page)
    link = link_to(mailbox, "globex@example.com")
    page.goto(link)
    page.get_by_label("New password").fill("short")
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_label("New password")).to_have_attribute("aria-invalid", "true")
    assert not violations(page)
    page.get_by_label("New password").fill(NEW_PASSWORD)
    page.get_by_role("button", name="Change password").click()
    expect(toasts(page)).to_contain_text("Password changed")
    page.get_by_label("E-mail").fill("globex@example.com")
    page.get_by_label("Password").fill(NEW_PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", name="Images", exact=True)).to_be_visible()
    page.goto(link)
    expect(page.get_by_role("heading")).to_have_text("This link is no longer valid")
    assert not violations(page)
