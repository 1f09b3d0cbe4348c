"""Sign-in and sessions."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask

from models import AuditEntry, EndedSession, Person, Scope, SessionKind, SignInSession
from tests.cast import PASSWORD
from tests.conftest import ActorOf, Clock
from webapp.people import accounts, sessions
from webapp.people.attempts import Attempts
from webapp.people.last_seen import LastSeen
from webapp.people.sessions import Lifetimes, SignInRefused

EMAIL = "account-editor@example.com"
LIFETIMES = Lifetimes(idle=timedelta(hours=12), absolute=timedelta(days=2))
PROOF = timedelta(minutes=15)


def start(person: Person) -> str:
    return sessions.start(person, SessionKind.PASSWORD, "127.0.0.1", "")


def test_sign_in_ignores_the_case_of_the_address(db: Flask) -> None:
    person = sessions.sign_in(f" {EMAIL.upper()} ", PASSWORD, "127.0.0.1", Attempts(""))
    assert person.email == EMAIL


@pytest.mark.parametrize("email", [EMAIL, "nobody@example.com"])
def test_a_refused_sign_in_does_not_reveal_whether_the_account_exists(
    db: Flask, email: str
) -> None:
    with pytest.raises(SignInRefused, match="Incorrect e-mail address or password"):
        sessions.sign_in(email, "something else", "127.0.0.1", Attempts(""))


def test_a_new_password_ends_every_session(actor_of: ActorOf) -> None:
    actor = actor_of("account-editor")
    tokens = [start(actor.person), start(actor.person)]
    other = start(actor_of("account-admin").person)
    assert _person_of(tokens[0]) == actor.person
    accounts.change_password(actor, "a whole new password")
    assert [sessions.load_session(token, LIFETIMES) for token in tokens] == [None, None]
    assert _person_of(start(actor.person)) == actor.person
    assert _person_of(other)
    entry = AuditEntry.get(AuditEntry.action == "person.password")
    assert entry.changes == {}


def test_a_session_that_begins_while_the_password_changes_is_not_valid(actor_of: ActorOf) -> None:
    """The old password was checked before the change, and the session is stored after it."""
    checked = sessions.sign_in(EMAIL, PASSWORD, "127.0.0.1", Attempts(""))
    accounts.change_password(actor_of("account-editor"), "a whole new password")
    assert sessions.load_session(start(checked), LIFETIMES) is None


def test_a_password_change_by_an_older_version_ends_the_sessions(actor_of: ActorOf) -> None:
    """An older version only changes the key, because it does not know the table of sessions."""
    person = actor_of("account-editor").person
    token = start(person)
    Person.update(session_key="new").where(Person.id == person.id).execute()
    assert sessions.load_session(token, LIFETIMES) is None


@pytest.mark.parametrize("token", ["", "x", "x" * 43, "x" * 44, "é" * 43, "²" * 43, "\ud800" * 43])
def test_invalid_tokens_are_refused(db: Flask, token: str) -> None:
    assert sessions.load_session(token, LIFETIMES) is None


def test_a_changed_token_is_refused(actor_of: ActorOf) -> None:
    token = start(actor_of("account-editor").person)
    for position in (0, 21, 42):
        changed = "A" if token[position] != "A" else "B"
        wrong = f"{token[:position]}{changed}{token[position + 1 :]}"
        assert sessions.load_session(wrong, LIFETIMES) is None
    assert _person_of(token)


def test_the_database_contains_no_token(actor_of: ActorOf) -> None:
    token = start(actor_of("account-editor").person)
    row = SignInSession.get()
    assert token not in str(row.__data__)
    assert sessions.load_session(row.digest, LIFETIMES) is None
    assert sessions.load_session(row.digest[:43], LIFETIMES) is None


def test_a_session_ends_when_it_is_not_used(actor_of: ActorOf, clock: Clock) -> None:
    token = start(actor_of("account-editor").person)
    begin = clock.now
    clock.go_to(begin + LIFETIMES.idle)
    assert _person_of(token)
    clock.go_to(begin + LIFETIMES.idle + timedelta(seconds=1))
    assert sessions.load_session(token, LIFETIMES) is None


def test_a_session_that_is_used_ends_after_its_absolute_lifetime(
    actor_of: ActorOf, clock: Clock
) -> None:
    token, seen, begin = start(actor_of("account-editor").person), LastSeen(), clock.now
    uses = 0
    while session := sessions.load_session(token, LIFETIMES):
        seen.remember(session.record)
        seen.save()
        uses += 1
        clock.go_to(clock.now + timedelta(hours=8))
    assert clock.now - timedelta(hours=8) <= begin + LIFETIMES.absolute < clock.now
    assert uses > 3


def test_a_person_has_a_limited_number_of_sessions(
    actor_of: ActorOf, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 3)
    person, tokens = actor_of("account-editor").person, []
    other = start(actor_of("account-admin").person)
    for _ in range(5):
        clock.go_to(clock.now + timedelta(minutes=1))
        tokens.append(start(person))
    assert [bool(_person_of(token)) for token in tokens] == [False, False, True, True, True]
    assert _person_of(other)


def test_sessions_end_with_the_account_of_the_person(actor_of: ActorOf) -> None:
    person = actor_of("account-editor").person
    token, other = start(person), start(actor_of("account-admin").person)
    person.delete_instance()
    assert sessions.load_session(token, LIFETIMES) is None
    assert _person_of(other)
    assert SignInSession.select().count() == 1


def test_a_session_shows_the_browser_and_its_address(actor_of: ActorOf) -> None:
    person = actor_of("account-editor").person
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
    sessions.start(person, SessionKind.PASSWORD, "::ffff:192.0.2.7", agent)
    row = SignInSession.get()
    assert (row.browser, row.address, row.kind) == (
        "Firefox on Linux",
        "192.0.2.7",
        SessionKind.PASSWORD,
    )


@pytest.mark.parametrize(
    ("person", "path", "lineage"),
    [
        ("scalr-admin", "acme/production", ["acme/production", "acme", ""]),
        ("account-viewer", "acme", ["acme", ""]),
        ("outsider", "", [""]),
        ("account-viewer", "acme/gone", None),
    ],
)
def test_a_session_has_the_roles_and_the_requested_scope(
    actor_of: ActorOf, person: str, path: str, lineage: list[str] | None
) -> None:
    actor = actor_of(person)
    session = sessions.load_session(start(actor.person), LIFETIMES, path)
    assert session is not None
    assert (session.actor.person, session.actor.roles) == (actor.person, actor.roles)
    assert session.scope == Scope.at(path)
    found = session.scope and [scope.path for scope in session.scope.lineage]
    assert found == lineage


def _person_of(token: str) -> Person | None:
    session = sessions.load_session(token, LIFETIMES)
    return session.actor.person if session else None


def test_expired_sessions_are_purged(actor_of: ActorOf, clock: Clock) -> None:
    person, begin = actor_of("account-editor").person, clock.now
    unused, old = start(person), start(person)
    clock.go_to(begin + LIFETIMES.absolute)
    valid = start(person)
    EndedSession.create(token="of an older version", ended_at=begin)
    assert not sessions.purge_chunk(LIFETIMES)
    assert SignInSession.select().count() == 1
    assert _person_of(valid)
    assert not _person_of(unused)
    assert not _person_of(old)
    assert EndedSession.select().count() == 1
    EndedSession.update(ended_at=begin - timedelta(days=40)).execute()
    sessions.purge_chunk(LIFETIMES)
    assert EndedSession.select().count() == 0


def test_a_proof_gives_the_session_a_new_token(actor_of: ActorOf, clock: Clock) -> None:
    """Other tabs may have sent requests with the old token, which is valid for 30 seconds."""
    old = start(actor_of("account-editor").person)
    clock.go_to(clock.now + timedelta(minutes=20))
    session = sessions.load_session(old, LIFETIMES)
    assert session is not None
    assert not sessions.is_confirmed(session, PROOF)
    new = sessions.confirm(session)
    renewed = sessions.load_session(new, LIFETIMES)
    assert renewed is not None
    assert (renewed.record.id, sessions.is_confirmed(renewed, PROOF)) == (session.record.id, True)
    late = sessions.load_session(old, LIFETIMES)
    assert late is not None
    assert not sessions.is_confirmed(late, PROOF), "the old token does not profit from the proof"
    clock.go_to(clock.now + timedelta(seconds=31))
    assert sessions.load_session(old, LIFETIMES) is None
    assert _person_of(new)


def test_two_proofs_at_the_same_moment_give_one_token(actor_of: ActorOf, clock: Clock) -> None:
    """The browser stores the token of the last response, so only one response may have one."""
    old = start(actor_of("account-editor").person)
    first, second = (sessions.load_session(old, LIFETIMES) for _ in range(2))
    assert first is not None
    assert second is not None
    token = sessions.confirm(first)
    late = sessions.load_session(old, LIFETIMES)
    assert late is not None
    assert [sessions.confirm(second), sessions.confirm(late)] == ["", ""]
    clock.go_to(clock.now + timedelta(seconds=31))
    assert _person_of(token)


def test_ending_the_other_sessions_ends_the_previous_token(actor_of: ActorOf) -> None:
    actor = actor_of("account-editor")
    old = start(actor.person)
    session = sessions.load_session(old, LIFETIMES)
    assert session is not None
    new = sessions.confirm(session)
    assert sessions.load_session(old, LIFETIMES) is not None
    sessions.end_others(actor, session.record)
    assert sessions.load_session(old, LIFETIMES) is None
    assert sessions.load_session(new, LIFETIMES) is not None


def test_signing_out_ends_both_tokens(actor_of: ActorOf) -> None:
    actor = actor_of("account-editor")
    old = start(actor.person)
    session = sessions.load_session(old, LIFETIMES)
    assert session is not None
    new = sessions.confirm(session)
    late = sessions.load_session(old, LIFETIMES)
    assert late is not None
    sessions.end(actor, late.record)
    assert [sessions.load_session(token, LIFETIMES) for token in (old, new)] == [None, None]
