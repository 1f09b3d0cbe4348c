"""The session ends while a person works: nothing that they entered is lost."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from e2e.conftest import PASSWORD, SignIn, register
from e2e.sandbox_amis import DEBIAN, NOBLE, WINDOWS

ACME = "/account/acme"
ADMIN = "account@example.com"
NOTICE = "Your session has ended."


def end_session(page: Page) -> None:
    page.context.clear_cookies()


def sign_in_again(page: Page) -> None:
    page.get_by_label("E-mail").fill(ADMIN)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def slow_down(page: Page) -> None:
    """Delay every answer by 600 ms."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    conditions = {
        "offline": False,
        "latency": 600,
        "downloadThroughput": -1,
        "uploadThroughput": -1,
    }
    session.send("Network.emulateNetworkConditions", conditions)


def test_search_suggestions_show_a_notice_and_never_a_page(sign_in: SignIn) -> None:
    page = sign_in("account")
    page.goto(f"{ACME}/images")
    end_session(page)
    # The answer to the search arrives after the answer to the suggestions.
    with page.expect_response(re.compile(rf"{ACME}/images\?(.*&)?q=os%3A(&|$)")) as searched:
        page.locator("#q").press_sequentially("os:")
        expect(page.locator("#session-end")).to_contain_text(NOTICE)
    assert searched.value.status == 401
    expect(page.locator("#session-end")).to_contain_text(NOTICE)
    expect(page.get_by_label("Password")).to_have_count(0)
    expect(page.locator("#q")).to_have_value("os:")
    with page.context.expect_page() as opened:
        page.locator("#session-end").get_by_role("link", name="Sign in").click()
    sign_in_again(opened.value)
    expect(opened.value).to_have_url(re.compile(f"{ACME}/images"))
    page.locator("#q").fill("own")
    expect(page.locator("#suggestions").get_by_role("option").first).to_be_visible()
    expect(page.locator("#session-end")).to_be_empty()


def test_new_image_continues_at_each_step(sign_in: SignIn) -> None:
    page = sign_in("account")
    slow_down(page)
    page.goto(f"{ACME}/images/new/aws")
    page.get_by_label("Location").select_option(NOBLE.location)
    page.get_by_label("Cloud Image ID").fill(NOBLE.id)
    end_session(page)
    page.get_by_role("button", name="NEXT").click()
    expect(page.locator("#session-end")).to_contain_text(NOTICE)
    expect(page.get_by_label("Cloud Image ID")).to_have_value(NOBLE.id)
    expect(page).to_have_url(re.compile("/images/new/aws\\?.*image_id=ami-"))
    with page.context.expect_page() as opened:
        page.locator("#session-end").get_by_role("link", name="Sign in").click()
    sign_in_again(opened.value)
    expect(opened.value).to_have_url(re.compile("/images/new/aws\\?.*image_id=ami-"))
    opened.value.close()
    page.get_by_role("button", name="NEXT").click()
    page.get_by_label("Name", exact=True).fill("Kept name")
    page.get_by_label("Size").fill("77")
    page.get_by_label("Scalr Agent Installed").uncheck()
    end_session(page)
    page.get_by_role("button", name="REGISTER").click()
    sign_in_again(page)
    expect(page.get_by_label("Name", exact=True)).to_have_value("Kept name")
    expect(page.get_by_label("Size")).to_have_value("77")
    expect(page.get_by_label("Scalr Agent Installed")).not_to_be_checked()
    expect(page.get_by_role("alert").last).to_contain_text("nothing was saved")
    page.get_by_role("button", name="REGISTER").click()
    expect(page.get_by_role("heading", name="Kept name")).to_be_visible()


def fill_edit(page: Page) -> None:
    register(page, ACME, DEBIAN.id, DEBIAN.location)
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Name", exact=True).fill("Edited name")
    page.get_by_label("Size").fill("91")


def fill_life_cycle(page: Page) -> None:
    register(page, ACME, WINDOWS.id, WINDOWS.location)
    page.goto(f"{page.url}/life-cycle")
    page.get_by_label("Deprecated").check()
    page.get_by_label("Reason").fill("An old kernel")


def fill_credentials(page: Page) -> None:
    page.goto(f"{ACME}/credentials/new/aws")
    page.get_by_label("Name", exact=True).fill("Other credentials")
    page.get_by_label("Access key ID").fill("AKIAEXAMPLEEXAMPLE00")
    page.get_by_label("Secret access key").fill("s3cr3t/s3cr3t/s3cr3t/s3cr3t/s3cr3t/s3cr")


def fill_scope(page: Page) -> None:
    page.goto(f"{ACME}/environments")
    page.get_by_label("Name", exact=True).fill("Quality assurance")


def fill_invitation(page: Page) -> None:
    page.goto(f"{ACME}/members")
    page.get_by_label("E-mail").fill("new@example.com")
    page.get_by_label("Role", exact=True).select_option("editor")


def fill_import(page: Page) -> None:
    page.goto(f"{ACME}/images/import")
    page.get_by_label("Or paste its content").fill("cloud,cloud_image_id\naws,ami-1")


@pytest.mark.parametrize(
    ("fill", "button", "kept"),
    [
        (fill_edit, "Save", {"name": "Edited name", "size_gb": "91"}),
        (fill_life_cycle, "Save", {"reason": "An old kernel"}),
        (
            fill_credentials,
            "Save",
            {"name": "Other credentials", "secret_access_key": ""},
        ),
        (fill_scope, "Create", {"name": "Quality assurance"}),
        (fill_invitation, "Create invitation link", {"email": "new@example.com"}),
        (fill_import, "Review import", {"text": "cloud,cloud_image_id\naws,ami-1"}),
    ],
)
def test_a_form_continues_after_signing_in(
    sign_in: SignIn,
    fill: Callable[[Page], None],
    button: str,
    kept: dict[str, str],
) -> None:
    page = sign_in("account")
    fill(page)
    end_session(page)
    page.get_by_role("button", name=re.compile(f"^{button}")).last.click()
    expect(page.get_by_role("note")).to_contain_text(NOTICE)
    sign_in_again(page)
    for name, value in kept.items():
        expect(page.locator(f"[name={name}]").last).to_have_value(value)
    expect(page.get_by_text("nothing was saved").first).to_be_visible()


def test_a_second_sign_in_page_goes_on(sign_in: SignIn) -> None:
    page = sign_in("account")
    end_session(page)
    page.goto(f"{ACME}/images")
    other = page.context.new_page()
    other.goto(f"{ACME}/credentials")
    sign_in_again(page)
    expect(page).to_have_url(re.compile(f"{ACME}/images"))
    sign_in_again(other)
    expect(other).to_have_url(re.compile(f"{ACME}/credentials"))
