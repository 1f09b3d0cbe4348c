"""Which passwords are refused, and how passwords are stored."""

from __future__ import annotations

import threading
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor

import pytest
from argon2 import PasswordHasher, Type, extract_parameters
from flask import Flask

from models import AuditEntry, Person
from tests.cast import PASSWORD
from tests.conftest import PRODUCTION_HASHER, ClientOf
from tests.views.pages import visible_text
from webapp import audit
from webapp.people import accounts, attempts
from webapp.people.accounts import PasswordRefused

EMAIL = "account-editor@example.com"


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("short", "10 to 256"),
        ("x" * 257, "10 to 256"),
        ("a" * 256, "too easy"),
        ("qwertyuiop", "too easy"),
        ("Password2026!", "too easy"),
        ("Zoe-Quimby.acme-corp1", "too easy"),
        ("image registry 2026", "too easy"),
    ],
)
def test_weak_passwords_are_refused(db: Flask, password: str, words: str) -> None:
    with pytest.raises(PasswordRefused, match=words) as caught:
        accounts.create("zoe@acme-corp.example", "Zoe Quimby", password)
    assert caught.value.field == "password"


@pytest.mark.parametrize(
    "password",
    [PASSWORD, "Zoe walks like a duck", "a" * 200 + "walks like a duck", "ünder böse 木"],
)
def test_other_passwords_are_accepted(password: str) -> None:
    accounts.require_strength(password, "Zoe Quimby", "zoe@acme-corp.example")


def test_a_hostile_password_is_rated_in_a_short_time() -> None:
    """If all 256 characters were rated, zxcvbn would try replacements of letters for hours."""
    replacements = "4@8({[<369&#!1/|0$5+7%2" * 12
    started = time.process_time()
    accounts.require_strength(replacements[:256], "Zoe Quimby", "zoe@acme-corp.example")
    assert time.process_time() - started < 5


LONG_PASSWORD = "walks like a duck, Straße 木 " + "a" * 100 + "Z"


@pytest.mark.parametrize(
    "other",
    [
        LONG_PASSWORD[:72],
        LONG_PASSWORD[:-1],
        LONG_PASSWORD[:-1] + "z",
        LONG_PASSWORD.upper(),
        LONG_PASSWORD.replace("ß", "ss"),
        f" {LONG_PASSWORD}",
        f"{LONG_PASSWORD} ",
        unicodedata.normalize("NFD", f"{LONG_PASSWORD}é"),
    ],
)
def test_a_password_is_compared_exactly_as_it_was_entered(client_of: ClientOf, other: str) -> None:
    """Bytes after the 72nd count, unlike with bcrypt."""
    accented = "\u0301" in other
    password = f"{LONG_PASSWORD}é" if accented else LONG_PASSWORD
    form = {"current_password": PASSWORD, "password": password}
    assert client_of("account-editor").post("/password", data=form).status_code == 303
    for entered, status in ((other, 422), (password, 303)):
        client = client_of("nobody")
        answer = client.post("/sign-in", data={"email": EMAIL, "password": entered})
        assert answer.status_code == status
        assert client.get("/sessions").status_code == (200 if status == 303 else 303)


def test_a_person_changes_the_password_with_the_current_and_a_new_one(client_of: ClientOf) -> None:
    client, new = client_of("account-editor"), "a whole new password"
    right = {"current_password": PASSWORD, "password": new}
    for missing in right:
        page = client.post("/password", data={**right, missing: ""})
        assert page.status_code == 422
    assert client.post("/password", data={**right, "current_password": new}).status_code == 422
    for password, status in ((PASSWORD, 303), (new, 422)):
        answer = client_of("nobody").post("/sign-in", data={"email": EMAIL, "password": password})
        assert answer.status_code == status, "nothing has changed yet"
    assert client.post("/password", data=right).status_code == 303
    for password, status in ((PASSWORD, 422), (new, 303)):
        answer = client_of("nobody").post("/sign-in", data={"email": EMAIL, "password": password})
        assert answer.status_code == status


def test_a_wrong_current_password_counts_like_a_failed_sign_in(
    client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of("account-editor")
    monkeypatch.setattr(attempts, "monotonic", lambda: 0.0)
    form = {"current_password": "wrong", "password": "a whole new password"}
    for _ in range(5):
        page = client.post("/password", data=form)
        assert page.status_code == 422
    assert "Your current password is incorrect." in visible_text(page)
    page = client.post("/password", data={**form, "current_password": PASSWORD})
    assert (page.status_code, page.headers["Retry-After"]) == (429, "1")
    assert "Too many attempts with a wrong password. Try again in one second." in visible_text(page)
    failures = AuditEntry.select().where(AuditEntry.action.in_(audit.FAILURES))
    actions = [entry.action for entry in failures.order_by(AuditEntry.id)]
    assert actions == ["person.refused"] * 5 + ["person.throttled"]
    assert {entry.changes["method"][1] for entry in failures} == {"password confirmation"}


def test_passwords_are_hashed(db: Flask) -> None:
    assert Person.get(Person.email == EMAIL).password_hash.startswith("$argon2id$")


def test_hashes_are_as_slow_as_rfc_9106_recommends() -> None:
    parameters = extract_parameters(PRODUCTION_HASHER.hash(PASSWORD))
    assert (parameters.type, parameters.time_cost) == (Type.ID, 3)
    assert (parameters.memory_cost, parameters.parallelism) == (64 * 1024, 4)


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
    person.password_hash = weak = PasswordHasher(time_cost=1, memory_cost=512).hash(PASSWORD)
    assert accounts.verify_password(person, PASSWORD)
    assert Person.get(Person.email == EMAIL).password_hash != weak
