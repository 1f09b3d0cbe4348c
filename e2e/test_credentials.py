"""Cloud credentials: add with a check, inherit, edit without seeing the secret, delete."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from e2e.conftest import SignIn, toasts
from tests import served


def test_credentials_are_added_checked_edited_and_deleted(sign_in: SignIn, sandbox: Path) -> None:
    endpoint = served.sandbox_credentials(sandbox, "aws")["endpoint_url"]
    page = sign_in("account")
    page.goto("/account/acme/credentials")
    expect(page.get_by_role("row", name="Sandbox AWS")).to_contain_text("Inherited from Scalr")
    page.get_by_role("link", name="New Cloud Credentials").click()
    page.get_by_role("link", name="AWS", exact=True).click()
    page.get_by_label("Name").fill("Acme AWS")
    page.get_by_label("Access key ID").fill("AKIAACME000000000000")
    page.get_by_label("Secret access key").fill("a-very-secret-value")
    page.get_by_label("Endpoint URL").fill("http://127.0.0.1:9")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_label("Save without checking")).to_be_visible()
    expect(page.get_by_label("Access key ID")).to_have_value("AKIAACME000000000000")
    page.get_by_label("Endpoint URL").fill(endpoint)
    page.get_by_label("Secret access key").fill("a-very-secret-value")
    page.get_by_role("button", name="Save").click()
    expect(toasts(page)).to_contain_text("123456789012")
    row = page.get_by_role("row", name="Acme AWS")
    row.get_by_role("button", name="Check").click()
    expect(toasts(page)).to_contain_text("is valid")
    row.get_by_role("link", name="Edit").click()
    expect(page.get_by_label("Secret access key")).to_have_value("")
    assert "a-very-secret-value" not in page.content()
    page.get_by_label("Name").fill("Acme AWS renamed")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("row", name="Acme AWS renamed")).to_contain_text("123456789012")
    page.goto("/environment/acme/production/credentials")
    inherited = page.get_by_role("row", name="Acme AWS renamed")
    expect(inherited).to_contain_text("Inherited from Account acme")
    expect(inherited).not_to_contain_text("123456789012")
    page.goto("/account/acme/audit")
    expect(page.locator("main")).to_contain_text("edited the credentials")
    assert "a-very-secret-value" not in page.content()
    page.goto("/account/acme/credentials")
    page.get_by_role("row", name="Acme AWS renamed").get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("row", name="Acme AWS renamed")).to_have_count(0)


def test_credentials_are_saved_without_a_check(sign_in: SignIn) -> None:
    page = sign_in("globex")
    page.goto("/account/globex/credentials/new/aws")
    page.get_by_label("Name").fill("Unreachable")
    page.get_by_label("Access key ID").fill("AKIAGLOBEX0000000000")
    page.get_by_label("Secret access key").fill("another-secret")
    page.get_by_label("Endpoint URL").fill("http://127.0.0.1:9")
    page.get_by_role("button", name="Save").click()
    page.get_by_label("Save without checking").check()
    page.get_by_label("Secret access key").fill("another-secret")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("row", name="Unreachable")).to_contain_text("Never")
