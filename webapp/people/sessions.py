"""Sign people in and out, limit failed sign-ins, and load the session of a request."""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from limits import RateLimitItemPerMinute
from limits.errors import ConfigurationError, StorageError
from limits.storage import MemoryStorage, RedisStorage, storage_from_string
from limits.strategies import MovingWindowRateLimiter
from peewee import JOIN
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

import models
from models import (
    EndedSession,
    Membership,
    Person,
    Prepared,
    Scope,
    SessionKind,
    SignInSession,
    delete_chunk,
    lineage_paths,
    transaction,
)
from webapp.access import Actor
from webapp.database.outages import Breaker, Outage
from webapp.monitoring import metrics
from webapp.people import accounts
from webapp.people.browsers import describe_browser, plain_address
from webapp.refusals import Refusal
from webapp.settings import SettingsError

if TYPE_CHECKING:
    from limits import RateLimitItem

T = TypeVar("T")

LIMIT_MINUTES = 15
"""The period in which failed sign-ins are counted."""
TOKEN_BYTES = 32
TOKEN = re.compile(r"[\w-]{43}", re.ASCII)
"""A token of TOKEN_BYTES random bytes, in base64."""
MAX_SESSIONS = 100
"""The maximum number of sessions of a person."""
OLDER_VERSION_RETENTION = timedelta(days=32)
"""How long the table `ended_session` keeps a row.

The cookies of the older versions that use the table are valid for 31 days.
"""
REDIS_TIMEOUT_SECONDS = 0.5
REDIS_PAUSE_SECONDS = 10.0
"""How long Redis is not called after a call failed."""
REDIS_TRIAL_SECONDS = 5.0
"""After the pause, one thread calls Redis again.

The other threads do not call Redis until this call ends, or until this time has passed.
"""


class SignInRefused(Refusal):
    """The e-mail address or the password is wrong. The message does not say which of the two."""


class TooManyFailedSignIns(Refusal):
    """Too many sign-ins failed for the e-mail address or the client. The person has to wait."""


class SessionEnded(Refusal):
    """The session has ended, or belongs to another person. The message does not say which."""


class FailedSignIns:
    """Counts failed sign-ins.

    Within 15 minutes, 10 failures are allowed for one e-mail address, and 30 for one client. If
    `redis_url` is not empty, the counts are stored in Redis, so that several servers share the
    limits. Without Redis, and while Redis does not answer, the counts are stored in this process.
    """

    PER_EMAIL: RateLimitItem = RateLimitItemPerMinute(10, LIMIT_MINUTES)
    PER_CLIENT: RateLimitItem = RateLimitItemPerMinute(30, LIMIT_MINUTES)

    def __init__(self, redis_url: str) -> None:
        self._in_process = MovingWindowRateLimiter(MemoryStorage())
        self._shared = _redis_limiter(redis_url) if redis_url else None
        outage = Outage(
            "Redis does not answer, so each process counts failed sign-ins separately",
            "Redis answers again",
            level=logging.WARNING,
        )
        self._breaker = Breaker(outage, REDIS_PAUSE_SECONDS, REDIS_TRIAL_SECONDS)

    def require_below_limit(self, email: str, client: str) -> None:
        """Raise TooManyFailedSignIns if either limit is reached."""
        if not self._call(
            lambda limiter: (
                limiter.test(self.PER_EMAIL, "email", email)
                and limiter.test(self.PER_CLIENT, "client", client)
            )
        ):
            raise TooManyFailedSignIns(
                f"Too many failed sign-in attempts. Try again in {LIMIT_MINUTES} minutes."
            )

    def add(self, email: str, client: str) -> None:
        """Count a failed sign-in."""
        self._call(lambda limiter: limiter.hit(self.PER_EMAIL, "email", email))
        self._call(lambda limiter: limiter.hit(self.PER_CLIENT, "client", client))

    def clear(self, email: str) -> None:
        """Forget the failed sign-ins of an e-mail address."""
        self._call(lambda limiter: limiter.clear(self.PER_EMAIL, "email", email))

    def _call(self, call: Callable[[MovingWindowRateLimiter], T]) -> T:
        """Call a function with a limiter and return its result.

        The limiter stores its counts in Redis, or in this process if Redis is not used or does not
        answer. After an error, Redis is not called for REDIS_PAUSE_SECONDS. Otherwise, each sign-in
        would wait for the timeout while Redis hangs.
        """
        if self._shared is None or not self._breaker.may_call():
            return call(self._in_process)
        try:
            result = call(self._shared)
        except StorageError as error:
            self._breaker.record_failure(error)
            return call(self._in_process)
        self._breaker.record_success()
        return result


def _redis_limiter(url: str) -> MovingWindowRateLimiter:
    """Return a limiter that uses the Redis server at `url`. Raises SettingsError.

    It does not connect yet.
    """
    options: dict[str, Any] = {
        "socket_connect_timeout": REDIS_TIMEOUT_SECONDS,
        "socket_timeout": REDIS_TIMEOUT_SECONDS,
        "retry": Retry(NoBackoff(), 0),
    }
    try:
        storage = storage_from_string(url, wrap_exceptions=True, **options)
        _check_connection_options(url, storage, options)
        return MovingWindowRateLimiter(storage)
    except (ConfigurationError, RedisError, ValueError, TypeError, LookupError) as error:
        # The message does not contain the URL, because the URL may contain a password.
        raise SettingsError(
            "REDIS_URL is not a valid URL. It must look like redis://:password@host:6379/0."
        ) from error


def _check_connection_options(url: str, storage: object, options: dict[str, Any]) -> None:
    """Raise an error if the URL contains a value that would fail only at the first sign-in."""
    parts = urlsplit(url)
    # redis-py ignores the name of a database that is not a number.
    has_database = parts.scheme in {"redis", "rediss"}
    if has_database and not re.fullmatch(r"/?[0-9]*/?", parts.path):
        raise ValueError("The database is not a number.")
    if not isinstance(storage, RedisStorage):
        raise TypeError("The URL does not name a Redis server.")
    pool = getattr(storage.storage, "connection_pool", None)
    if pool is not None:  # A cluster has one pool for each server.
        # The query of the URL must not replace the timeouts.
        pool.connection_kwargs.update(options)
        # redis-py checks the query only when it creates a connection and encodes a command.
        pool.connection_class(**pool.connection_kwargs).pack_command("GET", "text")


def sign_in(email: str, password: str, client: str, failed: FailedSignIns) -> Person:
    """Return the person with this e-mail address and password.

    `client` is the IP address of the browser. Raises SignInRefused and TooManyFailedSignIns.
    """
    email = accounts.normalized_email(email)
    try:
        failed.require_below_limit(email, client)
    except TooManyFailedSignIns:
        metrics.SIGN_IN_THROTTLED.inc()
        raise
    person: Person | None = Person.get_or_none(Person.email == email)
    if not accounts.verify_password(person, password) or person is None:
        failed.add(email, client)
        metrics.SIGN_IN_REFUSED.inc()
        raise SignInRefused("Incorrect e-mail address or password.")
    failed.clear(email)
    metrics.SIGN_IN_SUCCEEDED.inc()
    return person


@dataclass(frozen=True)
class Lifetimes:
    """How long sessions last."""

    idle: timedelta
    """A session ends if it is not used for this time."""
    absolute: timedelta
    """A session ends after this time, even if it is used."""

    def earliest(self) -> tuple[datetime, datetime]:
        """Return the earliest `created_at` and `seen_at` of a session that has not expired."""
        moment = models.now()
        return moment - self.absolute, moment - self.idle


def start(person: Person, kind: SessionKind, address: str, user_agent: str) -> str:
    """Start a session and return its token, for the cookie. Raises RecordGone.

    `person` must be as it was when the password was checked: if the password has changed since
    then, the session is not valid. `address` is the address of the browser. If the person has
    MAX_SESSIONS sessions, the one that was not used for the longest time ends.
    """
    token, moment = secrets.token_urlsafe(TOKEN_BYTES), models.now()
    with transaction():
        SignInSession.create(
            digest=_digest(token),
            person=person,
            session_key=person.session_key,
            kind=kind,
            address=plain_address(address),
            browser=describe_browser(user_agent),
            created_at=moment,
            seen_at=moment,
        )
        newest_first = (SignInSession.seen_at.desc(), SignInSession.id.desc())
        of_person = SignInSession.person == person
        kept = SignInSession.select(SignInSession.id).where(of_person).order_by(*newest_first)
        surplus = SignInSession.id.in_(kept.offset(MAX_SESSIONS))
        SignInSession.delete().where(surplus).execute()
    return token


def end(session: SignInSession) -> None:
    """End a session. Its token stays invalid, even if a browser sends the cookie again."""
    SignInSession.delete().where(SignInSession.id == session.id).execute()


def sessions_of(person: Person, lifetimes: Lifetimes) -> list[SignInSession]:
    """Return the valid sessions of a person, the last used first."""
    created, seen = lifetimes.earliest()
    valid = (
        (SignInSession.person == person)
        & (SignInSession.session_key == person.session_key)
        & (SignInSession.created_at >= created)
        & (SignInSession.seen_at >= seen)
    )
    order = (SignInSession.seen_at.desc(), SignInSession.id.desc())
    return list(SignInSession.select().where(valid).order_by(*order))


def end_own(actor: Actor, session_id: int) -> SignInSession:
    """End a session of the actor and return it. Raises SessionEnded."""
    session: SignInSession | None = SignInSession.get_or_none(id=session_id, person=actor.person)
    if session is None:
        raise SessionEnded("This session has already ended.")
    end(session)
    return session


def end_others(actor: Actor, current: SignInSession) -> None:
    """End all sessions of the actor except the current one."""
    with transaction():
        accounts.end_sessions(actor.person, keep=current)


def purge_chunk(lifetimes: Lifetimes) -> bool:
    """Delete some expired sessions. Return whether more may remain."""
    created, seen = lifetimes.earliest()
    is_expired = (SignInSession.created_at < created) | (SignInSession.seen_at < seen)
    is_forgotten = EndedSession.ended_at < models.now() - OLDER_VERSION_RETENTION
    remains = [delete_chunk(SignInSession, is_expired), delete_chunk(EndedSession, is_forgotten)]
    return any(remains)


@dataclass(frozen=True)
class Session:
    """The signed-in person with their roles, and the requested scope if it exists."""

    record: SignInSession
    actor: Actor
    scope: Scope | None


def load_session(token: str, lifetimes: Lifetimes, scope_path: str = "") -> Session | None:
    """Return the session with this token, or None if there is no such session or it has expired.

    The session contains the scope at `scope_path`, if this scope exists.

    Every page needs the session, the person, the roles of the person, and the scope with the scopes
    above it. So one query reads all of them. It returns one row for each combination of a role and
    a scope.
    """
    if not TOKEN.fullmatch(token):
        return None
    earliest = (f"{moment:%Y-%m-%d %H:%M:%S}" for moment in lifetimes.earliest())
    rows = _session_rows(*lineage_paths(scope_path), _digest(token), *earliest)
    if not rows:
        return None
    memberships = (row.membership for row in rows if row.membership)
    roles = {membership.scope_id: membership.role for membership in memberships}
    scopes = {row.requested.id: row.requested for row in rows if row.requested}
    scope = Scope.from_lineage(scope_path, scopes.values())
    return Session(rows[0].session, Actor(rows[0], roles), scope)


def _digest(token: str) -> str:
    """Return the digest of a token. The token is random, so the digest needs no salt."""
    return hashlib.sha256(token.encode()).hexdigest()


_session_rows = Prepared(
    lambda placeholder: (
        Person.select(
            Person,
            SignInSession.id,
            SignInSession.person,
            SignInSession.created_at,
            SignInSession.seen_at,
            Membership.id,
            Membership.scope,
            Membership.role,
            Scope,
        )
        .join(SignInSession, on=SignInSession.person == Person.id, attr="session")
        .join_from(
            Person,
            Membership,
            JOIN.LEFT_OUTER,
            on=Membership.person == Person.id,
            attr="membership",
        )
        .join_from(
            Person,
            Scope,
            JOIN.LEFT_OUTER,
            on=Scope.path.in_([placeholder] * 3),
            attr="requested",
        )
        .where(
            SignInSession.digest == placeholder,
            SignInSession.session_key == Person.session_key,
            SignInSession.created_at >= placeholder,
            SignInSession.seen_at >= placeholder,
        )
    )
)
