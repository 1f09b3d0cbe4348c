"""Sign-ins, sessions and commands in the audit log, and the lines of the security log."""

from __future__ import annotations

import json
import logging

import pytest
from flask import Flask

from models import AuditEntry, Person, SessionKind, SignInSession, after_commit, transaction
from tests.cast import PASSWORD
from tests.conftest import ActorOf
from webapp import audit
from webapp.monitoring.log_lines import LineFormatter
from webapp.people import accounts, sessions
from webapp.people import attempts as attempts_module
from webapp.people.attempts import PER_CLIENT_AND_PERSON, RECORD_LIMIT, Attempts, TooManyAttempts
from webapp.people.sessions import SignInRefused
from webapp.refusals import Refusal

EMAIL = "account-editor@example.com"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def entries() -> list[tuple[str, str, str]]:
    query = AuditEntry.select().order_by(AuditEntry.id)
    return [(entry.person_name, entry.action, entry.subject) for entry in query]


def fail(email: str, attempts: Attempts, password: str = "a wrong password") -> None:
    with pytest.raises(Refusal):
        sessions.sign_in(email, password, "192.0.2.7", attempts)


def test_sign_ins_and_sign_outs_are_recorded(actor_of: ActorOf) -> None:
    actor = actor_of("account-editor")
    person = actor.person
    sessions.start(person, SessionKind.PASSWORD, "192.0.2.7", FIREFOX)
    session = SignInSession.get(person=person)
    sessions.end_others(actor, session)
    sessions.end(actor, session)
    sessions.end(actor, session)  # Ending a session again records nothing.
    assert entries() == [
        (person.name, "person.sign_in", "Firefox on Linux"),
        (person.name, "person.sign_out_others", "Firefox on Linux"),
        (person.name, "person.sign_out", "Firefox on Linux"),
    ]
    changes = AuditEntry.get(action="person.sign_in").changes
    assert changes == {"address": [None, "192.0.2.7"], "method": [None, "password"]}


def test_failed_sign_ins_name_a_person_but_not_what_was_entered(db: Flask) -> None:
    attempts, person = Attempts(""), Person.get(email=EMAIL)
    fail(EMAIL, attempts)
    fail("my secret password", attempts)
    assert entries() == [
        (audit.STRANGER, "person.refused", person.label),
        (audit.STRANGER, "person.refused", sessions.UNKNOWN_PERSON),
    ]
    changes = {"address": [None, "192.0.2.7"], "method": [None, "password"]}
    assert AuditEntry.get().changes == changes
    assert AuditEntry.get().person is None


def test_throttling_is_recorded_once_for_each_person(
    db: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The delay must not end during the test.
    monkeypatch.setattr(attempts_module, "monotonic", lambda: 1.0)
    attempts = Attempts("")
    for _ in range(PER_CLIENT_AND_PERSON.free):
        fail(EMAIL, attempts)
    for _ in range(3):
        with pytest.raises(TooManyAttempts):
            sessions.sign_in(EMAIL, PASSWORD, "192.0.2.7", attempts)
    actions = [action for _, action, _ in entries()]
    assert actions == ["person.refused"] * PER_CLIENT_AND_PERSON.free + ["person.throttled"]


def test_many_failures_do_not_fill_the_audit_log(
    db: Flask, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "verify_password", lambda _person, _password: False)
    caplog.set_level(logging.INFO, "webapp.security")
    attempts, limit = Attempts(""), RECORD_LIMIT.amount
    for number in range(limit + 5):
        with pytest.raises(SignInRefused):
            sessions.sign_in(f"{number}@example.com", "x", f"10.0.0.{number}", attempts)
    assert len(entries()) == limit
    assert len(caplog.records) == limit + 5


def test_a_line_of_the_security_log_has_ids_and_no_names(
    actor_of: ActorOf, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "webapp.security")
    person = actor_of("account-editor").person
    sessions.start(person, SessionKind.PASSWORD, "192.0.2.7", FIREFOX)
    fail(EMAIL, Attempts(""))
    good, refused = caplog.records
    assert (good.levelname, refused.levelname) == ("INFO", "WARNING")
    values = json.loads(LineFormatter("json").format(good))
    assert values["event"] == "person.sign_in"
    assert values["event_by"] == person.id
    assert values["event_address"] == "192.0.2.7"
    assert json.loads(LineFormatter("json").format(refused))["event_about"] == person.id
    assert person.name not in caplog.text
    assert person.email not in caplog.text


def test_what_is_rolled_back_is_not_logged(db: Flask) -> None:
    calls: list[str] = []

    def fail_after(text: str) -> None:
        with transaction():
            after_commit(lambda: calls.append(text))
            raise ZeroDivisionError

    after_commit(lambda: calls.append("outside of a transaction"))
    with pytest.raises(ZeroDivisionError):
        fail_after("rolled back")
    with transaction():
        after_commit(lambda: calls.append("committed"))
        with pytest.raises(ZeroDivisionError):
            fail_after("in a savepoint")
        assert calls == ["outside of a transaction"]
    assert calls == ["outside of a transaction", "committed"]
