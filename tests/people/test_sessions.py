"""Sign-in, the limit on failed sign-ins, and sessions."""

from __future__ import annotations

import socket
from datetime import timedelta

import pytest
from flask import Flask

from models import AuditEntry, EndedSession, Person, Scope, now
from tests.cast import PASSWORD
from tests.conftest import ActorOf
from tests.postgresql import free_port
from webapp.people import accounts, sessions
from webapp.people.sessions import FailedSignIns, SignInRefused, TooManyFailedSignIns

EMAIL = "account-editor@example.com"


def test_sign_in_ignores_the_case_of_the_address(db: Flask) -> None:
    person = sessions.sign_in(f" {EMAIL.upper()} ", PASSWORD, "127.0.0.1", FailedSignIns(""))
    assert person.email == EMAIL


@pytest.mark.parametrize("email", [EMAIL, "nobody@example.com"])
def test_a_refused_sign_in_does_not_reveal_whether_the_account_exists(
    db: Flask, email: str
) -> None:
    with pytest.raises(SignInRefused, match="Incorrect e-mail address or password"):
        sessions.sign_in(email, "something else", "127.0.0.1", FailedSignIns(""))


def test_failures_are_limited_by_email_address(db: Flask) -> None:
    failed = FailedSignIns("")
    for number in range(10):
        with pytest.raises(SignInRefused):
            sessions.sign_in(EMAIL, "wrong", f"10.0.0.{number}", failed)
    with pytest.raises(TooManyFailedSignIns):
        sessions.sign_in(EMAIL, PASSWORD, "10.0.0.99", failed)
    assert sessions.sign_in("account-admin@example.com", PASSWORD, "10.0.0.99", failed)


def test_failures_are_limited_by_client(db: Flask) -> None:
    failed = FailedSignIns("")
    for number in range(30):
        failed.add(f"person-{number}@example.com", "10.0.0.1")
    with pytest.raises(TooManyFailedSignIns):
        sessions.sign_in(EMAIL, PASSWORD, "10.0.0.1", failed)


def test_a_sign_in_clears_the_failures(db: Flask) -> None:
    failed = FailedSignIns("")
    for _ in range(9):
        failed.add(EMAIL, "10.0.0.1")
    assert sessions.sign_in(EMAIL, PASSWORD, "10.0.0.1", failed)
    for _ in range(9):
        failed.add(EMAIL, "10.0.0.2")
    assert sessions.sign_in(EMAIL, PASSWORD, "10.0.0.2", failed)


def test_a_new_password_ends_every_session(actor_of: ActorOf) -> None:
    actor = actor_of("account-editor")
    session = sessions.new_session_id(actor.person)
    assert _person_of(session) == actor.person
    accounts.change_password(actor, PASSWORD, "a whole new password")
    assert sessions.load_session(session) is None
    assert _person_of(sessions.new_session_id(actor.person)) == actor.person
    entry = AuditEntry.get(AuditEntry.action == "person.password")
    assert entry.changes == {}


@pytest.mark.parametrize("session", ["", "x", "1", "1.", ".abc", "999999.abc", "-1.abc", "²."])
def test_invalid_session_ids_are_refused(db: Flask, session: str) -> None:
    assert sessions.load_session(session) is None


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
    session = sessions.load_session(sessions.new_session_id(actor.person), path)
    assert session is not None
    assert (session.actor.person, session.actor.roles) == (actor.person, actor.roles)
    assert session.scope == Scope.at(path)
    found = session.scope and [scope.path for scope in session.scope.lineage]
    assert found == lineage


def _person_of(session_id: str) -> Person | None:
    session = sessions.load_session(session_id)
    return session.actor.person if session else None


def test_failures_are_counted_in_the_process_while_redis_is_down(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failed = FailedSignIns(f"redis://127.0.0.1:{free_port()}/0")
    for _ in range(9):
        failed.add(EMAIL, "10.0.0.1")
    failed.require_below_limit(EMAIL, "10.0.0.1")
    failed.add(EMAIL, "10.0.0.1")
    with pytest.raises(TooManyFailedSignIns):
        failed.require_below_limit(EMAIL, "10.0.0.1")
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_redis_that_hangs_delays_only_the_first_sign_in(
    db: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as never_answers:
        failed = FailedSignIns(f"redis://127.0.0.1:{never_answers.getsockname()[1]}/0")
        for _ in range(3):
            assert sessions.sign_in(EMAIL, PASSWORD, "10.0.0.1", failed)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_an_ended_session_is_remembered_longer_than_its_cookie_lives(actor_of: ActorOf) -> None:
    person = actor_of("account-editor").person
    session = sessions.new_session_id(person)
    sessions.end_session(session)
    EndedSession.update(ended_at=now() - sessions.COOKIE_LIFETIME - timedelta(hours=12)).execute()
    sessions.purge_chunk()
    assert sessions.load_session(session) is None
    EndedSession.update(ended_at=now() - timedelta(days=40)).execute()
    sessions.end_session(sessions.new_session_id(person))
    sessions.purge_chunk()
    assert EndedSession.select().count() == 1
