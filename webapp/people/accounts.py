"""Create accounts, check and change passwords, and load the roles of a person.

Sign-in and sessions are in `sessions.py`.
"""

from __future__ import annotations

import secrets
import threading

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
_hashing = threading.Lock()
"""A process hashes one password at a time. A hash needs 64 MB of memory and uses up to four
processors, so hashing several passwords at once would need more memory and not save much time."""
_DUMMY_HASH = _hasher.hash(secrets.token_hex())


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
    """Replace the actor's password and end all their sessions. Raises PasswordRefused."""
    person = actor.person
    if not _matches(person.password_hash, current_password):
        raise PasswordRefused("Your current password is incorrect.", "current_password")
    with transaction():
        set_password(person, new_password)
        audit.record(actor, None, "person.password", person.name)


def set_password(person: Person, password: str) -> None:
    """Replace a person's password and end all their sessions. Raises PasswordRefused."""
    require_strength(password)
    person.password_hash = _hash(password)
    with transaction():
        end_sessions(person)
        person.save(only=[Person.password_hash])


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
    """Return whether `password` is the password of `person`.

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


def _matches(password_hash: str, password: str) -> bool:
    try:
        with _hashing:
            return _hasher.verify(password_hash, password)
    except VerifyMismatchError:
        return False


def _hash(password: str) -> str:
    with _hashing:
        return _hasher.hash(password)


_memberships = Prepared(
    lambda placeholder: Membership.select(Membership.scope, Membership.role).where(
        Membership.person == placeholder
    )
)
