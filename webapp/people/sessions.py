"""Sign people in and out, limit failed sign-ins, and load the session of a request."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from limits import RateLimitItemPerMinute
from limits.errors import ConfigurationError, StorageError
from limits.storage import MemoryStorage, RedisStorage, storage_from_string
from limits.strategies import MovingWindowRateLimiter
from peewee import JOIN, fn
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from models import (
    EndedSession,
    Membership,
    Person,
    Prepared,
    Scope,
    delete_chunk,
    lineage_paths,
    now,
)
from webapp.access import Actor
from webapp.database.outages import Breaker, Outage
from webapp.monitoring import metrics
from webapp.people import accounts
from webapp.refusals import Refusal
from webapp.settings import SettingsError

if TYPE_CHECKING:
    from limits import RateLimitItem

T = TypeVar("T")

LIMIT_MINUTES = 15
"""The period in which failed sign-ins are counted."""
COOKIE_LIFETIME = timedelta(days=31)
"""How long a browser keeps the session cookie after the last response that set it."""
CLOCK_DIFFERENCE = timedelta(days=1)
"""Servers accept the session cookies of each other if their clocks differ by at most this."""
ENDED_SESSION_RETENTION = COOKIE_LIFETIME + CLOCK_DIFFERENCE
"""How long an ended session is stored.

The extra day also covers responses that set the cookie after the sign-out.
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


def new_session_id(person: Person) -> str:
    """Return the ID of a new session, for the session cookie.

    The session ends when the password changes, or when `end_session` is called.
    """
    return f"{person.id}.{person.session_key}.{secrets.token_urlsafe(16)}"


def end_session(session_id: str) -> None:
    """End a session. Its ID stays invalid, even if a browser sends the cookie again."""
    token = session_id.rpartition(".")[2]
    EndedSession.insert(token=token).on_conflict_ignore().execute()


def purge_chunk() -> bool:
    """Delete some ended sessions whose cookies have expired. Return whether more may remain."""
    return delete_chunk(EndedSession, EndedSession.ended_at < now() - ENDED_SESSION_RETENTION)


@dataclass(frozen=True)
class Session:
    """The signed-in person with their roles, and the requested scope if it exists."""

    actor: Actor
    scope: Scope | None


def load_session(session_id: str, scope_path: str = "") -> Session | None:
    """Return the session with this ID, or None if the ID is not valid.

    The session contains the scope at `scope_path`, if this scope exists.

    Every page needs the person, the roles of the person, and the scope with the scopes above it. So
    one query reads all of them. It returns one row for each combination of a role and a scope.
    """
    person_id, _, key_and_token = session_id.partition(".")
    key, _, token = key_and_token.partition(".")
    if not person_id.isdecimal() or not token:
        return None
    rows = _session_rows(*lineage_paths(scope_path), int(person_id), token)
    if not rows or not secrets.compare_digest(rows[0].session_key, key):
        return None
    memberships = (row.membership for row in rows if row.membership)
    roles = {membership.scope_id: membership.role for membership in memberships}
    scopes = {row.requested.id: row.requested for row in rows if row.requested}
    return Session(Actor(rows[0], roles), Scope.from_lineage(scope_path, scopes.values()))


_session_rows = Prepared(
    lambda placeholder: (
        Person.select(Person, Membership.id, Membership.scope, Membership.role, Scope)
        .join(Membership, JOIN.LEFT_OUTER, on=Membership.person == Person.id, attr="membership")
        .join_from(
            Person,
            Scope,
            JOIN.LEFT_OUTER,
            on=Scope.path.in_([placeholder] * 3),
            attr="requested",
        )
        .where(
            Person.id == placeholder,
            ~fn.EXISTS(EndedSession.select().where(EndedSession.token == placeholder)),
        )
    )
)
