"""Create accounts, check and change passwords, and load the roles of a person.

Sign-in and sessions are in `sessions.py`.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from models import Membership, Person, Prepared, SignInSession, transaction
from webapp import audit
from webapp.access import Actor
from webapp.refusals import Refusal
from webapp.values.text import LineRule

PASSWORD_LENGTH = (10, 256)
"""The minimum and maximum length of a password, in characters."""
NAME = LineRule("name", 128, field="name")
_hasher = PasswordHasher()
HASHES_AT_ONCE = 4
"""How many passwords a process hashes at once. Each hash needs 64 MB of memory."""
HASHING_WAIT_SECONDS = 5.0
"""How long a request waits to hash a password while others are hashed."""
_hashing = threading.BoundedSemaphore(HASHES_AT_ONCE)
_DUMMY_HASH = _hasher.hash(secrets.token_hex())


class HashingBusy(Refusal):
    """Too many passwords are being checked at the moment."""

    retry_after = 5

    def __init__(self) -> None:
        super().__init__(
            "The registry is checking too many passwords at the moment. Try again in a few seconds."
        )


class PasswordRefused(Refusal):
    """The new password is too weak, or the current password is wrong."""


def create(email: str, name: str, password: str) -> Person:
    """Create an account without roles, and return the person.

    Raises PasswordRefused, InvalidText for the name, and IntegrityError if another account has the
    e-mail address.
    """
    require_strength(password)
    email = normalized_email(email)
    person: Person = Person.create(
        email=email,
        name=NAME.parse(name) or email,
        password_hash=_hash(password),
        session_key=secrets.token_hex(16),
    )
    return person


def normalized_email(text: str) -> str:
    """Return an e-mail address as it is stored: in lower case, without surrounding blanks."""
    return text.strip().lower()


def exists(email: str) -> bool:
    """Return whether a person has an account with this normalized e-mail address."""
    return bool(Person.select().where(Person.email == email).exists())


def change_password(actor: Actor, current_password: str, new_password: str) -> None:
    """Replace the actor's password and end all their sessions.

    Raises PasswordRefused and HashingBusy.
    """
    person = actor.person
    if not _matches(person.password_hash, current_password):
        raise PasswordRefused("Your current password is incorrect.", "current_password")
    require_strength(new_password)
    password_hash = _hash(new_password)  # Not in the transaction, because it takes long.
    with transaction():
        _store_hash(person, password_hash)
        audit.record(actor, None, "person.password", person.name)


def set_password(person: Person, password: str) -> None:
    """Replace a person's password and end all their sessions. Raises PasswordRefused."""
    require_strength(password)
    password_hash = _hash(password)
    with transaction():
        _store_hash(person, password_hash)


def end_sessions(person: Person, keep: SignInSession | None = None) -> None:
    """End all sessions of a person except `keep`. Call this in a transaction.

    The new key also ends the sessions of older versions, and a session that begins at this moment
    with the old password.
    """
    person.session_key = secrets.token_hex(16)
    person.save(only=[Person.session_key])
    of_person = SignInSession.person == person
    if keep is not None:
        kept = SignInSession.id == keep.id
        SignInSession.update(session_key=person.session_key).where(kept).execute()
        of_person &= SignInSession.id != keep.id
    SignInSession.delete().where(of_person).execute()


def require_strength(password: str) -> None:
    """Raise PasswordRefused if a password is too weak.

    The rule is about length, because composition rules make people choose worse passwords.
    """
    low, high = PASSWORD_LENGTH
    if not low <= len(password) <= high:
        raise PasswordRefused(f"Use {low} to {high} characters.", "password")
    if len(set(password)) < 5:
        raise PasswordRefused(
            "This password is too easy to guess. Use a greater variety of characters.", "password"
        )


def verify_password(person: Person | None, password: str) -> bool:
    """Return whether `password` is the password of `person`. Raises HashingBusy.

    If the stored hash was made with old parameters, replace it. If `person` is None, check a dummy
    hash and return False. An unknown e-mail address then takes as long as a wrong password, so the
    time does not reveal which accounts exist.
    """
    if person is None:
        _matches(_DUMMY_HASH, password)
        return False
    if not _matches(person.password_hash, password):
        return False
    if _hasher.check_needs_rehash(person.password_hash):
        person.password_hash = _hash(password)
        person.save(only=[Person.password_hash])
    return True


def actor_for(person: Person) -> Actor:
    """Return the person as an Actor, with the roles that the person holds."""
    return Actor(person, {row.scope_id: row.role for row in _memberships(person.id)})


def _store_hash(person: Person, password_hash: str) -> None:
    person.password_hash = password_hash
    person.save(only=[Person.password_hash])
    end_sessions(person)


def _matches(password_hash: str, password: str) -> bool:
    try:
        with _turn_to_hash():
            return _hasher.verify(password_hash, password)
    except VerifyMismatchError:
        return False


def _hash(password: str) -> str:
    with _turn_to_hash():
        return _hasher.hash(password)


@contextmanager
def _turn_to_hash() -> Iterator[None]:
    """Wait for a turn to hash a password. Raises HashingBusy."""
    if not _hashing.acquire(timeout=HASHING_WAIT_SECONDS):
        raise HashingBusy
    try:
        yield
    finally:
        _hashing.release()


_memberships = Prepared(
    lambda placeholder: Membership.select(Membership.scope, Membership.role).where(
        Membership.person == placeholder
    )
)
