"""Claims that the ID token lacks are read from the userinfo endpoint."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from flask import Flask

import models
from models import AuditEntry, Identity, Membership, Role
from tests.conftest import ActorOf, ClientOf
from tests.single_sign_on.conftest import configure, configured
from tests.single_sign_on.provider import ACCESS_TOKEN, IdentityProvider
from tests.single_sign_on.test_answers import RETURN, SECRET_KEY
from webapp.single_sign_on import issuers
from webapp.single_sign_on.claims import with_missing
from webapp.single_sign_on.client import Account, Attempt, Client
from webapp.single_sign_on.configuration import RoleRule
from webapp.single_sign_on.issuers import AnswerRefused, ProviderError, ProviderUnavailable

SUBJECT = "248289761001"
GROUPS = {"sub": SUBJECT, "groups": ["editors"]}


@pytest.fixture
def client(idp: IdentityProvider) -> Client:
    return Client(configured(idp.issuer))


def visit(client: Client, idp: IdentityProvider, *needed: str) -> Account:
    attempt = Attempt.begin(SECRET_KEY)
    idp.visit(client.authorization_url(attempt, RETURN))
    return client.redeem(attempt, list(idp.codes)[-1], RETURN, idp.issuer, needed)


def test_missing_claims_are_read_from_the_userinfo(client: Client, idp: IdentityProvider) -> None:
    idp.claims = {"email": "a@example.org", "realm": {"name": "main"}}
    idp.userinfo = {
        **GROUPS,
        "email": "other@example.org",
        "name": "Alice",
        "amr": ["mfa"],
        "aud": "another",
        "realm": {"name": "other", "roles": ["ops"]},
    }
    account = visit(client, idp, "groups", "realm.roles")
    assert account.claims["groups"] == ["editors"]
    assert account.claims["realm"] == {"name": "main", "roles": ["ops"]}
    assert account.claims["email"] == account.label == "a@example.org", "the ID token counts"
    assert account.claims["iss"] == idp.issuer
    assert (account.name, account.has_second_factor) == ("Alice", False)
    assert idp.requests.count("/userinfo") == 1


@pytest.mark.parametrize("groups", [[], ["viewers"], "viewers"])
def test_the_userinfo_is_not_read_if_the_id_token_has_the_claims(
    client: Client, idp: IdentityProvider, groups: object
) -> None:
    idp.claims, idp.userinfo = {"groups": groups}, GROUPS
    assert visit(client, idp, "groups").claims["groups"] == groups
    visit(client, idp)
    assert "/userinfo" not in idp.requests


def test_a_provider_without_userinfo_still_works(client: Client, idp: IdentityProvider) -> None:
    assert "groups" not in visit(client, idp, "groups").claims


def answer_with(status: int, content: bytes) -> Callable[[IdentityProvider], None]:
    def change(idp: IdentityProvider) -> None:
        idp.answer = lambda path: (status, content) if path == "/userinfo" else None

    return change


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda idp: idp.userinfo.update(sub="another"), AnswerRefused),
        (lambda idp: idp.userinfo.pop("sub"), AnswerRefused),
        (lambda idp: idp.userinfo.update(sub=[SUBJECT]), AnswerRefused),
        (answer_with(200, b"[]"), ProviderUnavailable),
        (answer_with(200, b"header.payload.signature"), ProviderUnavailable),
        (answer_with(200, b" " * (issuers.MAX_ANSWER_BYTES + 1)), ProviderUnavailable),
        (answer_with(401, b"{}"), ProviderUnavailable),
        (answer_with(302, b""), ProviderUnavailable),
        (answer_with(200, b'{"a":' * 5000), ProviderUnavailable),
        (lambda idp: idp.metadata.update(userinfo_endpoint="http://evil.example"), ProviderError),
        (lambda idp: idp.metadata.update(userinfo_endpoint=7), ProviderUnavailable),
    ],
)
def test_a_wrong_userinfo_ends_the_sign_in(
    client: Client,
    idp: IdentityProvider,
    change: Callable[[IdentityProvider], object],
    error: type[ProviderError],
    caplog: pytest.LogCaptureFixture,
) -> None:
    idp.userinfo = dict(GROUPS)
    change(idp)
    with pytest.raises(error):
        visit(client, idp, "groups")
    assert ACCESS_TOKEN not in caplog.text


def test_the_whole_step_has_one_time_limit(
    client: Client, idp: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    idp.userinfo = GROUPS
    visit(client, idp)

    def wait(path: str) -> None:
        if path == "/userinfo":
            time.sleep(5)

    idp.answer = wait
    monkeypatch.setattr(issuers, "CALL_SECONDS", 2.0)
    began = time.monotonic()
    with pytest.raises(ProviderUnavailable):
        visit(client, idp, "groups")
    assert time.monotonic() - began < 4.5


def test_deep_claims_do_not_end_the_process(client: Client, idp: IdentityProvider) -> None:
    deep = json.loads('{"a":' * 500 + "1" + "}" * 500)
    idp.claims, idp.userinfo = {"x": deep}, {**GROUPS, "x": deep}
    with suppress(ProviderError):
        visit(client, idp, "groups")
    assert with_missing({"a": {"b": 1}}, {"a": 2, "c": 3}) == {"a": {"b": 1}, "c": 3}


def test_a_sign_in_applies_rules_with_the_userinfo(
    app: Flask, client_of: ClientOf, actor_of: ActorOf, idp: IdentityProvider
) -> None:
    rules = (RoleRule("groups", "editors", "acme/production", Role.EDITOR),)
    configure(app, configured(idp.issuer, roles=rules))
    person = actor_of("account-viewer").person
    Identity.create(person=person, issuer=idp.issuer, subject=SUBJECT, label="old")
    idp.userinfo = dict(GROUPS)

    def roles() -> list[Any]:
        with models.open_connection():
            found = Membership.select().where(Membership.person == person)
            return [row.role for row in found.order_by(Membership.id)]

    def sign_in() -> int:
        browser = client_of("nobody")
        return browser.get(idp.visit(browser.get("/sign-in/with/example").location)).status_code

    assert sign_in() == 303
    assert roles() == [Role.VIEWER, Role.EDITOR]
    idp.answer = lambda path: (500, b"") if path == "/userinfo" else None
    assert sign_in() == 403
    assert roles() == [Role.VIEWER, Role.EDITOR], "an outage takes no role away"
    idp.answer = lambda _path: None
    idp.userinfo["groups"] = []
    assert sign_in() == 303
    assert roles() == [Role.VIEWER]
    with models.open_connection():
        assert all(ACCESS_TOKEN not in str(each.changes) for each in AuditEntry.select())
