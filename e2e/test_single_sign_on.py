"""A person links an account at an identity provider that is not ours, and signs in with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from e2e.conftest import OpenPage, SignIn, Site, one_server, toasts
from e2e.test_accessibility import violations
from tests.postgresql import free_port
from tests.single_sign_on import peers

ALICE = {"sub": "alice", "email": "alice@example.org"}
STYLE_SHEETS = ("https://cdn.jsdelivr.net/",)
"""The site of the style sheet of the provider's pages, which the tests do not need."""


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with peers.oidc_provider_mock(tmp_path_factory.mktemp("provider") / "log", ALICE) as issuer:
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
    stranger.get_by_role("link", name="Sign in with Example SSO").click()
    sign_in_at_provider(stranger)
    refused = stranger.get_by_text("isn’t linked to a user account")
    expect(refused).to_contain_text("ask the platform team for access")
    page = sign_in("account")
    page.goto("/security")
    page.get_by_role("link", name="Link an account at Example SSO").click()
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
    stranger.get_by_role("link", name="Sign in with Example SSO").click()
    sign_in_at_provider(stranger)
    expect(stranger).to_have_url("/account/acme/views")
