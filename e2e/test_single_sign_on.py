"""A person links their account of an identity provider, and signs in with this account.

The provider is software of another project.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from e2e.conftest import PHONE, OpenPage, SignIn, Site, one_server, tab_to, toasts
from e2e.test_accessibility import violations
from tests.postgresql import free_port
from tests.single_sign_on import peers

ALICE = {"sub": "alice", "email": "alice@example.org"}
BOB = {"sub": "bob", "email": "bob@example.org", "team": ["ops"]}
RULES = "/account/acme/role-rules"
STYLE_SHEETS = ("https://cdn.jsdelivr.net/",)
"""The site from which the provider's pages load a style sheet. The tests do not need this file."""


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with peers.oidc_provider_mock(
        tmp_path_factory.mktemp("provider") / "log", ALICE, BOB
    ) as issuer:
        yield issuer


@pytest.fixture(scope="module")
def other_sites(issuer: str) -> tuple[str, ...]:
    return (issuer, *STYLE_SHEETS)


@pytest.fixture(scope="module")
def running_site(
    sandbox: Path, issuer: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder, port = tmp_path_factory.mktemp("site"), free_port()
    url = f"http://127.0.0.1:{port}"
    name, secret = peers.register_client(issuer, f"{url}/sign-in/with/example/answer")
    file = folder / "providers.toml"
    file.write_text(f"""
        contact = "the platform team"
        [providers.example]
        label = "Example SSO"
        issuer = "{issuer}"
        client_id = "{name}"
        client_secret_env = "SECRET_OF_EXAMPLE"
        [[providers.example.roles]]
        claim = "team"
        value = "auditors"
        scope = "/environment/acme/production"
        role = "viewer"
    """)
    settings = {
        "PUBLIC_URL": url,
        "OIDC_PROVIDERS_FILE": str(file),
        "SECRET_OF_EXAMPLE": secret,
    }
    with one_server(folder, sandbox, port, **settings) as site:
        yield site


def sign_in_at_provider(page: Page, subject: str = "alice") -> None:
    page.locator("input[name=sub]").fill(subject)
    page.get_by_role("button", name="Authorize").click()


def test_an_account_is_linked_and_signs_in(sign_in: SignIn, open_page: OpenPage) -> None:
    stranger = open_page()
    stranger.goto("/account/acme/views")
    stranger.get_by_role("button", name="Sign in with Example SSO").click()
    sign_in_at_provider(stranger)
    refused = stranger.get_by_text("isn’t linked to a user account")
    expect(refused).to_contain_text("ask the platform team for access")
    page = sign_in("account")
    page.goto("/security")
    page.get_by_role("link", name="Link an account at Example SSO").click()
    assert not violations(page)
    page.get_by_role("button", name="Continue").click()
    sign_in_at_provider(page)
    expect(page.get_by_role("heading", name="Link this account?")).to_be_visible()
    assert not violations(page)
    page.get_by_role("button", name="Link account").click()
    expect(toasts(page)).to_contain_text("Account linked")
    expect(page.get_by_role("cell", name="Example SSO alice@example.org")).to_be_visible()
    assert not violations(page)
    page.get_by_role("link", name="Unlink").click()
    assert not violations(page)
    stranger.goto("/sign-in?next=/account/acme/views")
    assert not violations(stranger)
    stranger.get_by_role("button", name="Sign in with Example SSO").click()
    sign_in_at_provider(stranger)
    expect(stranger).to_have_url("/account/acme/views")


@pytest.mark.parametrize("javascript", [True, False])
def test_a_link_on_another_site_asks_before_it_signs_in(
    open_page: OpenPage, javascript: bool
) -> None:
    """The first test has linked the account with which the person signs in at the provider."""
    page = open_page(java_script_enabled=javascript)
    page.goto("/sign-in/with/example?next=/account/acme/views")
    expect(page.get_by_role("heading", name="Sign in with Example SSO")).to_be_visible()
    if javascript:
        assert not violations(page)
    page.get_by_role("button", name="Continue").click()
    sign_in_at_provider(page)
    expect(page).to_have_url("/account/acme/views")


def test_a_form_waits_while_the_person_signs_in_in_another_tab(open_page: OpenPage) -> None:
    """The first test has linked the account."""
    page = open_page()
    page.goto("/sign-in")
    page.get_by_role("button", name="Sign in with Example SSO").click()
    sign_in_at_provider(page)
    page.goto("/account/acme/environments")
    page.get_by_label("Name").fill("Mine")
    page.context.clear_cookies()
    page.get_by_role("button", name="Create environment").click()
    with page.context.expect_page() as opened:
        page.get_by_role("button", name="Sign in with Example SSO").click()
    sign_in_at_provider(opened.value)
    expect(opened.value.get_by_role("navigation", name="Breadcrumb")).to_be_visible()
    page.get_by_role("button", name="Continue with my form").click()
    expect(page.get_by_label("Name")).to_have_value("Mine")


def test_a_rule_gives_a_person_a_role(sign_in: SignIn, open_page: OpenPage) -> None:
    page = sign_in("account")
    page.goto("/account/acme/members")
    page.locator("header details").first.click()
    page.get_by_role("link", name="Role rules").click()
    expect(page.get_by_role("row", name="auditors")).to_contain_text("In the file of the operator")
    page.get_by_role("link", name="New rule").click()
    expect(page.get_by_label("Provider")).to_be_focused()
    tab_to(page, "input[name=claim]")
    page.keyboard.press("Control+A")
    page.keyboard.type("team")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Enter the value.")).to_be_visible()
    expect(page.get_by_label("Claim")).to_have_value("team")
    assert not violations(page)
    page.get_by_label("Value").fill("ops")
    page.get_by_label("Editor").check()
    page.get_by_role("button", name="Create rule").click()
    # In the first test, an admin of acme has linked an account. The rule could take away this
    # admin's role.
    page.get_by_label("Save even if members lose roles").check()
    page.get_by_role("button", name="Create rule").click()
    expect(toasts(page)).to_contain_text("Rule for “ops” created.")
    assert not violations(page)
    bob = open_page()
    bob.goto("/sign-in")
    bob.get_by_role("button", name="Sign in with Example SSO").click()
    sign_in_at_provider(bob, "bob")
    expect(bob).to_have_url(re.compile("/account/acme"))
    page.goto("/account/acme/members")
    expect(page.get_by_role("row", name="bob@example.org")).to_contain_text("Editor")
    page.goto("/account/acme/audit")
    expect(page.get_by_text("Example SSO changed the role of").first).to_be_visible()


def test_a_rule_is_confirmed_and_removed_on_a_phone_without_javascript(sign_in: SignIn) -> None:
    page = sign_in("account", java_script_enabled=False, viewport=PHONE)
    page.goto(RULES)
    page.get_by_role("link", name="Edit ops").click()
    page.get_by_label("Value").fill("operators")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("These members of Account acme can sign in at")).to_be_visible()
    expect(page.get_by_label("Value")).to_have_value("operators")
    page.get_by_label("Save even if members lose roles").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("row", name="operators")).to_be_visible()
    page.get_by_role("link", name="Remove operators").click()
    expect(page.get_by_text("members keep their roles")).to_be_visible()
    page.get_by_role("button", name="Remove rule").click()
    expect(page.get_by_role("row", name="operators")).to_have_count(0)
