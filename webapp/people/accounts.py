"""People: signing in and out, passwords, and the roles they hold."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from limits import RateLimitItemPerMinute
from limits.storage import storage_from_string
from limits.strategies import MovingWindowRateLimiter

from models import Membership, Person, Prepared, transaction
from webapp import audit
from webapp.access import Actor

if TYPE_CHECKING:
    from limits import RateLimitItem

PASSWORD_LENGTH = (10, 256)
_hasher = PasswordHasher()
_NOBODY = _hasher.hash(secrets.token_hex())
"""Checked against when there is no such person, so that both answers take as long."""


class PasswordRefused(Exception):
    """The new password cannot be taken, or the old one is wrong; worded for the person."""


class SlowDown(Exception):
    """Too many failed sign-ins; `minutes` until the next may be tried."""

    minutes = 15


class FailedSignIns:
    """Counts failed sign-ins, in Redis where several servers share it, else in this process.
    Ten for one e-mail address or thirty from one client's address in 15 minutes are enough."""

    PER_EMAIL: RateLimitItem = RateLimitItemPerMinute(10, 15)
    PER_CLIENT: RateLimitItem = RateLimitItemPerMinute(30, 15)

    def __init__(self, redis_url: str) -> None:
        self._limiter = MovingWindowRateLimiter(storage_from_string(redis_url or "memory://"))

    def require_patience(self, email: str, client: str) -> None:
        """Raises SlowDown."""
        if not (
            self._limiter.test(self.PER_EMAIL, "email", email)
            and self._limiter.test(self.PER_CLIENT, "client", client)
        ):
            raise SlowDown

    def add(self, email: str, client: str) -> None:
        self._limiter.hit(self.PER_EMAIL, "email", email)
        self._limiter.hit(self.PER_CLIENT, "client", client)

    def forgive(self, email: str) -> None:
        self._limiter.clear(self.PER_EMAIL, "email", email)


def sign_in(email: str, password: str, client: str, failed: FailedSignIns) -> Person | None:
    """The person, or None: which half was wrong is not told. Raises SlowDown."""
    email = email.strip().lower()
    failed.require_patience(email, client)
    person = Person.get_or_none(Person.email == email)
    if not _matches(person.password_hash if person else _NOBODY, password) or person is None:
        failed.add(email, client)
        return None
    failed.forgive(email)
    if _hasher.check_needs_rehash(person.password_hash):
        person.password_hash = _hasher.hash(password)
        person.save(only=[Person.password_hash])
    return person


def create(email: str, name: str, password: str) -> Person:
    """Raises PasswordRefused, and IntegrityError where the address is taken."""
    require_strength(password)
    email = email.strip().lower()
    person: Person = Person.create(
        email=email,
        name=name.strip() or email,
        password_hash=_hasher.hash(password),
        session_key=secrets.token_hex(16),
    )
    return person


def change_password(actor: Actor, old: str, new: str) -> None:
    """Ends every session of the person. Raises PasswordRefused."""
    person = actor.person
    if not _matches(person.password_hash, old):
        raise PasswordRefused("The present password is not right.")
    with transaction():
        set_password(person, new)
        audit.record(actor, None, "person.password", person.name)


def set_password(person: Person, new: str) -> None:
    """Ends every session of the person. Raises PasswordRefused."""
    require_strength(new)
    person.password_hash = _hasher.hash(new)
    person.session_key = secrets.token_hex(16)
    person.save(only=[Person.password_hash, Person.session_key])


def require_strength(password: str) -> None:
    """Raises PasswordRefused. Length is what counts: composition rules make passwords worse."""
    low, high = PASSWORD_LENGTH
    if not low <= len(password) <= high:
        raise PasswordRefused(f"A password has {low} to {high} characters.")
    if len(set(password)) < 5:
        raise PasswordRefused("That password is too easy to guess.")


def actor_for(person: Person) -> Actor:
    """The person with the roles they hold."""
    return Actor(person, {row.scope_id: row.role for row in _memberships(person.id)})


def session_id(person: Person) -> str:
    """What a session's cookie holds of the person."""
    return f"{person.id}.{person.session_key}"


def from_session_id(session: str) -> Person | None:
    """The person, unless the session was ended by a change of password."""
    number, _, key = session.partition(".")
    if not number.isdecimal():
        return None
    person = next(iter(_people(int(number))), None)
    if person is None or not secrets.compare_digest(person.session_key, key):
        return None
    return person


_people = Prepared(lambda mark: Person.select().where(Person.id == mark))
_memberships = Prepared(
    lambda mark: Membership.select(Membership.scope, Membership.role).where(
        Membership.person == mark
    )
)


def _matches(password_hash: str, password: str) -> bool:
    try:
        return _hasher.verify(password_hash, password)
    except VerifyMismatchError:
        return False
