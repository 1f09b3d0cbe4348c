"""Create accounts, check and change passwords, and load the roles of a person.

Sign-in and sessions are in `sessions.py`.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from models import (
    Authenticator,
    Identity,
    Membership,
    Passkey,
    PasswordReset,
    Person,
    Prepared,
    RecoveryCode,
    SignInSession,
    is_sqlite,
    now,
    transaction,
)
from webapp import audit
from webapp.access import Actor
from webapp.people import effective_roles, security_mails
from webapp.refusals import Refusal
from webapp.values.text import InvalidText, LineRule

PASSWORD_LENGTH = (10, 256)
"""The minimum and maximum length of a password, in characters."""
RATED_LENGTH = 20
"""The library zxcvbn rates only this many characters from each end of a password.

zxcvbn can take several seconds for 40 characters, because it tries to undo all substitutions of
letters by digits and symbols.
"""
LOWEST_RATING = 3
"""The lowest rating of an accepted password. zxcvbn rates passwords from 0 to 4."""
PRODUCT_WORDS = ("image", "registry", "scalr")
"""Words that attackers try first when they guess a password of this application."""
NAME = LineRule("name", 128, field="name")
_hasher = PasswordHasher()
HASHES_AT_ONCE = 4
"""The maximum number of passwords that a process hashes at the same time.

Each hash needs 64 MB of memory.
"""
HASHING_WAIT_SECONDS = 5.0
"""The maximum time that a request waits before it may hash a password."""
_hashing_slots = threading.BoundedSemaphore(HASHES_AT_ONCE)
_DUMMY_HASH = _hasher.hash(secrets.token_hex())


class HashingBusy(Refusal):
    """Too many passwords are being checked at the moment."""

    retry_after = 5

    def __init__(self) -> None:
        super().__init__(
            "The registry is checking too many passwords at the moment. Try again in a few seconds."
        )


class PasswordRefused(Refusal):
    """The new password is too weak or too long, or the current password is wrong."""


def create(email: str, name: str, password: str) -> Person:
    """Create an account without roles, and return the person.

    Raises the same exceptions as `new_account`, and IntegrityError if another account has the
    e-mail address.
    """
    person = new_account(email, name, password)
    person.save(force_insert=True)
    return person


def new_account(email: str, name: str, password: str) -> Person:
    """Return a new, unsaved account without roles.

    Don't call this in a transaction, because hashing the password takes a long time. Raises
    PasswordRefused, HashingBusy, and InvalidText for the name.
    """
    email = normalized_email(email)
    name = NAME.parse(name) or email
    require_strength(password, name, email)
    return Person(
        email=email,
        name=name,
        password_hash=_hash(password),
        session_key=secrets.token_hex(16),
    )


def create_without_password(email: str, name: str) -> Person:
    """Create the account of a person who signs in only at an identity provider. Return the person.

    If `name` is empty or is not a valid name, the name is the e-mail address. Raises IntegrityError
    if another account has the e-mail address.
    """
    email = normalized_email(email)
    with suppress(InvalidText):
        name = NAME.parse(name)
    person: Person = Person.create(
        email=email,
        name=email if NAME.problem(name) else name or email,
        password_hash="",
        session_key=secrets.token_hex(16),
    )
    return person


def normalized_email(text: str) -> str:
    """Return an e-mail address as it is stored: in lower case, without surrounding blanks."""
    return text.strip().lower()


def exists(email: str) -> bool:
    """Return whether a person has an account with this normalized e-mail address."""
    return bool(Person.select().where(Person.email == email).exists())


def change_password(actor: Actor, new_password: str) -> None:
    """Replace the actor's password and end all their sessions.

    Call this only after the actor has entered their current password. Raises PasswordRefused and
    HashingBusy.
    """
    person = actor.person
    password_hash = hash_new_password(person, new_password)
    with transaction():
        store_hash(person, password_hash)
        audit.record(actor, None, "person.password", person.label)


def set_password(person: Person, password: str, by: str) -> None:
    """Replace a person's password and end all their sessions.

    `by` is the name that the audit log shows. Raises PasswordRefused and HashingBusy.
    """
    password_hash = hash_new_password(person, password)
    with transaction():
        store_hash(person, password_hash)
        audit.record(None, None, "person.password", person.label, by=by, about=person)


def hash_new_password(person: Person, password: str) -> str:
    """Return the hash of a new password for a person. Raises PasswordRefused and HashingBusy.

    Call this outside of transactions, because hashing takes a long time.
    """
    require_strength(password, person.name, person.email)
    return _hash(password)


def store_hash(person: Person, password_hash: str) -> None:
    """Replace the password of a person, end all their sessions, and tell them by mail.

    Earlier links for resetting the password no longer work. Call this in a transaction.
    """
    person.password_hash = password_hash
    person.save(only=[Person.password_hash])
    end_sessions(person)
    PasswordReset.delete().where(PasswordReset.person == person).execute()
    security_mails.password_changed(person)


def verify_email(person: Person) -> None:
    """Store that a person has verified their e-mail address by opening a link in a mail.

    Only the time of the first verification is stored. Call this in a transaction.
    """
    if person.email_verified_at is None:
        person.email_verified_at = now()
        person.save(only=[Person.email_verified_at])


def lock(person: Person) -> None:
    """Lock the row of a person until the current transaction ends.

    On SQLite, the transaction has already locked the database.
    """
    if not is_sqlite():
        list(Person.select(Person.id).where(Person.id == person.id).for_update())


def end_sessions(person: Person, keep: SignInSession | None = None) -> None:
    """End all sessions of a person except `keep`. Call this in a transaction.

    Only the current token of `keep` stays valid, because somebody else may have its previous token.
    The person gets a new session key. The new key also ends the sessions that older versions of the
    application started, and a session that another request is starting with the old password.
    """
    person.session_key = secrets.token_hex(16)
    person.save(only=[Person.session_key])
    of_person = SignInSession.person == person
    if keep is not None:
        is_kept = SignInSession.id == keep.id
        SignInSession.update(
            session_key=person.session_key, previous_digest=None, rotated_at=None
        ).where(is_kept).execute()
        of_person &= SignInSession.id != keep.id
    SignInSession.delete().where(of_person).execute()


def require_strength(password: str, name: str, email: str) -> None:
    """Raise PasswordRefused if a password is too short, too long or too easy to guess.

    `name` and `email` belong to the person. Digits and symbols are not required, because people
    choose worse passwords if they have to use certain kinds of characters.
    """
    low, high = PASSWORD_LENGTH
    if not low <= len(password) <= high:
        raise PasswordRefused(f"Use {low} to {high} characters.", "password")
    if _is_easy_to_guess(password, name, email):
        raise PasswordRefused(
            "This password is too easy to guess. Use several words that don’t belong together. "
            "Common passwords, your name and your e-mail address don’t make a password stronger.",
            "password",
        )


def _is_easy_to_guess(password: str, name: str, email: str) -> bool:
    """Return whether both ends of a password are easy to guess.

    An end has up to RATED_LENGTH characters. PRODUCT_WORDS and the words of the person's name and
    e-mail address are removed first. If one end is hard to guess, the whole password is at least as
    hard to guess.
    """
    # The import takes 0.3 seconds and 15 MB, and few processes need it.
    from zxcvbn import zxcvbn  # noqa: PLC0415

    words = {word for word in re.split(r"[\W_]+", f"{name} {email}".lower()) if len(word) > 2}
    rest = password.lower()
    for word in sorted(words.union(PRODUCT_WORDS), key=len, reverse=True):
        rest = rest.replace(word, "")
    ends = {rest[:RATED_LENGTH], rest[-RATED_LENGTH:]}
    return all(zxcvbn(end)["score"] < LOWEST_RATING for end in ends)


def verify_password(person: Person | None, password: str) -> bool:
    """Return whether `password` is the password of `person`. Raises HashingBusy.

    If the password is correct and the stored hash was made with old parameters, replace the hash.
    If `person` is None or has no password, check a dummy hash and return False. An unknown e-mail
    address then takes as long as a wrong password, so the time does not reveal which accounts
    exist.
    """
    if person is None or not person.password_hash:
        _matches(_DUMMY_HASH, password)
        return False
    if not _matches(person.password_hash, password):
        return False
    if _hasher.check_needs_rehash(person.password_hash):
        person.password_hash = _hash(password)
        person.save(only=[Person.password_hash])
    return True


def actor_for(person: Person) -> Actor:
    """Return the person as an Actor, with the roles that the person holds.

    A person whose user account is disabled has no role. A role that needs a second factor does not
    count for a person without one.
    """
    rows = _memberships(person.id)
    has_factor = any(row.has_factor for row in rows)
    return effective_roles.actor_with(person, rows, has_factor=has_factor)


def service_person(email: str, name: str) -> Person:
    """Return a service person, and update the name of this person.

    A service person cannot sign in. The tokens of a scope act for the service person of the scope.
    `email` is not an address, but another text that identifies the person. If there is no such
    person, create one. Call this in a transaction.
    """
    name = service_name(name)
    Person.insert(
        email=email,
        name=name,
        password_hash=_DUMMY_HASH,
        session_key=secrets.token_hex(16),
        disabled_at=now(),
        is_service=True,
    ).on_conflict(conflict_target=[Person.email], update={Person.name: name}).execute()
    person: Person = Person.get(Person.email == email)
    return person


def service_name(label: str) -> str:
    """Return the name of the service person of a scope with this label."""
    return label[: NAME.longest]


def lock_out(person: Person) -> None:
    """Make sure that a removed person never signs in again. Call this in a transaction.

    The row and the name of the person stay. Another person can then use the e-mail address.
    """
    person.removed_at = now()
    person.disabled_at = person.disabled_at or person.removed_at
    person.email = f"removed:{person.id}"
    person.password_hash = _DUMMY_HASH
    changed = [Person.removed_at, Person.disabled_at, Person.email, Person.password_hash]
    person.save(only=changed)
    Authenticator.delete().where(Authenticator.person == person).execute()
    Passkey.delete().where(Passkey.person == person).execute()
    RecoveryCode.delete().where(RecoveryCode.person == person).execute()
    Identity.delete().where(Identity.person == person).execute()
    end_sessions(person)


def _matches(password_hash: str, password: str) -> bool:
    try:
        with _hashing_slot():
            return _hasher.verify(password_hash, password)
    except VerifyMismatchError:
        return False


def _hash(password: str) -> str:
    with _hashing_slot():
        return _hasher.hash(password)


@contextmanager
def _hashing_slot() -> Iterator[None]:
    """Wait until fewer than HASHES_AT_ONCE passwords are being hashed. Raises HashingBusy."""
    if not _hashing_slots.acquire(timeout=HASHING_WAIT_SECONDS):
        raise HashingBusy
    try:
        yield
    finally:
        _hashing_slots.release()


_memberships = Prepared(
    lambda placeholder: (
        Membership.select(
            Membership.scope,
            Membership.role,
            effective_roles.has_factor(Person.id).alias("has_factor"),
            effective_roles.lacks_factor(Person.id, Membership.scope).alias("lacks_factor"),
        )
        .join(Person)
        .where(Membership.person == placeholder, Person.disabled_at.is_null())
    )
)
