"""The session cookie, and the state cookie of servers whose clocks differ."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from itsdangerous import TimestampSigner
from werkzeug.test import TestResponse

import models
from tests.cast import PASSWORD
from tests.conftest import ActorOf, ClientOf, Clock, NewDatabase
from tests.web.test_url_prefix import open_site

IMAGES = "/account/acme/images"
MINUTES, DAYS = timedelta(minutes=1), timedelta(days=1)


def sign_in(client: FlaskClient, prefix: str = "", **options: str) -> TestResponse:
    form = {"email": "account-editor@example.com", "password": PASSWORD}
    headers = {"Origin": "http://localhost"}
    answer = client.post(f"{prefix}/sign-in", data=form, headers=headers, **options)
    assert answer.status_code == 303
    return answer


def token_of(client: FlaskClient) -> str:
    cookie = client.get_cookie("session")
    assert cookie is not None
    return str(cookie.value)


@pytest.mark.parametrize(
    ("settings", "name", "path"),
    [
        ({"SECURE_COOKIES": "true"}, "__Host-session", "/"),
        ({"SECURE_COOKIES": "true", "URL_PREFIX": "/registry"}, "__Secure-session", "/registry"),
        ({"SECURE_COOKIES": "false"}, "session", "/"),
        ({"SECURE_COOKIES": "false", "URL_PREFIX": "/registry"}, "session", "/registry"),
    ],
)
def test_the_name_of_the_cookie_protects_it_as_far_as_possible(
    new_database: NewDatabase, settings: Mapping[str, str], name: str, path: str
) -> None:
    with open_site(new_database, settings) as client:
        prefix, url = settings.get("URL_PREFIX", ""), "https://localhost"
        answer = sign_in(client, prefix, base_url=url)
        cookies = dict(each.split("=", 1) for each in answer.headers.getlist("Set-Cookie"))
        _, *attributes = cookies[name].split("; ")
        expected = {f"Path={path}", "HttpOnly", "SameSite=Lax", "Max-Age=2592000"}
        if settings["SECURE_COOKIES"] == "true":
            expected.add("Secure")
        assert {each for each in attributes if "Expires" not in each} == expected
        state = cookies[name.replace("session", "state")]
        assert ("Secure" in state) == (settings["SECURE_COOKIES"] == "true")
        assert client.get(f"{prefix}{IMAGES}", base_url=url).status_code == 200
        out = client.post(f"{prefix}/sign-out", base_url=url)
        deleted = [each for each in out.headers.getlist("Set-Cookie") if each.startswith(name)]
        assert "Max-Age=0" in deleted[0]
        assert f"Path={path}" in deleted[0]
        assert client.get(f"{prefix}{IMAGES}", base_url=url).status_code == 303


def test_each_sign_in_has_a_new_token(client_of: ClientOf) -> None:
    """A token that an attacker put into the browser is not used."""
    client = client_of("nobody")
    client.set_cookie("session", "A" * 43)
    sign_in(client)
    assert token_of(client) != "A" * 43
    first = token_of(client)
    client.post("/sign-out")
    sign_in(client)
    assert token_of(client) != first


def test_the_state_cookie_is_not_enough_to_be_signed_in(client_of: ClientOf) -> None:
    client = client_of("account-editor")
    client.delete_cookie("session")
    assert client.get(IMAGES).status_code == 303


def test_two_browsers_have_sessions_of_their_own(client_of: ClientOf) -> None:
    here, elsewhere = client_of("account-editor"), client_of("account-editor")
    copied, token = client_of("nobody"), token_of(here)
    copied.set_cookie("session", token)
    assert copied.get(IMAGES).status_code == 200
    here.post("/sign-out")
    assert copied.get(IMAGES).status_code == 303
    assert elsewhere.get(IMAGES).status_code == 200


def test_a_password_change_keeps_only_this_browser_with_a_new_token(client_of: ClientOf) -> None:
    here, elsewhere = client_of("account-editor"), client_of("account-editor")
    before = token_of(here)
    form = {"current_password": PASSWORD, "password": "a whole new password"}
    assert here.post("/password", data=form).status_code == 303
    assert here.get(IMAGES).status_code == 200
    assert elsewhere.get(IMAGES).status_code == 303
    assert token_of(here) != before
    here.set_cookie("session", before)
    assert here.get(IMAGES).status_code == 303


def test_an_expired_session_asks_to_sign_in(client_of: ClientOf, clock: Clock) -> None:
    client = client_of("account-editor")
    clock.go_to(clock.now + timedelta(hours=12))
    assert client.get(IMAGES).status_code == 200
    with models.open_connection():
        client.application.extensions["services"].last_seen.save()
    clock.go_to(clock.now + timedelta(hours=12, seconds=1))
    assert client.get(IMAGES).status_code == 303


def test_the_cookie_of_an_older_version_asks_to_sign_in(
    client_of: ClientOf, actor_of: ActorOf, app: Flask
) -> None:
    """Older versions signed a cookie with the name of today's session cookie."""
    person, client = actor_of("account-editor").person, client_of("nobody")
    serializer = app.session_interface.get_signing_serializer(app)  # type: ignore[attr-defined]
    values = {"_user_id": f"{person.id}.{person.session_key}.{'x' * 22}", "_fresh": True}
    client.set_cookie("session", serializer.dumps(values))
    client.set_cookie("state", serializer.dumps(values))
    answer = client.get(IMAGES)
    assert (answer.status_code, answer.location) == (303, f"/sign-in?next={IMAGES}")
    sign_in(client)
    assert client.get(IMAGES).status_code == 200


@pytest.mark.parametrize("value", ["", "\0", "é", "a" * 5000, "%00", '"', "'; DROP TABLE person"])
def test_a_hostile_cookie_asks_to_sign_in(client_of: ClientOf, value: str) -> None:
    client = client_of("nobody")
    answer = client.get(IMAGES, headers={"Cookie": f"session={value}".encode().decode("latin-1")})
    assert answer.status_code == 303


def sign_with_clock(monkeypatch: pytest.MonkeyPatch, ahead: timedelta) -> None:
    """Sign cookies with a clock that is this far ahead. They are read with the real clock."""
    moment = int(time.time() + ahead.total_seconds())
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda _self: moment)


@pytest.mark.parametrize(
    ("ahead", "is_kept"),
    [
        (5 * MINUTES, True),
        (-5 * MINUTES, True),
        (-30 * DAYS, True),
        (-32 * DAYS, False),
        (2 * DAYS, False),
    ],
)
def test_servers_keep_the_state_of_servers_with_other_clocks(
    client_of: ClientOf, monkeypatch: pytest.MonkeyPatch, ahead: timedelta, is_kept: bool
) -> None:
    client = client_of("nobody")
    with monkeypatch.context() as other_server:
        sign_with_clock(other_server, ahead)
        client.post("/sign-out")
    assert ("You’re signed out." in client.get("/sign-in").text) == is_kept


def test_a_changed_cookie_is_refused(client_of: ClientOf) -> None:
    client = client_of("account-editor")
    token = token_of(client)
    client.set_cookie("session", f"{token[:-1]}{'A' if token[-1] != 'A' else 'B'}")
    assert client.get(IMAGES).status_code == 303


@pytest.mark.parametrize("position", [0, -1])
def test_a_changed_state_cookie_is_ignored(client_of: ClientOf, position: int) -> None:
    """Its content is signed: whoever changes it gets no toast of it, and no second step."""
    client = client_of("nobody")
    client.post("/sign-out")
    cookie = client.get_cookie("state")
    assert cookie is not None
    parts = cookie.value.split(".")
    part = parts[position]
    parts[position] = f"{part[:-2]}{'AA' if part[-2:] != 'AA' else 'BB'}"
    client.set_cookie("state", ".".join(parts))
    assert "You’re signed out." not in client.get("/sign-in").text
    client.set_cookie("state", cookie.value)
    assert "You’re signed out." in client.get("/sign-in").text


def test_signing_out_clears_what_the_browser_has_stored(client_of: ClientOf) -> None:
    answer = client_of("account-viewer").post("/sign-out")
    assert answer.headers["Clear-Site-Data"] == '"cache", "storage"'
