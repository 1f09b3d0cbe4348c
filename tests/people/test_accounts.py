"""Signing in, being slowed down, passwords and sessions."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask

from models import AuditEntry, Person
from tests.cast import PASSWORD
from webapp.access import Actor
from webapp.people import accounts as people
from webapp.people.accounts import FailedSignIns, PasswordRefused, SlowDown

EMAIL = "account-editor@example.com"


def test_sign_in_takes_the_address_in_any_case(db: Flask) -> None:
    person = people.sign_in(f" {EMAIL.upper()} ", PASSWORD, "127.0.0.1", FailedSignIns(""))
    assert person is not None
    assert person.email == EMAIL


@pytest.mark.parametrize("email", [EMAIL, "nobody@example.com"])
def test_which_half_was_wrong_is_not_told(db: Flask, email: str) -> None:
    assert people.sign_in(email, "something else", "127.0.0.1", FailedSignIns("")) is None


def test_failures_are_slowed_down_by_address(db: Flask) -> None:
    failed = FailedSignIns("")
    for number in range(10):
        assert people.sign_in(EMAIL, "wrong", f"10.0.0.{number}", failed) is None
    with pytest.raises(SlowDown):
        people.sign_in(EMAIL, PASSWORD, "10.0.0.99", failed)
    assert people.sign_in("account-admin@example.com", PASSWORD, "10.0.0.99", failed)


def test_failures_are_slowed_down_by_client(db: Flask) -> None:
    failed = FailedSignIns("")
    for number in range(30):
        failed.add(f"person-{number}@example.com", "10.0.0.1")
    with pytest.raises(SlowDown):
        people.sign_in(EMAIL, PASSWORD, "10.0.0.1", failed)


def test_success_forgives(db: Flask) -> None:
    failed = FailedSignIns("")
    for _ in range(9):
        failed.add(EMAIL, "10.0.0.1")
    assert people.sign_in(EMAIL, PASSWORD, "10.0.0.1", failed)
    for _ in range(9):
        failed.add(EMAIL, "10.0.0.2")
    assert people.sign_in(EMAIL, PASSWORD, "10.0.0.2", failed)


def test_a_new_password_ends_every_session(actor_of: Callable[[str], Actor]) -> None:
    actor = actor_of("account-editor")
    session = people.session_id(actor.person)
    assert people.from_session_id(session) == actor.person
    people.change_password(actor, PASSWORD, "a whole new password")
    assert people.from_session_id(session) is None
    assert people.from_session_id(people.session_id(actor.person)) == actor.person
    entry = AuditEntry.get(AuditEntry.action == "person.password")
    assert entry.changes == {}


@pytest.mark.parametrize("session", ["", "x", "1", "1.", ".abc", "999999.abc", "-1.abc", "²."])
def test_sessions_that_never_were(db: Flask, session: str) -> None:
    assert people.from_session_id(session) is None


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("wrong", "a whole new password", "present password"),
        (PASSWORD, "short", "10 to 256"),
        (PASSWORD, "aaaaaaaaaaaa", "too easy"),
        (PASSWORD, "x" * 257, "10 to 256"),
    ],
)
def test_refused_passwords(
    actor_of: Callable[[str], Actor], old: str, new: str, words: str
) -> None:
    with pytest.raises(PasswordRefused, match=words):
        people.change_password(actor_of("account-editor"), old, new)


def test_passwords_are_hashed(db: Flask) -> None:
    assert Person.get(Person.email == EMAIL).password_hash.startswith("$argon2id$")
