"""Passwords: the ones that are refused, and how passwords are stored."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher
from flask import Flask

from models import Person
from tests.cast import PASSWORD
from tests.conftest import ActorOf
from webapp.people import accounts
from webapp.people.accounts import PasswordRefused

EMAIL = "account-editor@example.com"


@pytest.mark.parametrize(
    ("current_password", "password", "field", "words"),
    [
        ("wrong", "a whole new password", "current_password", "current password is incorrect"),
        (PASSWORD, "short", "password", "10 to 256"),
        (PASSWORD, "aaaaaaaaaaaa", "password", "too easy"),
        (PASSWORD, "x" * 257, "password", "10 to 256"),
    ],
)
def test_invalid_passwords_are_refused(
    actor_of: ActorOf, current_password: str, password: str, field: str, words: str
) -> None:
    with pytest.raises(PasswordRefused, match=words) as caught:
        accounts.change_password(actor_of("account-editor"), current_password, password)
    assert caught.value.field == field


def test_passwords_are_hashed(db: Flask) -> None:
    assert Person.get(Person.email == EMAIL).password_hash.startswith("$argon2id$")


def test_a_hash_with_old_parameters_is_renewed(db: Flask) -> None:
    person = Person.get(Person.email == EMAIL)
    person.password_hash = weak = PasswordHasher(time_cost=1, memory_cost=1024).hash(PASSWORD)
    assert accounts.verify_password(person, PASSWORD)
    assert Person.get(Person.email == EMAIL).password_hash != weak
