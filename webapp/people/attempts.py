"""Slow down people who guess passwords, without locking anybody out.

An attempt is counted before the password is checked. If the attempt succeeds, it no longer counts.
After a few attempts without success, a person has to wait before the next attempt. This delay
doubles with each further attempt, up to a limit. An attempt during the delay is refused, and is not
counted.

There is a count for each pair of a client and a person, for each client, and for each person. The
count of a person includes the attempts from all clients, but its longest delay is one minute. So
strangers at other addresses cannot delay a person for longer than one minute. A browser in which
the person has signed in before has a device ID. Attempts in this browser have their own count, and
are not part of the other counts. So strangers cannot delay these attempts at all.
"""

from __future__ import annotations

import hashlib
import logging
import math
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv6Address, ip_address, ip_network
from time import monotonic
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

from limits import RateLimitItemPerMinute
from limits.errors import ConfigurationError
from limits.storage import MemoryStorage, RedisStorage, storage_from_string
from limits.strategies import FixedWindowRateLimiter
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError
from redis.retry import Retry

from webapp.database.outages import Breaker, Outage
from webapp.refusals import Refusal
from webapp.settings import SettingsError

T = TypeVar("T")

FORGET_SECONDS = 24 * 3600
"""Redis forgets a count if there is no attempt for this many seconds."""
MAX_COUNTS = 100_000
"""The maximum number of counts in the memory of a process.

If there are more, the process forgets the counts whose last attempts were longest ago.
"""
REDIS_FAILURES = (RedisError, RedisClusterException)
"""The exceptions of Redis. RedisClusterException is not a subclass of RedisError."""
REDIS_TIMEOUT_SECONDS = 0.5
REDIS_PAUSE_SECONDS = 10.0
"""How long Redis is not called after a call failed."""
REDIS_TRIAL_SECONDS = 5.0
"""The maximum duration of a trial.

After the pause, one thread tries to call Redis again. Until this trial ends, or until this time has
passed, the other threads do not call Redis.
"""


class TooManyAttempts(Refusal):
    """Too many attempts failed. The person or client has to wait `retry_after` seconds."""

    def __init__(self, seconds: float, credential: str = "password") -> None:
        self.retry_after = max(1, math.ceil(seconds))
        super().__init__(self.message_with_delay(f"Too many attempts with a wrong {credential}."))

    def message_with_delay(self, reason: str) -> str:
        """Return a message that contains this reason and says when to try again."""
        return f"{reason} Try again in {_duration_text(self.retry_after)}."


@dataclass(frozen=True)
class Limit:
    """How long people wait after attempts without success."""

    free: int
    """The number of attempts without a delay."""
    longest: int
    """The longest delay in seconds."""
    recovery: int
    """The seconds in which the count falls by one. If counts did not fall, the rare mistakes of
    many people behind one address would add up."""

    def delay_after(self, count: float) -> int:
        """Return the seconds until the next attempt, after `count` attempts without success."""
        excess = math.ceil(count) - self.free
        return 0 if excess < 0 else min(self.longest, 2 ** min(excess, 30))


RECORD_LIMIT = RateLimitItemPerMinute(60)
"""The maximum number of failures that a process writes to the audit log in a minute.

A failure is a failed sign-in or a refused token. Further failures in this minute are only in the
security log.
"""
RECORD_LIMIT_PER_PERSON = RateLimitItemPerMinute(1, 15)
"""A process writes an entry about delayed attempts to the audit log at most once in 15 minutes for
each person."""
PER_CLIENT_AND_PERSON = Limit(5, longest=900, recovery=900)
PER_CLIENT = Limit(30, longest=900, recovery=30)
PER_PERSON = Limit(50, longest=60, recovery=120)
PER_DEVICE = Limit(10, longest=900, recovery=900)
PER_FACTOR = Limit(5, longest=900, recovery=900)
Limits = Sequence[tuple[str, Limit]]
"""The keys of counts, each with the limit of its count."""


@dataclass(frozen=True)
class Attempt:
    """An attempt that was counted."""

    own_key: str
    """The key of the count that `Attempts.succeeded` deletes.

    For a password, for example, this count belongs to the person at this client or device.
    """
    shared_keys: tuple[str, ...] = ()
    """The keys of the counts that include the attempts of others."""


class Attempts:
    """Counts the attempts to sign in.

    If `redis_url` is not empty, the counts are stored in Redis, so that several servers share them.
    Without Redis, and while Redis does not answer, the counts are stored in this process.
    """

    def __init__(self, redis_url: str) -> None:
        self._in_process = _Memory()
        self._record_limiter = FixedWindowRateLimiter(MemoryStorage())
        self._shared = _Redis(redis_url) if redis_url else None
        outage = Outage(
            "Redis does not answer, so each process counts failed sign-ins separately",
            "Redis answers again",
            level=logging.WARNING,
        )
        self._breaker = Breaker(outage, REDIS_PAUSE_SECONDS, REDIS_TRIAL_SECONDS)

    def begin(self, email: str, address: str, device_id: str = "") -> Attempt:
        """Count an attempt to sign in, before the password is checked. Raises TooManyAttempts.

        `device_id` is the ID of a browser in which the person has signed in before, or ''.
        """
        person, client = person_key(email), _client_of(address)
        limits: Limits
        if device_id:
            limits = [(f"device:{device_id}:{person}", PER_DEVICE)]
        else:
            limits = [
                (f"both:{client}:{person}", PER_CLIENT_AND_PERSON),
                (f"client:{client}", PER_CLIENT),
                (f"person:{person}", PER_PERSON),
            ]
        seconds = self._call(lambda counts: counts.begin(limits))
        if seconds > 0:
            raise TooManyAttempts(seconds)
        own_key, *shared_keys = (key for key, _ in limits)
        return Attempt(own_key, tuple(shared_keys))

    def begin_factor(self, email: str, device_id: str = "") -> Attempt:
        """Count an attempt to enter a second factor, before the factor is checked.

        Raises TooManyAttempts.

        Without a device ID, all attempts for a person share one count, even from different clients.
        Strangers cannot delay the person by such attempts, because they need the password to reach
        this step. See `begin` for `device_id`.
        """
        key = f"factor:{device_id}:{person_key(email)}"
        seconds = self._call(lambda counts: counts.begin([(key, PER_FACTOR)]))
        if seconds > 0:
            raise TooManyAttempts(seconds, "code")
        return Attempt(key)

    def begin_token(self, address: str) -> None:
        """Count a wrong API token. Raises TooManyAttempts.

        Valid tokens are not counted, and are accepted even during a delay. This is safe, because
        nobody can guess a token.
        """
        key = f"token:{_client_of(address)}"
        seconds = self._call(lambda counts: counts.begin([(key, PER_CLIENT)]))
        if seconds > 0:
            raise TooManyAttempts(seconds, "token")

    def begin_passkey(self, address: str) -> Attempt:
        """Count an attempt to use a passkey, before the browser's answer is read.

        Raises TooManyAttempts. All attempts of a client share one count, because the person is not
        known before the answer is read. After a success, call `cancel` instead of `succeeded`,
        which would also forget the attempts of other people at this client.
        """
        key = f"passkey:{_client_of(address)}"
        seconds = self._call(lambda counts: counts.begin([(key, PER_CLIENT)]))
        if seconds > 0:
            raise TooManyAttempts(seconds, "passkey")
        return Attempt(key)

    def succeeded(self, attempt: Attempt) -> None:
        """Delete the count `own_key` of an attempt, and reduce the counts `shared_keys` by one."""
        self._call(lambda counts: counts.take_back((attempt.own_key,), attempt.shared_keys))

    def cancel(self, attempt: Attempt) -> None:
        """Reduce the counts of an attempt by one, so that the attempt no longer counts.

        If a delay began with the attempt, the delay does not end earlier. Call this if the
        password, code or passkey could not be checked. For passkeys, call this also after a success
        (see `begin_passkey`).
        """
        self._call(lambda counts: counts.take_back((), (attempt.own_key, *attempt.shared_keys)))

    def may_record(self, action: str, email: str) -> bool:
        """Return whether to write a failed sign-in or a refused token to the audit log.

        RECORD_LIMIT and RECORD_LIMIT_PER_PERSON keep people who guess passwords from filling the
        audit log. Call this only once for each failure, because each call counts. `email` is used
        only for delayed sign-ins.
        """
        if action == "person.throttled" and not self._record_limiter.hit(
            RECORD_LIMIT_PER_PERSON, person_key(email)
        ):
            return False
        return self._record_limiter.hit(RECORD_LIMIT)

    def _call(self, call: Callable[[_Counts], T]) -> T:
        """Call a function with the counts and return its result.

        After an error, Redis is not called for REDIS_PAUSE_SECONDS. Otherwise, each sign-in would
        wait for the timeout while Redis hangs.
        """
        if self._shared is None or not self._breaker.may_call():
            return call(self._in_process)
        try:
            result = call(self._shared)
        except REDIS_FAILURES as error:
            self._breaker.record_failure(error)
            return call(self._in_process)
        self._breaker.record_success()
        return result


def person_key(email: str) -> str:
    """Return a digest of a normalized e-mail address. `email` may be any text."""
    return hashlib.sha256(email.encode(errors="surrogatepass")).hexdigest()[:32]


def _client_of(address: str) -> str:
    """Return the part of a count’s key that identifies the client at an address.

    For an IPv6 address, this is its /64 network, because a client usually has all addresses of such
    a network.
    """
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or ip_network((parsed, 64), strict=False))


def _duration_text(seconds: int) -> str:
    if seconds < 60:
        return "one second" if seconds == 1 else f"{seconds} seconds"
    minutes = math.ceil(seconds / 60)
    return "one minute" if minutes == 1 else f"{minutes} minutes"


class _Counts(Protocol):
    """For each key, stores the number of attempts, the last attempt, and the end of the delay."""

    def begin(self, limits: Limits) -> float:
        """Add an attempt to the count of each key, and return 0.

        If the delay of one of the keys has not ended, count nothing, and return the seconds until
        the delays of all keys have ended.
        """

    def take_back(self, deleted_keys: Sequence[str], reduced_keys: Sequence[str]) -> None:
        """Delete the counts `deleted_keys`, and reduce the counts `reduced_keys` by one."""


@dataclass
class _Count:
    number: float = 0.0
    last: float = 0.0
    delay_end: float = 0.0
    """An attempt before this time is refused."""


class _Memory:
    """The counts in the memory of the process. Threads can share the object."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: OrderedDict[str, _Count] = OrderedDict()
        """The counts by key. The count whose last attempt was longest ago is first."""

    def begin(self, limits: Limits) -> float:
        moment = monotonic()
        with self._lock:
            counts = [self._counts.get(key) or _Count() for key, _ in limits]
            seconds = max(count.delay_end - moment for count in counts)
            if seconds > 0:
                return seconds
            for (key, limit), count in zip(limits, counts, strict=True):
                recovered = (moment - count.last) / limit.recovery
                number = max(0.0, count.number - recovered) + 1
                self._counts[key] = _Count(number, moment, moment + limit.delay_after(number))
                self._counts.move_to_end(key)
            while len(self._counts) > MAX_COUNTS:
                self._counts.popitem(last=False)
        return 0.0

    def take_back(self, deleted_keys: Sequence[str], reduced_keys: Sequence[str]) -> None:
        with self._lock:
            for key in deleted_keys:
                self._counts.pop(key, None)
            for key in reduced_keys:
                if count := self._counts.get(key):
                    count.number = max(0.0, count.number - 1)


class _Redis:
    """The counts in Redis. Redis runs each script as one step, so processes do not interfere."""

    BEGIN = """
        local clock = redis.call('TIME')
        local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
        local seconds = 0
        for _, key in ipairs(KEYS) do
            local delay_end = tonumber(redis.call('HGET', key, 'next') or 0)
            seconds = math.max(seconds, delay_end - now)
        end
        if seconds > 0 then return tostring(seconds) end
        for number, key in ipairs(KEYS) do
            local free, longest, recovery = unpack(ARGV, 3 * number - 2, 3 * number)
            local last = tonumber(redis.call('HGET', key, 'last') or now)
            local count = tonumber(redis.call('HGET', key, 'count') or 0)
            count = math.max(0, count - (now - last) / tonumber(recovery)) + 1
            local excess, delay = math.ceil(count) - tonumber(free), 0
            if excess >= 0 then delay = math.min(tonumber(longest), 2 ^ math.min(excess, 30)) end
            redis.call('HSET', key, 'count', string.format('%.6f', count))
            redis.call('HSET', key, 'last', string.format('%.6f', now))
            redis.call('HSET', key, 'next', string.format('%.6f', now + delay))
            redis.call('EXPIRE', key, ARGV[#ARGV])
        end
        return '0'
    """
    REDUCE = """
        for _, key in ipairs(KEYS) do
            local count = redis.call('HGET', key, 'count')
            if count then
                redis.call('HSET', key, 'count', math.max(0, tonumber(count) - 1))
            end
        end
    """

    def __init__(self, url: str) -> None:
        """Raise SettingsError if the URL is invalid."""
        self._url = url
        with suppress(RedisClusterException):  # The cluster may answer later.
            self._client  # noqa: B018  creates the client, which checks the URL

    @cached_property
    def _client(self) -> Any:
        return connect_to_redis(self._url)

    @cached_property
    def _begin(self) -> Any:
        return self._client.register_script(self.BEGIN)

    @cached_property
    def _reduce(self) -> Any:
        return self._client.register_script(self.REDUCE)

    def begin(self, limits: Limits) -> float:
        arguments = [
            number for _, limit in limits for number in (limit.free, limit.longest, limit.recovery)
        ]
        keys = [_key(key) for key, _ in limits]
        return float(self._begin(keys=keys, args=[*arguments, FORGET_SECONDS]))

    def take_back(self, deleted_keys: Sequence[str], reduced_keys: Sequence[str]) -> None:
        if deleted_keys:
            self._client.delete(*map(_key, deleted_keys))
        if reduced_keys:
            self._reduce(keys=[_key(key) for key in reduced_keys])


def _key(name: str) -> str:
    """Return the key in Redis. In a cluster, the braces keep all keys on one server."""
    return f"{{image-registry:sign-in}}:{name}"


def connect_to_redis(url: str) -> Any:
    """Return a client of the Redis server at `url`. Raises SettingsError.

    A client of a cluster connects immediately, and raises RedisClusterException if no server of the
    cluster answers. Other clients connect at the first command.
    """
    options: dict[str, Any] = {
        "socket_connect_timeout": REDIS_TIMEOUT_SECONDS,
        "socket_timeout": REDIS_TIMEOUT_SECONDS,
        "retry": Retry(NoBackoff(), 0),
    }
    try:
        _require_server(url)
        storage: Any = storage_from_string(url, **options)
        _check_connection_options(url, storage, options)
    except (ConfigurationError, RedisError, ValueError, TypeError, LookupError) as error:
        # The message does not contain the URL, because the URL may contain a password.
        raise SettingsError(
            "REDIS_URL is not a valid URL. It must look like redis://:password@host:6379/0."
        ) from error
    return storage.storage


def _require_server(url: str) -> None:
    """Raise ValueError if the URL of a cluster names no server."""
    parts = urlsplit(url)
    if parts.scheme == "redis+cluster" and not parts.netloc:
        raise ValueError("The URL names no server.")


def _check_connection_options(url: str, storage: object, options: dict[str, Any]) -> None:
    """Raise an error if the URL contains a value that would fail only at the first sign-in."""
    parts = urlsplit(url)
    # redis-py ignores the database in the URL if it is not a number.
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
