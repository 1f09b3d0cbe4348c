"""Creating, listing, rotating and revoking tokens."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, timedelta
from typing import Any

import pytest
from flask import Flask

import models
from models import ApiToken, Job, Role
from tests.conftest import ActorOf, Clock, ScopeAt
from tests.tokens.helpers import CLIENT, entries_with, make_token
from webapp.access import Actor, Forbidden
from webapp.credentials.vault import Vault
from webapp.jobs import store
from webapp.people import members
from webapp.revisions.conflicts import EditConflict
from webapp.tokens import tokens
from webapp.tokens.tokens import TokenError
from webapp.tokens.verifier import TokenRefused, TokenVerifier, actor_of_job


@pytest.fixture
def admin(actor_of: ActorOf) -> Actor:
    return actor_of("account-admin")


@pytest.fixture
def verifier(db: Flask) -> TokenVerifier:
    found: TokenVerifier = db.extensions["services"].token_verifier
    return found


def test_a_token_is_listed_without_its_secret(
    editor: Actor, admin: Actor, scope: ScopeAt, vault: Vault
) -> None:
    own = make_token(editor, scope("acme/production"), vault, networks=["10.1.2.3", " 10.1.2.3/32"])
    of_scope = make_token(admin, scope("acme"), vault, is_personal=False, name="deploy")
    (listed,) = tokens.tokens_of(editor)
    assert (listed.name, listed.role, listed.networks) == (
        "nightly build",
        "editor",
        ["10.1.2.3/32"],
    )
    assert listed.scope.label == "Environment acme / production"
    assert listed.used_at is None
    assert [each.id for each in tokens.tokens_at(admin, scope("acme"))] == [of_scope.token.id]
    assert tokens.tokens_at(admin, scope("acme"))[0].created_by == admin.person
    assert tokens.tokens_of(admin) == []
    assert tokens.find_own(editor, own.token.id) == own.token
    assert tokens.find_own(admin, own.token.id) is None
    assert tokens.find_at(admin, scope("acme"), own.token.id) is None
    assert tokens.find_at(admin, scope("acme/staging"), of_scope.token.id) is None


def test_creating_a_token_is_audited(
    editor: Actor, admin: Actor, scope: ScopeAt, vault: Vault
) -> None:
    made = make_token(editor, scope("acme"), vault, networks=["10.0.0.0/8"])
    make_token(admin, scope("acme"), vault, is_personal=False)
    own, of_scope = entries_with("token.create")
    assert (own.person_name, own.subject, own.scope_label) == (
        "account-editor",
        "nightly build",
        "Account acme",
    )
    assert own.changes == {
        "role": [None, "editor"],
        "expires_at": [None, f"{made.token.expires_at:%Y-%m-%d %H:%M} UTC"],
        "networks": [None, ["10.0.0.0/8"]],
        "owner": [None, "account-editor (account-editor@example.com)"],
    }
    assert of_scope.changes["owner"] == [None, "Account acme"]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"name": "a\u202eb"}, "name"),
        ({"role": Role.ADMIN}, "role"),
        ({"networks": ["10.0.0.0/33"]}, "networks"),
        ({"networks": ["example.com"]}, "networks"),
        ({"networks": [f"10.0.{number}.0/24" for number in range(21)]}, "networks"),
    ],
)
def test_wrong_values_are_refused(
    editor: Actor, scope: ScopeAt, vault: Vault, values: dict[str, Any], field: str
) -> None:
    with pytest.raises(TokenError) as caught:
        make_token(editor, scope("acme"), vault, **values)
    assert caught.value.field == field
    assert ApiToken.select().count() == 0


def test_a_token_is_valid_for_at_most_366_days(
    editor: Actor, scope: ScopeAt, vault: Vault, clock: Clock
) -> None:
    latest = tokens.latest_expiry()
    assert (latest.hour, latest.minute, latest.tzinfo) == (0, 0, UTC)
    assert latest.date() == clock.now.date() + timedelta(days=367)
    make_token(editor, scope("acme"), vault, expires_at=latest)
    for wrong in (latest + timedelta(seconds=1), clock.now):
        with pytest.raises(TokenError) as caught:
            make_token(editor, scope("acme"), vault, name="b", expires_at=wrong)
        assert caught.value.field == "expires_at"


def test_names_are_unique_for_each_owner_and_scope(
    editor: Actor, admin: Actor, scope: ScopeAt, vault: Vault
) -> None:
    for actor, path, is_personal in (
        (editor, "acme", True),
        (editor, "acme/staging", True),
        (admin, "acme", True),
        (admin, "acme", False),
    ):
        make_token(actor, scope(path), vault, is_personal=is_personal)
        with pytest.raises(TokenError, match="Another token") as caught:
            make_token(actor, scope(path), vault, is_personal=is_personal)
        assert caught.value.field == "name"


def test_an_owner_has_a_maximum_number_of_tokens(
    editor: Actor, scope: ScopeAt, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "MAX_TOKENS", 1)
    make_token(editor, scope("acme"), vault)
    with pytest.raises(TokenError, match="Revoke"):
        make_token(editor, scope("acme"), vault, name="b")


@pytest.mark.parametrize(
    ("name", "path", "role", "personal", "of_scope"),
    [
        ("account-viewer", "acme", Role.VIEWER, True, False),
        ("account-viewer", "acme/staging", Role.VIEWER, True, False),
        ("account-viewer", "acme", Role.EDITOR, False, False),
        ("account-editor", "acme", Role.EDITOR, True, False),
        ("account-admin", "acme", Role.ADMIN, True, True),
        ("account-admin", "acme/staging", Role.ADMIN, True, True),
        ("account-admin", "", Role.VIEWER, False, False),
        ("environment-admin", "acme", Role.VIEWER, False, False),
        ("stranger", "acme", Role.VIEWER, False, False),
        ("outsider", "acme", Role.VIEWER, False, False),
    ],
)
def test_nobody_gives_a_token_more_rights_than_they_have(
    request: pytest.FixtureRequest,
    name: str,
    path: str,
    role: Role,
    personal: bool,
    of_scope: bool,
) -> None:
    actor = request.getfixturevalue("actor_of")(name)
    scope, vault = request.getfixturevalue("scope")(path), request.getfixturevalue("vault")
    for is_personal, is_right in ((True, personal), (False, of_scope)):
        values = {"role": role, "is_personal": is_personal}
        if is_right:
            assert make_token(actor, scope, vault, **values).token.role is role
            continue
        with pytest.raises((Forbidden, TokenError)):
            make_token(actor, scope, vault, **values)


def test_a_token_that_creates_a_token_gives_it_no_more_than_it_has(
    verifier: TokenVerifier, admin: Actor, scope: ScopeAt, vault: Vault
) -> None:
    expires_at = models.now() + timedelta(days=30)
    limits = {"role": Role.ADMIN, "networks": ["203.0.113.0/24"], "expires_at": expires_at}
    limits["is_personal"] = False
    made = make_token(admin, scope("acme"), vault, **limits)
    actor = verifier.authenticate(made.text, CLIENT)
    wider: list[tuple[dict[str, Any], str]] = [
        ({"expires_at": expires_at + timedelta(seconds=1)}, "expires_at"),
        ({"networks": []}, "networks"),
        ({"networks": ["203.0.112.0/23"]}, "networks"),
        ({"networks": ["203.0.113.4", "2001:db8::/32"]}, "networks"),
        ({"is_personal": True}, ""),
    ]
    for values, field in wider:
        with pytest.raises(TokenError) as caught:
            make_token(actor, scope("acme"), vault, **{**limits, "name": "b", **values})
        assert caught.value.field == field
    narrow = {**limits, "name": "b", "networks": ["203.0.113.4"], "role": Role.VIEWER}
    second = make_token(actor, scope("acme/staging"), vault, **narrow)
    entry = entries_with("token.create")[1]
    assert (entry.person_name, entry.person_email, entry.token_name) == (
        "Account acme",
        "",
        "nightly build",
    )
    assert second.token.created_by == actor.person


def test_rotating_replaces_the_secret_and_keeps_the_rest(
    verifier: TokenVerifier, editor: Actor, scope: ScopeAt, vault: Vault, clock: Clock
) -> None:
    made = make_token(editor, scope("acme"), vault)
    clock.go_to(clock.now + timedelta(days=3))
    new_expiry = clock.now + timedelta(days=90)
    renewed = tokens.rotate(editor, made.token, vault, expires_at=new_expiry, based_on=1)
    with pytest.raises(TokenRefused, match="rotated"):
        verifier.authenticate(made.text, CLIENT)
    actor = verifier.authenticate(renewed.text, CLIENT)
    assert actor.token is not None
    assert (actor.token.id, actor.token.key) == (made.token.id, made.token.key)
    assert (actor.token.expires_at, actor.token.rotated_at) == (new_expiry, clock.now)
    (entry,) = entries_with("token.rotate")
    assert entry.changes["secret"] == ["(secret)", "(secret)"]
    for text in (made.text, renewed.text):
        assert text[17:] not in str(entry.__data__)
    with pytest.raises(EditConflict):
        tokens.rotate(editor, made.token, vault, expires_at=new_expiry, based_on=1)
    with pytest.raises(TokenError):
        tokens.rotate(editor, made.token, vault, expires_at=clock.now)
    verifier.authenticate(renewed.text, CLIENT)


def test_of_two_simultaneous_rotations_the_last_works(
    verifier: TokenVerifier, editor: Actor, scope: ScopeAt, vault: Vault
) -> None:
    made = make_token(editor, scope("acme"), vault)
    expires_at = made.token.expires_at

    def rotate(_: int) -> str:
        with models.open_connection():
            token = tokens.find_own(editor, made.token.id)
            assert token is not None
            try:
                return tokens.rotate(editor, token, vault, expires_at=expires_at, based_on=1).text
            except EditConflict:
                return ""

    with ThreadPoolExecutor(4) as pool:
        texts = [text for text in pool.map(rotate, range(4)) if text]
    assert len(texts) == 1
    verifier.authenticate(texts[0], CLIENT)


def test_a_revoked_token_is_gone(
    verifier: TokenVerifier, editor: Actor, scope: ScopeAt, vault: Vault
) -> None:
    made = make_token(editor, scope("acme"), vault)
    tokens.revoke(editor, made.token, based_on=1)
    with pytest.raises(TokenRefused):
        verifier.authenticate(made.text, CLIENT)
    assert tokens.tokens_of(editor) == []
    assert entries_with("token.revoke")[0].subject == "nightly build"
    with pytest.raises(TokenError, match="already been revoked"):
        tokens.revoke(editor, made.token)
    with pytest.raises(TokenError, match="already been revoked"):
        tokens.rotate(editor, made.token, vault, expires_at=made.token.expires_at)
    make_token(editor, scope("acme"), vault)


def test_only_the_owner_changes_a_token(
    verifier: TokenVerifier,
    editor: Actor,
    admin: Actor,
    actor_of: ActorOf,
    scope: ScopeAt,
    vault: Vault,
) -> None:
    own = make_token(editor, scope("acme"), vault).token
    of_scope = make_token(admin, scope("acme"), vault, is_personal=False).token
    others = make_token(admin, scope("acme"), vault, role=Role.ADMIN)
    with_token = verifier.authenticate(others.text, CLIENT)
    for actor, token in (
        (admin, own),
        (with_token, own),
        (editor, of_scope),
        (actor_of("environment-admin"), of_scope),
        (actor_of("stranger"), of_scope),
    ):
        with pytest.raises(Forbidden):
            tokens.revoke(actor, token)
        with pytest.raises(Forbidden):
            tokens.rotate(actor, token, vault, expires_at=token.expires_at)
    tokens.revoke(with_token, of_scope)


def test_a_token_sees_and_changes_itself(
    verifier: TokenVerifier, editor: Actor, scope: ScopeAt, vault: Vault
) -> None:
    made = make_token(editor, scope("acme"), vault, role=Role.VIEWER)
    other = make_token(editor, scope("acme"), vault, name="b").token
    actor = verifier.authenticate(made.text, CLIENT)
    assert tokens.find_current(actor) == made.token
    assert tokens.find_current(editor) is None
    with pytest.raises(TokenError, match="has only the role viewer at Account acme"):
        tokens.revoke(actor, other)
    with pytest.raises(Forbidden):
        tokens.rotate(actor, other, vault, expires_at=other.expires_at)
    later = made.token.expires_at + timedelta(days=1)
    with pytest.raises(TokenError, match="when the token of this request expires"):
        tokens.rotate(actor, made.token, vault, expires_at=later)
    renewed = tokens.rotate(actor, made.token, vault, expires_at=made.token.expires_at)
    again = verifier.authenticate(renewed.text, CLIENT)
    tokens.revoke(again, renewed.token)
    assert tokens.tokens_of(editor) == [other]


def test_a_token_lists_and_revokes_the_own_tokens_of_its_person_below_its_scope(
    verifier: TokenVerifier, admin: Actor, editor: Actor, scope: ScopeAt, vault: Vault
) -> None:
    made = make_token(editor, scope("acme/production"), vault)
    same = make_token(editor, scope("acme/production"), vault, name="same").token
    above = make_token(editor, scope("acme"), vault, name="above").token
    beside = make_token(editor, scope("acme/staging"), vault, name="beside").token
    others = make_token(admin, scope("acme/production"), vault).token
    actor = verifier.authenticate(made.text, CLIENT)
    assert tokens.tokens_of(actor) == [made.token, same]
    assert tokens.find_own(actor, same.id) == same
    for hidden in (above, beside, others):
        assert tokens.find_own(actor, hidden.id) is None
        with pytest.raises(Forbidden):
            tokens.revoke(actor, hidden)
    tokens.revoke(actor, same)
    assert tokens.tokens_of(editor) == [above, beside, made.token]
    entry = entries_with("token.revoke")[-1]
    assert (entry.token_name, entry.subject) == (made.token.name, "same")


def test_the_token_of_a_scope_sees_no_personal_token(
    verifier: TokenVerifier, admin: Actor, scope: ScopeAt, vault: Vault
) -> None:
    own = make_token(admin, scope("acme"), vault).token
    of_scope = make_token(admin, scope("acme"), vault, is_personal=False, role=Role.ADMIN)
    actor = verifier.authenticate(of_scope.text, CLIENT)
    assert tokens.tokens_of(actor) == []
    assert tokens.find_own(actor, own.id) is None
    assert tokens.find_own(actor, of_scope.token.id) is None
    with pytest.raises(Forbidden):
        tokens.revoke(actor, own)


def test_a_job_has_the_rights_of_its_token(
    verifier: TokenVerifier, actor_of: ActorOf, scope: ScopeAt, vault: Vault, clock: Clock
) -> None:
    scalr_admin, acme = actor_of("scalr-admin"), scope("acme")
    made = make_token(scalr_admin, acme, vault)
    actor = verifier.authenticate(made.text, CLIENT)
    job = Job.get_by_id(store.create_job(actor, acme, "image-share", {}, ()).id)
    found = actor_of_job(job)
    assert (found.person, found.job_id, found.token) == (scalr_admin.person, job.id, made.token)
    assert found.roles == {acme.id: Role.EDITOR}
    clock.go_to(made.token.expires_at + timedelta(hours=1))
    assert actor_of_job(job).roles, "a job may take longer than its token is valid"
    clock.go_to(made.token.created_at)
    tokens.revoke(scalr_admin, made.token)
    assert actor_of_job(job).roles == {}
    by_person = store.create_job(scalr_admin, acme, "image-share", {}, ())
    assert actor_of_job(by_person).roles == scalr_admin.roles


def test_an_invitation_by_a_token_works_while_the_token_may_invite(
    verifier: TokenVerifier, admin: Actor, scope: ScopeAt, vault: Vault
) -> None:
    made = make_token(admin, scope("acme"), vault, is_personal=False, role=Role.ADMIN)
    actor = verifier.authenticate(made.text, CLIENT)
    text = members.invite(actor, scope("acme"), "new@example.com", Role.VIEWER)
    assert members.find_invitation(text).email == "new@example.com"
    tokens.revoke(admin, made.token)
    with pytest.raises(members.InvalidInvitation):
        members.find_invitation(text)
