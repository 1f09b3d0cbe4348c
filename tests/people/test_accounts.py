"""Passwords: the ones that are refused, and how passwords are stored."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

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


def test_many_sign_ins_at_once_need_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    in_progress: set[int] = set()
    most: list[int] = []

    class Hasher:
        def verify(self, *_: str) -> bool:
            in_progress.add(threading.get_ident())
            most.append(len(in_progress))
            time.sleep(0.01)
            in_progress.discard(threading.get_ident())
            return True

    monkeypatch.setattr(accounts, "_hasher", Hasher())
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: accounts.verify_password(None, PASSWORD), range(24)))
    assert 1 < max(most) <= accounts.HASHES_AT_ONCE == 4


def test_a_hash_with_old_parameters_is_renewed(db: Flask) -> None:
    person = Person.get(Person.email == EMAIL)
    person.password_hash = weak = PasswordHasher(time_cost=1, memory_cost=1024).hash(PASSWORD)
    assert accounts.verify_password(person, PASSWORD)
    assert Person.get(Person.email == EMAIL).password_hash != weak
