"""The error handlers: what a person sees if a view does not handle an error itself."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from models import Image
from tests.conftest import ClientOf, MakeImage
from webapp.credentials.vault import VaultError
from webapp.images.identity import AlreadyRegistered
from webapp.people import scopes
from webapp.people.scopes import ScopeError
from webapp.refusals import Refusal

MESSAGE = "The scope “x” is locked. Try again tomorrow."


@pytest.fixture
def client(client_of: ClientOf) -> FlaskClient:
    return client_of("account-viewer")


def fail_with(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Make the list of scopes raise an error that its view does not catch."""

    def visible_to(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr(scopes, "visible_to", visible_to)


@pytest.mark.parametrize("kind", [Refusal, ScopeError])
def test_an_uncaught_refusal_becomes_a_page(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, kind: type[Refusal]
) -> None:
    fail_with(monkeypatch, kind(MESSAGE))
    response = client.get("/scopes")
    assert response.status_code == 422
    assert "<h1" in response.text
    assert MESSAGE in response.text


def test_htmx_gets_an_uncaught_refusal_as_a_toast_only(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_with(monkeypatch, ScopeError(MESSAGE))
    response = client.get("/scopes", headers={"HX-Request": "true"})
    assert response.status_code == 422
    assert response.headers["HX-Reswap"] == "none"
    assert "hx-swap-oob" in response.text
    assert MESSAGE in response.text
    assert "<h1" not in response.text


def test_an_uncaught_duplicate_is_a_conflict(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, make_image: MakeImage
) -> None:
    image: Image = make_image("acme")
    fail_with(monkeypatch, AlreadyRegistered(image))
    response = client.get("/scopes")
    assert response.status_code == 409
    assert "already registered at Account acme" in response.text


def test_unreadable_secrets_are_an_error_of_the_server(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_with(monkeypatch, VaultError("The key is missing."))
    response = client.get("/scopes")
    assert response.status_code == 500
    assert "The key is missing." in response.text


def test_a_missing_right_is_forbidden(client: FlaskClient) -> None:
    response = client.get("/account/acme/members")
    assert response.status_code == 403
    assert "You don’t have permission to do this" in response.text


def test_a_scope_that_is_not_visible_is_not_found(client: FlaskClient) -> None:
    response = client.get("/account/globex/images")
    assert response.status_code == 404
    assert "Page not found" in response.text
