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
from models import AuditEntry, Identity, Membership, Person, Role
from tests.conftest import ActorOf, ClientOf, ScopeAt
from tests.single_sign_on.conftest import configure, configured
from tests.single_sign_on.helpers import begin_visit, make_role_rule
from tests.single_sign_on.provider import ACCESS_TOKEN, IdentityProvider
from tests.single_sign_on.test_answers import RETURN, SECRET_KEY
from tests.single_sign_on.test_roles import roles_of
from webapp.single_sign_on import issuers
from webapp.single_sign_on.claims import claim_texts, lacks_any, with_missing
from webapp.single_sign_on.client import Account, Attempt, Client
from webapp.single_sign_on.configuration import RoleRule
from webapp.single_sign_on.issuers import AnswerRefused, ProviderError

SUBJECT = "248289761001"
GROUPS = {"sub": SUBJECT, "groups": ["editors"]}


@pytest.fixture
def client(idp: IdentityProvider) -> Client:
    return Client(configured(idp.issuer))


def visit(client: Client, idp: IdentityProvider, *needed: str) -> Account:
    attempt = Attempt.begin(SECRET_KEY)
    idp.visit(client.authorization_url(attempt, RETURN))
    return client.redeem(attempt, list(idp.codes)[-1], RETURN, idp.issuer, lambda _: needed)


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
    assert account.has_all_claims
    assert idp.requests.count("/userinfo") == 1


@pytest.mark.parametrize("groups", [[], ["viewers"], "viewers"])
def test_the_userinfo_is_not_read_if_the_id_token_has_the_claims(
    client: Client, idp: IdentityProvider, groups: object
) -> None:
    idp.claims, idp.userinfo = {"groups": groups}, GROUPS
    account = visit(client, idp, "groups")
    assert (account.claims["groups"], account.has_all_claims) == (groups, False)
    visit(client, idp)
    assert "/userinfo" not in idp.requests


def test_a_provider_without_userinfo_still_works(client: Client, idp: IdentityProvider) -> None:
    account = visit(client, idp, "groups")
    assert ("groups" in account.claims, account.has_all_claims) == (False, True)


def answer_with(status: int, content: bytes) -> Callable[[IdentityProvider], None]:
    def change(idp: IdentityProvider) -> None:
        idp.answer = lambda path: (status, content) if path == "/userinfo" else None

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda idp: idp.userinfo.update(sub="another"),
        lambda idp: idp.userinfo.pop("sub"),
        lambda idp: idp.userinfo.update(sub=[SUBJECT]),
    ],
)
def test_a_userinfo_about_another_person_ends_the_sign_in(
    client: Client, idp: IdentityProvider, change: Callable[[IdentityProvider], object]
) -> None:
    idp.userinfo = dict(GROUPS)
    change(idp)
    with pytest.raises(AnswerRefused):
        visit(client, idp, "groups")


def without_access_token(idp: IdentityProvider) -> None:
    """Let the token endpoint answer only with an ID token."""
    usual = idp.token

    def token(form: dict[str, str]) -> tuple[int, Any]:
        status, values = usual(form)
        return status, {**values, "access_token": ""}

    idp.token = token  # type: ignore[method-assign]


@pytest.mark.parametrize(
    "change",
    [
        answer_with(200, b"[]"),
        answer_with(200, b"header.payload.signature"),
        answer_with(200, b" " * (issuers.MAX_RESPONSE_BYTES + 1)),
        answer_with(401, b"{}"),
        answer_with(302, b""),
        answer_with(200, b'{"a":' * 5000),
        lambda idp: idp.metadata.update(userinfo_endpoint="http://evil.example"),
        lambda idp: idp.metadata.update(userinfo_endpoint="https://127.0.0.1:1/userinfo"),
        lambda idp: idp.metadata.update(userinfo_endpoint=7),
        without_access_token,
    ],
)
def test_an_unusable_userinfo_leaves_the_claims_of_the_id_token(
    client: Client,
    idp: IdentityProvider,
    change: Callable[[IdentityProvider], object],
    caplog: pytest.LogCaptureFixture,
) -> None:
    idp.claims, idp.userinfo = {"name": "Alice"}, dict(GROUPS)
    change(idp)
    account = visit(client, idp, "groups")
    assert (account.subject, account.claims["name"]) == (SUBJECT, "Alice")
    assert ("groups" in account.claims, account.has_all_claims) == (False, False)
    warnings = [each for each in caplog.records if "does not work" in each.getMessage()]
    assert len(warnings) == 1
    assert ACCESS_TOKEN not in caplog.text


def test_a_slow_userinfo_does_not_end_the_sign_in(
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
    assert not visit(client, idp, "groups").has_all_claims
    assert time.monotonic() - began < 4.5


def test_deep_claims_do_not_end_the_process(client: Client, idp: IdentityProvider) -> None:
    deep = json.loads('{"a":' * 500 + "1" + "}" * 500)
    idp.claims, idp.userinfo = {"x": deep}, {**GROUPS, "x": deep}
    with suppress(ProviderError):
        visit(client, idp, "groups")
    assert with_missing({"a": {"b": 1}}, {"a": 2, "c": 3}) == {"a": {"b": 1}, "c": 3}


@pytest.mark.parametrize(
    ("claims", "userinfo", "status"),
    [
        ({"email": "new@example.org"}, {"email_verified": True}, 303),
        ({"email": "new@example.org"}, {}, 303),
        ({}, {"email": "new@example.org"}, 303),
        ({"email": "new@example.org", "email_verified": True}, {"email_verified": False}, 303),
        ({"email": "new@example.org"}, {"email_verified": False}, 403),
        ({}, {"email": "new@example.org", "email_verified": False}, 403),
        ({"email": "new@example.org"}, None, 403),
    ],
)
def test_a_new_person_needs_the_address_of_the_userinfo(
    app: Flask,
    client_of: ClientOf,
    idp: IdentityProvider,
    claims: dict[str, Any],
    userinfo: dict[str, Any] | None,
    status: int,
) -> None:
    """The rules need only claims of the ID token. Without `userinfo`, the endpoint fails."""
    rules = (RoleRule("groups", "editors", "acme", Role.EDITOR),)
    configure(app, configured(idp.issuer, roles=rules))
    idp.claims = {"name": "New", "groups": ["editors"], **claims}
    idp.userinfo = {"sub": SUBJECT, **(userinfo or {})}
    is_down = userinfo is None
    idp.answer = lambda path: (500, b"") if is_down and path == "/userinfo" else None
    with models.open_connection():
        before = Person.select().count()
    browser = client_of("nobody")
    answer = browser.get(idp.visit(begin_visit(browser)))
    with models.open_connection():
        is_created = Person.select().count() > before
    assert (answer.status_code, is_created) == (status, status == 303)
    assert ("Try again in a few minutes" in answer.text) is is_down
    if is_created:
        again = client_of("nobody")
        reads = idp.requests.count("/userinfo")
        idp.claims["email"] = None
        again.get(idp.visit(begin_visit(again)))
        assert idp.requests.count("/userinfo") == reads, "the person is no longer new"


@pytest.mark.parametrize(
    ("claims", "others", "expected"),
    [
        ({"groups": None}, {"groups": ["a"]}, {"a"}),
        ({"groups": []}, {"groups": ["a"]}, set()),
        ({"groups": ["b"]}, {"groups": None}, {"b"}),
        ({"groups": ["b"]}, {"groups": ["a"]}, {"b"}),
    ],
)
@pytest.mark.parametrize("nesting", ["groups", "realm.groups", "a.b.groups"])
def test_a_claim_that_is_null_is_missing(
    claims: dict[str, Any], others: dict[str, Any], expected: set[str], nesting: str
) -> None:
    for name in reversed(nesting.split(".")[:-1]):
        claims, others = {name: claims}, {name: others}
    assert lacks_any([nesting], claims) == ("null" in json.dumps(claims))
    assert claim_texts(nesting, with_missing(claims, others)) == expected


@pytest.mark.parametrize(
    ("claims", "others", "expected"),
    [
        ({"realm": {"roles": ["a"]}}, {"realm.roles": ["b"]}, {"a"}),
        ({"realm": {"roles": []}}, {"realm.roles": ["b"]}, set()),
        ({"realm.roles": ["a"]}, {"realm": {"roles": ["b"]}}, {"a"}),
        ({"realm.roles": None}, {"realm": {"roles": ["b"]}}, {"b"}),
        ({"realm": {"name": "a"}}, {"realm.roles": ["b"]}, {"b"}),
        ({"realm": {"roles": None}}, {"realm.roles": ["b"], "realm": {"roles": "c"}}, {"b"}),
    ],
)
def test_no_spelling_of_the_userinfo_replaces_a_claim_of_the_id_token(
    claims: dict[str, Any], others: dict[str, Any], expected: set[str]
) -> None:
    assert claim_texts("realm.roles", with_missing(claims, others)) == expected


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
        return browser.get(idp.visit(begin_visit(browser))).status_code

    assert sign_in() == 303
    assert roles() == [Role.VIEWER, Role.EDITOR]
    idp.answer = lambda path: (500, b"") if path == "/userinfo" else None
    assert sign_in() == 303
    assert roles() == [Role.VIEWER, Role.EDITOR], "an outage takes no role away"
    idp.answer = lambda _path: None
    idp.userinfo["groups"] = []
    assert sign_in() == 303
    assert roles() == [Role.VIEWER]
    with models.open_connection():
        assert all(ACCESS_TOKEN not in str(each.changes) for each in AuditEntry.select())


def test_a_rule_of_one_scope_blocks_no_sign_in_and_no_other_rule(
    app: Flask, client_of: ClientOf, actor_of: ActorOf, scope: ScopeAt, idp: IdentityProvider
) -> None:
    """An admin names a claim that nobody has, while the userinfo endpoint does not work."""
    provider = configured(idp.issuer)
    configure(app, provider)
    with models.open_connection():
        person = actor_of("account-viewer").person
        Identity.create(person=person, issuer=idp.issuer, subject=SUBJECT, label="old")
        make_role_rule(actor_of("scalr-admin"), scope("globex"), provider=provider)
        environment = scope("acme/production")
        Membership.create(person=person, scope=environment, role=Role.EDITOR)
        for claim in ("grops", "groups"):
            make_role_rule(
                actor_of("environment-admin"),
                environment,
                provider=provider,
                claim=claim,
                role=Role.ADMIN,
            )
    idp.claims, idp.userinfo = {"groups": ["editors"]}, {}
    idp.answer = lambda path: (401, b"") if path == "/userinfo" else None
    browser = client_of("nobody")
    answer = browser.get(idp.visit(begin_visit(browser)))
    assert (answer.status_code, idp.requests.count("/userinfo")) == (303, 1)
    with models.open_connection():
        assert roles_of(person) == {
            "acme": Role.VIEWER,
            "globex": Role.EDITOR,
            "acme/production": Role.EDITOR,
        }
