"""Slow down people who guess passwords, without locking anybody out.

Every attempt is counted before the password is checked, and a successful attempt is taken back.
After a few attempts without success, the time until the next attempt doubles with each of them. An
attempt in this time is refused, and is not counted.

Attempts are counted for each client and person, for each client, and for each person. So a stranger
delays the attempts of others for a person by at most a minute. A browser in which the person has
signed in before has a device ID, and has a count of its own: strangers cannot delay it at all.
"""

from __future__ import annotations

import hashlib
import logging
import math
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from time import monotonic
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

from limits.errors import ConfigurationError
from limits.storage import RedisStorage, storage_from_string
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from webapp.database.outages import Breaker, Outage
from webapp.refusals import Refusal
from webapp.settings import SettingsError

T = TypeVar("T")

FORGET_SECONDS = 24 * 3600
"""The seconds without an attempt after which Redis forgets a count."""
MAX_COUNTS = 100_000
"""The maximum number of counts in the memory of a process. The oldest is forgotten."""
REDIS_TIMEOUT_SECONDS = 0.5
REDIS_PAUSE_SECONDS = 10.0
"""How long Redis is not called after a call failed."""
REDIS_TRIAL_SECONDS = 5.0
"""After the pause, one thread calls Redis again.

The other threads do not call Redis until this call ends, or until this time has passed.
"""


class TooManyAttempts(Refusal):
    """There were too many attempts to sign in. The person has to wait `retry_after` seconds."""

    def __init__(self, seconds: float) -> None:
        self.retry_after = max(1, math.ceil(seconds))
        super().__init__(
            f"Too many failed sign-in attempts. Try again in {_time(self.retry_after)}."
        )


@dataclass(frozen=True)
class Limit:
    """How fast attempts without success are slowed down."""

    free: int
    """The number of attempts without a delay."""
    longest: int
    """The longest delay in seconds."""
    recovery: int
    """The seconds after which the count falls by one. Otherwise, the rare mistakes of the many
    people behind one address would add up."""

    def delay_after(self, count: float) -> int:
        """Return the seconds until the next attempt, after `count` attempts without success."""
        over = math.ceil(count) - self.free
        return 0 if over < 0 else min(self.longest, 2 ** min(over, 30))


PER_CLIENT_AND_PERSON = Limit(5, longest=900, recovery=900)
PER_CLIENT = Limit(30, longest=900, recovery=30)
PER_PERSON = Limit(50, longest=60, recovery=120)
PER_DEVICE = Limit(10, longest=900, recovery=900)
Limits = Sequence[tuple[str, Limit]]


@dataclass(frozen=True)
class Attempt:
    """An attempt that was counted."""

    own: str
    """The key of the count of the person at this client or device."""
    shared: tuple[str, ...] = ()
    """The keys of the counts that include the attempts of others."""


class Attempts:
    """Counts the attempts to sign in.

    If `redis_url` is not empty, the counts are stored in Redis, so that several servers share them.
    Without Redis, and while Redis does not answer, the counts are stored in this process.
    """

    def __init__(self, redis_url: str) -> None:
        self._in_process = _Memory()
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
        own, *shared = (key for key, _ in limits)
        return Attempt(own, tuple(shared))

    def succeeded(self, attempt: Attempt) -> None:
        """Forget the attempts of the person at this client, and take this one back elsewhere."""
        self._call(lambda counts: counts.take_back((attempt.own,), attempt.shared))

    def was_not_made(self, attempt: Attempt) -> None:
        """Take an attempt back, because the password was not checked."""
        self._call(lambda counts: counts.take_back((), (attempt.own, *attempt.shared)))

    def _call(self, call: Callable[[_Counts], T]) -> T:
        """Call a function with the counts and return its result.

        After an error, Redis is not called for REDIS_PAUSE_SECONDS. Otherwise, each sign-in would
        wait for the timeout while Redis hangs.
        """
        if self._shared is None or not self._breaker.may_call():
            return call(self._in_process)
        try:
            result = call(self._shared)
        except RedisError as error:
            self._breaker.record_failure(error)
            return call(self._in_process)
        self._breaker.record_success()
        return result


def person_key(email: str) -> str:
    """Return a short text that stands for a normalized e-mail address, which may be any text."""
    return hashlib.sha256(email.encode(errors="surrogatepass")).hexdigest()[:32]


def _client_of(address: str) -> str:
    """Return the text by which attempts from an address are counted.

    A client with IPv6 usually has all addresses of a network with 64 bits.
    """
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or ip_network((parsed, 64), strict=False))


def _time(seconds: int) -> str:
    if seconds < 60:
        return "one second" if seconds == 1 else f"{seconds} seconds"
    minutes = math.ceil(seconds / 60)
    return "one minute" if minutes == 1 else f"{minutes} minutes"


class _Counts(Protocol):
    """Stores for each key the number of attempts, and the times of the last and the next."""

    def begin(self, limits: Limits) -> float:
        """Count an attempt with each of the keys and return 0.

        If the time of the next attempt has not come for one of the keys, count nothing, and return
        the seconds to wait.
        """

    def take_back(self, forgotten: Sequence[str], reduced: Sequence[str]) -> None:
        """Forget the counts of some keys, and reduce the counts of others by one."""


@dataclass
class _Count:
    number: float = 0.0
    last: float = 0.0
    following: float = 0.0
    """The time of the next attempt."""


class _Memory:
    """The counts in the memory of the process. Threads can share the object."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: OrderedDict[str, _Count] = OrderedDict()
        """The counts by key, the oldest attempt first."""

    def begin(self, limits: Limits) -> float:
        moment = monotonic()
        with self._lock:
            found = [self._counts.get(key) or _Count() for key, _ in limits]
            seconds = max(count.following - moment for count in found)
            if seconds > 0:
                return seconds
            for (key, limit), count in zip(limits, found, strict=True):
                recovered = (moment - count.last) / limit.recovery
                number = max(0.0, count.number - recovered) + 1
                self._counts[key] = _Count(number, moment, moment + limit.delay_after(number))
                self._counts.move_to_end(key)
            while len(self._counts) > MAX_COUNTS:
                self._counts.popitem(last=False)
        return 0.0

    def take_back(self, forgotten: Sequence[str], reduced: Sequence[str]) -> None:
        with self._lock:
            for key in forgotten:
                self._counts.pop(key, None)
            for key in reduced:
                if count := self._counts.get(key):
                    count.number = max(0.0, count.number - 1)


class _Redis:
    """The counts in Redis. A script is one step for all processes."""

    BEGIN = """
        local clock = redis.call('TIME')
        local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
        local seconds = 0
        for _, key in ipairs(KEYS) do
            local following = tonumber(redis.call('HGET', key, 'next') or 0)
            seconds = math.max(seconds, following - now)
        end
        if seconds > 0 then return tostring(seconds) end
        for number, key in ipairs(KEYS) do
            local free, longest, recovery = unpack(ARGV, 3 * number - 2, 3 * number)
            local last = tonumber(redis.call('HGET', key, 'last') or now)
            local count = tonumber(redis.call('HGET', key, 'count') or 0)
            count = math.max(0, count - (now - last) / tonumber(recovery)) + 1
            local over, delay = math.ceil(count) - tonumber(free), 0
            if over >= 0 then delay = math.min(tonumber(longest), 2 ^ math.min(over, 30)) end
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
        self._client = _connect(url)
        self._begin = self._client.register_script(self.BEGIN)
        self._reduce = self._client.register_script(self.REDUCE)

    def begin(self, limits: Limits) -> float:
        arguments = [
            number for _, limit in limits for number in (limit.free, limit.longest, limit.recovery)
        ]
        keys = [_key(key) for key, _ in limits]
        return float(self._begin(keys=keys, args=[*arguments, FORGET_SECONDS]))

    def take_back(self, forgotten: Sequence[str], reduced: Sequence[str]) -> None:
        if forgotten:
            self._client.delete(*map(_key, forgotten))
        if reduced:
            self._reduce(keys=[_key(key) for key in reduced])


def _key(name: str) -> str:
    """Return the key in Redis. In a cluster, the braces keep all keys on one server."""
    return f"{{image-registry:sign-in}}:{name}"


def _connect(url: str) -> Any:
    """Return a client of the Redis server at `url`. Raises SettingsError.

    It does not connect yet.
    """
    options: dict[str, Any] = {
        "socket_connect_timeout": REDIS_TIMEOUT_SECONDS,
        "socket_timeout": REDIS_TIMEOUT_SECONDS,
        "retry": Retry(NoBackoff(), 0),
    }
    try:
        storage: Any = storage_from_string(url, **options)
        _check_connection_options(url, storage, options)
    except (ConfigurationError, RedisError, ValueError, TypeError, LookupError) as error:
        # The message does not contain the URL, because the URL may contain a password.
        raise SettingsError(
            "REDIS_URL is not a valid URL. It must look like redis://:password@host:6379/0."
        ) from error
    return storage.storage


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
