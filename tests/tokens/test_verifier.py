"""Requests with tokens: who acts, with which rights, and which tokens are refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from flask import Flask

import models
from models import ApiToken, AuditEntry, Membership, Person, Role, Scope
from tests.conftest import ActorOf, Clock, ScopeAt
from tests.tokens.helpers import CLIENT, entries_with, make_token
from tests.views.test_statement_counts import recorded_statements
from webapp.access import Actor, Right
from webapp.audit import seals
from webapp.credentials.vault import Vault, VaultError
from webapp.people import directory, members, scopes
from webapp.people.attempts import Attempts, TooManyAttempts
from webapp.people.last_seen import LastUsed
from webapp.tokens import token_text, tokens
from webapp.tokens.verifier import TokenRefused, TokenVerifier


@pytest.fixture
def verifier(db: Flask) -> TokenVerifier:
    found: TokenVerifier = db.extensions["services"].token_verifier
    return found


@pytest.fixture
def admin(actor_of: ActorOf) -> Actor:
    return actor_of("account-admin")


def refusal(verifier: TokenVerifier, text: str, address: str = CLIENT) -> str:
    with pytest.raises(TokenRefused) as caught:
        verifier.authenticate(text, address)
    return caught.value.message


def test_a_personal_token_acts_for_its_person_at_its_scope_only(
    verifier: TokenVerifier, actor_of: ActorOf, scope: ScopeAt, vault: Vault
) -> None:
    scalr_admin = actor_of("scalr-admin")
    made = make_token(scalr_admin, scope("acme"), vault)
    actor = verifier.authenticate(made.text, CLIENT)
    assert actor.person == scalr_admin.person
    assert actor.token == made.token
    assert actor.roles == {scope("acme").id: Role.EDITOR}
    assert actor.may(Right.EDIT_IMAGES, scope("acme/production"))
    assert not actor.may(Right.MANAGE_MEMBERS, scope("acme"))
    for path in ("", "globex", "globex/lab"):
        assert actor.role_at(scope(path)) is None
    paths = [each.path for each in scopes.visible_to(actor).rows]
    assert paths == ["acme", "acme/production", "acme/staging"]


def test_a_token_of_a_scope_acts_for_the_scope(
    verifier: TokenVerifier, admin: Actor, scope: ScopeAt, vault: Vault
) -> None:
    made = make_token(admin, scope("acme"), vault, is_personal=False, role=Role.ADMIN)
    actor = verifier.authenticate(made.text, CLIENT)
    assert actor.person.is_service
    assert actor.person.label == actor.person.contact == "Account acme"
    assert actor.roles == {scope("acme").id: Role.ADMIN}
    # It does not depend on the person who made it.
    Membership.delete().where(Membership.person == admin.person).execute()
    assert verifier.authenticate(made.text, CLIENT).may(Right.MANAGE_SCOPES, scope("acme"))


def test_nobody_sees_or_becomes_the_service_person(
    admin: Actor, actor_of: ActorOf, scope: ScopeAt, vault: Vault
) -> None:
    made = make_token(admin, scope("acme"), vault, is_personal=False)
    service = Person.get_by_id(made.token.person_id)
    assert service.disabled_at is not None
    assert service not in directory.find_people().rows
    with pytest.raises(directory.PersonError):
        directory.enable(actor_of("scalr-admin"), service.id)
    assert service not in [each.person for each in members.members_at(scope("acme")).rows]
    assert make_token(admin, scope("acme"), vault, is_personal=False, name="b").token.person == (
        service
    )


def test_the_service_person_has_the_current_name_of_the_scope(
    verifier: TokenVerifier, actor_of: ActorOf, scope: ScopeAt, vault: Vault
) -> None:
    admin, acme = actor_of("scalr-admin"), scope("acme")
    made = make_token(admin, scope("acme/production"), vault, is_personal=False)
    scopes.rename(admin, acme, "Renamed")
    actor = verifier.authenticate(made.text, CLIENT)
    assert actor.person.name == "Environment Renamed / production"


def test_each_use_takes_one_query_and_no_write(
    verifier: TokenVerifier, editor: Actor, scope: ScopeAt, vault: Vault
) -> None:
    made = make_token(editor, scope("acme/production"), vault)
    with recorded_statements() as statements:
        verifier.authenticate(made.text, CLIENT)
        mistyped = made.text[:-1] + ("0" if made.text[-1] != "0" else "1")
        refusal(verifier, mistyped)
        refusal(verifier, "Bearer x")
    assert len(statements) == 1
    assert statements[0].startswith("SELECT")


def test_the_time_of_the_last_use_is_saved_to_the_hour(
    verifier: TokenVerifier, editor: Actor, scope: ScopeAt, vault: Vault, clock: Clock
) -> None:
    made = make_token(editor, scope("acme"), vault)
    hour = clock.now.replace(minute=0, second=0) + timedelta(hours=1)
    for minutes in (5, 59):
        clock.go_to(hour + timedelta(minutes=minutes))
        verifier.authenticate(made.text, CLIENT)
        verifier.last_used.save()
        stored = ApiToken.get_by_id(made.token.id)
        assert (stored.used_at, stored.revision) == (hour, made.token.revision)
    other = LastUsed()
    clock.go_to(hour + timedelta(hours=2, minutes=3))
    TokenVerifier(vault, Attempts(""), other).authenticate(made.text, CLIENT)
    other.save()
    assert ApiToken.get_by_id(made.token.id).used_at == hour + timedelta(hours=2)


def test_a_personal_token_never_has_more_rights_than_its_person(
    verifier: TokenVerifier, editor: Actor, scope: ScopeAt, vault: Vault
) -> None:
    made = make_token(editor, scope("acme/production"), vault)
    own = Membership.person == editor.person
    for held, expected in ((Role.VIEWER, Role.VIEWER), (Role.ADMIN, Role.EDITOR)):
        Membership.update_all(role=held).where(own).execute()
        actor = verifier.authenticate(made.text, CLIENT)
        assert actor.role_at(scope("acme/production")) is expected
    # The stronger role at the environment counts, too.
    Membership.update_all(role=Role.VIEWER).where(own).execute()
    Membership.create(person=editor.person, scope=scope("acme/production"), role=Role.EDITOR)
    assert verifier.authenticate(made.text, CLIENT).role_at(scope("acme/production")) is Role.EDITOR


def test_a_person_without_a_role_has_no_token(
    verifier: TokenVerifier, admin: Actor, editor: Actor, scope: ScopeAt, vault: Vault
) -> None:
    made = make_token(editor, scope("acme/production"), vault)
    kept = make_token(editor, scope("acme/production"), vault, name="b").token
    membership = Membership.get(person=editor.person)
    Membership.delete().where(Membership.id == membership.id).execute()
    assert "no longer has a role" in refusal(verifier, made.text)
    Membership.insert(membership.__data__).execute()
    members.remove(admin, scope("acme"), membership.id)
    assert ApiToken.get_or_none(id=kept.id) is None
    ended = entries_with("token.revoke")
    assert [(each.person_id, each.subject) for each in ended] == [
        (admin.person.id, "nightly build"),
        (admin.person.id, "b"),
    ]
    Membership.create(person=editor.person, scope=scope("acme"), role=Role.EDITOR)
    assert "revoked" in refusal(verifier, made.text)


def test_a_role_that_remains_keeps_the_token(
    verifier: TokenVerifier, admin: Actor, editor: Actor, scope: ScopeAt, vault: Vault
) -> None:
    production = scope("acme/production")
    Membership.create(person=editor.person, scope=production, role=Role.VIEWER)
    made = make_token(editor, production, vault)
    lost = make_token(editor, scope("acme"), vault)
    membership = Membership.get(person=editor.person, scope=scope("acme"))
    members.remove(admin, scope("acme"), membership.id)
    assert verifier.authenticate(made.text, CLIENT).role_at(production) is Role.VIEWER
    refusal(verifier, lost.text)


@pytest.mark.parametrize("end", [directory.disable, directory.remove])
def test_a_disabled_or_removed_person_loses_all_tokens(
    verifier: TokenVerifier,
    actor_of: ActorOf,
    editor: Actor,
    scope: ScopeAt,
    vault: Vault,
    end: object,
) -> None:
    made = make_token(editor, scope("acme"), vault)
    Person.update(disabled_at=models.now()).where(Person.id == editor.person.id).execute()
    assert "no longer has a role" in refusal(verifier, made.text)
    Person.update(disabled_at=None).where(Person.id == editor.person.id).execute()
    assert callable(end)
    end(actor_of("scalr-admin"), editor.person.id)
    assert ApiToken.select().count() == 0
    Person.update(disabled_at=None).where(Person.id == editor.person.id).execute()
    assert "revoked" in refusal(verifier, made.text)


def test_a_token_ends_with_its_scope(
    verifier: TokenVerifier, admin: Actor, scope: ScopeAt, vault: Vault
) -> None:
    made = make_token(admin, scope("acme/production"), vault, is_personal=False)
    production = scope("acme/production")
    assert scopes.count_contents(scope("acme")).tokens == 1
    hidden = Scope.id == production.id
    Scope.update_all(deleted_at=models.now()).where(hidden).execute()
    refusal(verifier, made.text)
    Scope.update_all(deleted_at=None).where(hidden).execute()
    verifier.authenticate(made.text, CLIENT)
    scopes.start_deletion(admin, scope("acme/production"), "production")
    assert ApiToken.select().count() == 0


def test_a_token_expires(
    verifier: TokenVerifier, editor: Actor, scope: ScopeAt, vault: Vault, clock: Clock
) -> None:
    made = make_token(editor, scope("acme"), vault)
    clock.go_to(made.token.expires_at - timedelta(seconds=1))
    verifier.authenticate(made.text, CLIENT)
    clock.go_to(made.token.expires_at)
    assert "expired" in refusal(verifier, made.text)
    assert not tokens.purge_chunk()
    assert tokens.tokens_of(editor)
    clock.go_to(made.token.expires_at + timedelta(days=31))
    tokens.purge_chunk()
    assert not tokens.tokens_of(editor)


@pytest.mark.parametrize(
    ("address", "is_right"),
    [
        ("198.51.100.9", True),
        ("::ffff:198.51.100.9", True),
        ("198.51.101.9", False),
        ("2001:db8::1", True),
        ("2001:db8::1%eth0", True),
        ("2001:db9::1", False),
        ("", False),
        ("unix:", False),
    ],
)
def test_a_token_works_only_in_its_networks(
    verifier: TokenVerifier,
    editor: Actor,
    scope: ScopeAt,
    vault: Vault,
    address: str,
    is_right: bool,
) -> None:
    networks = ["198.51.100.0/24", "2001:db8::/32"]
    made = make_token(editor, scope("acme"), vault, networks=networks)
    if is_right:
        assert verifier.authenticate(made.text, address).token == made.token
        return
    assert "must not be used from" in refusal(verifier, made.text, address)
    entry = AuditEntry.get(AuditEntry.action == "token.refused")
    assert entry.changes["reason"] == [None, "wrong network"]


def test_wrong_tokens_are_recorded_and_delayed_by_address(
    verifier: TokenVerifier,
    editor: Actor,
    scope: ScopeAt,
    vault: Vault,
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = make_token(editor, scope("acme"), vault)
    forged = token_text.new_text(made.token.key)
    unknown = token_text.new_text("0123456789ab")
    message = refusal(verifier, forged)
    assert message == refusal(verifier, unknown)
    first, second = entries_with("token.refused")
    assert (first.subject, first.scope_id) == ("nightly build", scope("acme").id)
    assert (second.subject, second.scope_id) == ("an unknown token", None)
    assert first.changes == {"address": [None, CLIENT], "reason": [None, "wrong secret"]}
    for _ in range(28):
        refusal(verifier, unknown)
    with pytest.raises(TooManyAttempts) as caught:
        verifier.authenticate(unknown, CLIENT)
    assert caught.value.retry_after > 0
    assert "wrong token" in caught.value.message
    # Neither the right token nor another address has to wait.
    assert verifier.authenticate(made.text, CLIENT).token == made.token
    refusal(verifier, unknown, "203.0.113.8")
    for text in (forged, unknown, made.text):
        assert text[17:] not in caplog.text
        assert text[17:] not in str([entry.__data__ for entry in AuditEntry.select()])


def test_tokens_work_after_the_keys_of_the_vault_have_changed(
    verifier: TokenVerifier, editor: Actor, scope: ScopeAt, vault: Vault
) -> None:
    made = make_token(editor, scope("acme"), vault)
    old, new = vault._keys[0], Fernet.generate_key().decode()
    Vault([new, old]).rotate()
    only_new = TokenVerifier(Vault([new]), Attempts(""), LastUsed())
    assert only_new.authenticate(made.text, CLIENT).token == made.token
    refusal(verifier, made.text)
    with pytest.raises(VaultError, match="nightly build"):
        Vault([old]).rotate()


def test_the_database_does_not_contain_the_secret(
    editor: Actor, scope: ScopeAt, vault: Vault
) -> None:
    made = make_token(editor, scope("acme"), vault)
    stored = str(models.database.execute_sql("SELECT * FROM api_token").fetchall())
    assert made.token.key in stored
    assert made.text[17:] not in stored
    assert made.text[17:] not in str([entry.__data__ for entry in AuditEntry.select()])


def test_a_copied_row_lets_nobody_use_the_token_of_another_person(
    verifier: TokenVerifier, editor: Actor, admin: Actor, scope: ScopeAt, vault: Vault
) -> None:
    mine = make_token(editor, scope("acme"), vault)
    theirs = make_token(admin, scope("acme"), vault)
    copied = {"sealed_key": mine.token.sealed_key, "mac": mine.token.mac}
    ApiToken.update_all(**copied).where(ApiToken.id == theirs.token.id).execute()
    body = mine.text[:-6].replace(mine.token.key, theirs.token.key)
    refusal(verifier, body + token_text.checksum(body))


def test_simultaneous_requests_share_a_verifier(
    verifier: TokenVerifier, editor: Actor, scope: ScopeAt, vault: Vault
) -> None:
    made = make_token(editor, scope("acme"), vault)

    def use(_: int) -> str:
        with models.open_connection():
            actor = verifier.authenticate(made.text, CLIENT)
            return actor.token.key if actor.token else ""

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(use, range(20))) == {made.token.key}


def test_an_entry_with_a_token_is_sealed(
    verifier: TokenVerifier, admin: Actor, scope: ScopeAt, vault: Vault
) -> None:
    made = make_token(admin, scope("acme"), vault, role=Role.ADMIN)
    scopes.create(verifier.authenticate(made.text, CLIENT), scope("acme"), "By token")
    entry = AuditEntry.get(AuditEntry.action == "environment.create")
    assert (entry.person_name, entry.token_name) == ("account-admin", "nightly build")
    keys = vault.derive_keys(seals.PURPOSE)
    seals.seal_chunk(keys)
    assert seals.verify(keys).fault is None
    AuditEntry.update(token_name="").where(AuditEntry.id == entry.id).execute()
    assert seals.verify(keys).fault == seals.Fault("entry", entry.id, "changed")
