"""The error handlers: what a person sees if a view does not handle an error itself."""

from __future__ import annotations

import logging
import re
import sqlite3
from collections.abc import Callable
from typing import NoReturn

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient
from peewee import IntegrityError, OperationalError
from werkzeug.exceptions import abort

from models import Image
from tests.conftest import ClientOf, MakeImage
from tests.views.pages import markup_problems, visible_text
from webapp.credentials.vault import VaultError
from webapp.images.identity import AlreadyRegistered
from webapp.people import bookmarks, scopes
from webapp.people.scopes import ScopeError
from webapp.refusals import Refusal
from webapp.web.error_pages import TEXTS

SECRET = "AKIASECRETINANERROR"
STATUSES = (400, 401, 403, 404, 405, 409, 413, 414, 422, 429, 431, 500, 503)


def locked_database() -> OperationalError:
    """Return the error of Peewee for a database that another process has locked."""
    cause = sqlite3.OperationalError("database is locked")
    cause.sqlite_errorname = "SQLITE_BUSY"
    error = OperationalError("database is locked")
    vars(error)["orig"] = cause
    return error


ERRORS: dict[int, Exception] = {
    409: IntegrityError(SECRET),
    422: Refusal("This image is locked. Try again tomorrow."),
    500: RuntimeError(SECRET),
    503: locked_database(),
}
"""The errors that are not exceptions of HTTP, by the status of the answer."""
NEXT_STEP = re.compile(
    r"\b(Go back|Sign in|Ask|ask|Check the URL|Try again|try again|choose the file)\b"
)
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


def test_a_finished_response_is_returned_as_it_is(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No error page is rendered, which would take time and consume the toasts of the session."""

    def visible_to(*_arguments: object) -> NoReturn:
        abort(Response("finished", 418))

    def render(*_arguments: object, **_options: object) -> NoReturn:
        raise AssertionError

    monkeypatch.setattr(scopes, "visible_to", visible_to)
    monkeypatch.setattr("webapp.web.error_pages._error_page", render)
    answer = client.get("/scopes")
    assert (answer.status_code, answer.text) == (418, "finished")


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


@pytest.fixture
def failing(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that makes the pages below fail with an error of this status."""
    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)

    def fail(status: int) -> None:
        def view(**_arguments: object) -> NoReturn:
            if status in ERRORS:
                raise ERRORS[status]
            abort(status)

        for endpoint in ("people.sign_in", "account.images"):
            monkeypatch.setitem(app.view_functions, endpoint, view)

    return fail


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize(
    ("who", "url"),
    [
        ("nobody", "/sign-in"),
        ("account-viewer", "/sign-in"),
        ("account-viewer", "/account/acme/images"),
        ("outsider", "/sign-in"),
    ],
)
def test_every_error_page_says_what_to_do_next(
    failing: Callable[[int], None],
    client_of: ClientOf,
    caplog: pytest.LogCaptureFixture,
    status: int,
    who: str,
    url: str,
) -> None:
    caplog.set_level(logging.CRITICAL)
    failing(status)
    client = client_of(who)
    page = client.get(url)
    assert page.status_code == status
    assert page.text.count("<h1") == 1
    title = re.search(r"<h1[^>]*>(.*?)</h1>", page.text)
    assert title
    assert title[1] in page.text.partition("</title>")[0]
    text = visible_text(page.text.partition("<h1")[2])
    assert NEXT_STEP.search(text), text
    assert 'href="/"' in page.text or "Try again</a>" in page.text
    assert not markup_problems(page.text)
    fragment = client.get(url, headers={"HX-Request": "true"})
    assert fragment.status_code == status
    assert fragment.headers["HX-Reswap"] == "none"
    assert fragment.headers["HX-Push-Url"] == "false"
    assert "hx-swap-oob" in fragment.text
    assert "<h1" not in fragment.text
    assert NEXT_STEP.search(visible_text(fragment)), fragment.text
    assert not markup_problems(fragment.text)
    for answer in (page, fragment):
        assert "HX-Request" in answer.headers["Vary"]
        assert SECRET not in answer.text
        assert "Traceback" not in answer.text
        assert "RuntimeError" not in answer.text
        assert ("Request ID" in answer.text or "request ID" in answer.text) == (status == 500)
        assert ("Retry-After" in answer.headers) == (status == 503)


def test_each_status_has_its_own_text() -> None:
    assert set(STATUSES) == set(TEXTS)
    assert len(set(TEXTS.values())) == len(TEXTS)


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}])
def test_a_database_that_fails_for_the_error_page_too(
    failing: Callable[[int], None],
    client_of: ClientOf,
    monkeypatch: pytest.MonkeyPatch,
    headers: dict[str, str],
) -> None:
    failing(500)
    client = client_of("account-viewer")

    def load_bookmarks(*_arguments: object) -> NoReturn:
        raise OperationalError("unknown failure")

    monkeypatch.setattr(bookmarks, "load_bookmarks", load_bookmarks)
    answer = client.get("/account/acme/images", headers=headers)
    assert answer.status_code == 500
    assert TEXTS[500][0] in answer.text
    assert TEXTS[500][1] in answer.text
    assert "unknown failure" not in answer.text


@pytest.mark.parametrize(
    ("who", "path", "role", "known", "unknown"),
    [
        ("account-viewer", "members", "Admin", ["account-admin"], ["scalr-admin"]),
        ("account-editor", "audit", "Admin", ["account-admin"], ["scalr-admin"]),
        ("scalr-viewer", "images/new", "Editor", ["account-admin", "scalr-admin"], []),
    ],
)
def test_a_refusal_names_the_role_and_the_admins_whom_the_person_may_know(
    client_of: ClientOf, who: str, path: str, role: str, known: list[str], unknown: list[str]
) -> None:
    client = client_of(who)
    for headers in ({}, {"HX-Request": "true"}):
        answer = client.get(f"/account/acme/{path}", headers=headers)
        assert answer.status_code == 403
        text = visible_text(answer)
        assert f"You need the role {role} at Account acme. Ask one of these admins:" in text
        for name in known:
            assert name in text
            assert f"{name}@example.com" in text
        assert not [name for name in unknown if name in text]
        assert "environment-admin" not in text


def test_a_refusal_without_a_known_admin_says_where_to_ask(
    client_of: ClientOf, make_image: MakeImage
) -> None:
    image = make_image("acme", shared=True)
    client = client_of("environment-viewer")
    answer = client.get(f"/environment/acme/production/images/{image.id}/promote")
    assert answer.status_code == 403
    text = visible_text(answer)
    assert "environment-admin" in text
    admin = client_of("environment-admin")
    answer = admin.get(f"/environment/acme/production/images/{image.id}/edit")
    assert answer.status_code == 403
    text = visible_text(answer)
    assert "You need the role Editor at Account acme." in text
    assert "Ask an admin of Account acme or of a scope above it." in text
    assert "account-admin" not in text


def test_a_refusal_says_where_an_inherited_image_can_be_changed(
    client_of: ClientOf, make_image: MakeImage
) -> None:
    image = make_image("", shared=True)
    answer = client_of("scalr-admin").get(f"/account/acme/images/{image.id}/edit")
    assert answer.status_code == 403
    assert "belongs to Scalr, and can be changed only there" in visible_text(answer)
