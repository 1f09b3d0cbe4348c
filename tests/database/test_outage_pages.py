"""The pages during an outage of the database, which keep the values of a form."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient
from peewee import DatabaseError, InternalError, OperationalError, ProgrammingError
from playhouse.pool import MaxConnectionsExceeded

import models
from models import OutcomeUnknown, Scope
from tests.conftest import ClientOf
from webapp.people import bookmarks, scopes

ACCOUNTS = "/scalr/accounts"
SAME_SITE = {"Origin": "http://localhost"}
HTMX = {"HX-Request": "true", **SAME_SITE}


def error_of_server(sqlstate: str, kind: type[DatabaseError] = OperationalError) -> Any:
    error: Any = kind("for administrators only")
    error.orig = psycopg.errors.lookup(sqlstate)() if sqlstate else psycopg.OperationalError()
    return error


@pytest.fixture
def client(client_of: ClientOf) -> FlaskClient:
    return client_of("scalr-admin")


@pytest.fixture
def without_database(monkeypatch: pytest.MonkeyPatch, client: FlaskClient) -> None:
    """Let nobody get a connection, so that whatever needs the database fails."""

    def connect(*_arguments: object, **_options: object) -> None:
        raise error_of_server("")

    monkeypatch.setattr(models.database.obj, "connect", connect)


def fail_with(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def create(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr(scopes, "create", create)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MaxConnectionsExceeded(), "The registry is busy"),
        (error_of_server("57014"), "The registry is busy"),
        (error_of_server("53300"), "The registry is busy"),
        (error_of_server("40P01"), "The registry is busy"),
        (error_of_server("57P01"), "The registry can’t reach its database"),
        (error_of_server(""), "The registry can’t reach its database"),
        (error_of_server("53100"), "disk"),
        (error_of_server("58030"), "disk"),
        (error_of_server("25006", InternalError), "read-only"),
        (error_of_server("42501", ProgrammingError), "read-only"),
        (error_of_server("XX001", InternalError), "damaged"),
    ],
)
def test_the_page_says_what_is_wrong(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    fail_with(monkeypatch, error)
    for headers in (SAME_SITE, HTMX):
        response = client.post(ACCOUNTS, data={"name": "new"}, headers=headers)
        assert response.status_code == 503
        assert response.headers["Retry-After"] == "5"
        assert words in response.text
        assert "Nothing was saved." in response.text
        assert "administrators only" not in response.text


def test_an_invalid_statement_is_no_outage(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_with(monkeypatch, error_of_server("42601", InternalError))
    assert client.post(ACCOUNTS, data={"name": "new"}).status_code == 500


def test_a_change_whose_commit_got_no_answer_may_have_been_saved(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_with(monkeypatch, OutcomeUnknown(error_of_server("")))
    response = client.post(ACCOUNTS, data={"name": "new"}, headers=SAME_SITE)
    assert response.status_code == 503
    assert "Check whether it was saved" in response.text
    assert "Nothing was saved" not in response.text


@pytest.mark.usefixtures("without_database")
@pytest.mark.parametrize(
    "path", ["/", "/scalr/images", "/sign-in", "/nowhere", "/help/", "/account/acme/images?q=x"]
)
def test_the_page_needs_no_database(client: FlaskClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 503
    assert "<h1" in response.text
    assert f'href="{path}"' in response.text
    assert response.headers["Content-Security-Policy"]
    with client.get("/static/app.css") as style:
        assert style.status_code == 200


@pytest.mark.usefixtures("without_database")
def test_the_page_sends_the_same_form_again(client: FlaskClient) -> None:
    response = client.post(f"{ACCOUNTS}?a=1", data={"name": 'A "new" <one>'}, headers=SAME_SITE)
    assert f'action="{ACCOUNTS}?a=1"' in response.text
    assert 'name="name" value="A &#34;new&#34; &lt;one&gt;"' in response.text
    assert 'name="resumed"' not in response.text


@pytest.mark.usefixtures("without_database")
def test_the_page_contains_no_secrets_and_shows_the_form_again_instead(
    client: FlaskClient,
) -> None:
    data = {"email": "me@example.com", "password": "the secret", "secret_access_key": "the key"}
    response = client.post("/sign-in", data=data, headers=SAME_SITE)
    assert 'value="me@example.com"' in response.text
    assert "the secret" not in response.text
    assert "the key" not in response.text
    assert 'name="resumed" value="outage"' in response.text


@pytest.mark.usefixtures("without_database")
def test_a_second_outage_does_not_make_a_form_complete(client: FlaskClient) -> None:
    """The form no longer contains its password, because the first page left it out."""
    data = {"email": "me@example.com", "resumed": "outage"}
    response = client.post("/sign-in", data=data, headers=SAME_SITE)
    assert 'name="resumed" value="outage"' in response.text


def test_a_form_that_is_shown_again_after_an_outage_does_not_blame_the_session(
    client: FlaskClient,
) -> None:
    response = client.post(ACCOUNTS, data={"name": "new", "resumed": "outage"}, headers=SAME_SITE)
    assert response.status_code == 422
    assert (
        "Because of a problem with the database, your entries may not have been saved."
        in response.text
    )
    assert "Your session had ended" not in response.text
    assert 'value="new"' in response.text
    assert not Scope.select().where(Scope.name == "new").exists()


@pytest.mark.usefixtures("without_database")
@pytest.mark.parametrize("headers", [{}, {"Origin": "https://evil.example"}])
def test_the_page_sends_no_form_of_another_site(
    client: FlaskClient, headers: dict[str, str]
) -> None:
    response = client.post(ACCOUNTS, data={"name": "new"}, headers=headers)
    assert response.status_code == 503
    assert 'value="new"' not in response.text


@pytest.mark.usefixtures("without_database")
def test_htmx_gets_a_toast_that_replaces_nothing(client: FlaskClient) -> None:
    for response in (
        client.post(ACCOUNTS, data={"name": "new"}, headers=HTMX),
        client.get("/scalr/images", headers=HTMX),
    ):
        assert response.status_code == 503
        assert response.headers["HX-Reswap"] == "none"
        assert response.headers["HX-Push-Url"] == "false"
        assert "data-outage" in response.text
        assert "<h1" not in response.text


def test_an_error_page_whose_bookmarks_cannot_be_read_is_a_503(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_bookmarks(*_arguments: Any) -> None:
        raise error_of_server("57P01")

    monkeypatch.setattr(bookmarks, "load_bookmarks", load_bookmarks)
    assert client.get("/scalr/images/999999").status_code == 503
