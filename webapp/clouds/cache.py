"""A cache for values, such as clients and sessions, that an adapter reuses in later calls.

A cache is in memory only. Its keys contain no secrets: a digest identifies the credentials.
"""

from __future__ import annotations

import hashlib
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

from webapp.clouds.outgoing.calls import current_call

NEVER_EXPIRES = float("inf")


def credentials_digest(credentials: Mapping[str, str]) -> str:
    """Return a text that identifies these exact credentials without revealing any of them."""
    values = "\0".join(f"{name}={credentials[name]}" for name in sorted(credentials))
    return hashlib.sha256(values.encode()).hexdigest()


class _Entry(NamedTuple):
    expires: float
    value: Any
    account: str


class Cache:
    """A cache of the most recently used values. Each value has its own expiry time.

    If a cache contains values for several sets of credentials, the first part of each key is the
    `credentials_digest` of the credentials to which the value belongs, so that `forget` finds all
    values of the same credentials. If all values of a cache belong to the same credentials, the
    keys need no digest, because the whole cache can be discarded instead.

    A cache has at most `max_entries` values, and at most `max_per_account` of them belong to the
    same account, so that no account can evict the values of all others. Threads can share a cache.
    """

    def __init__(self, max_entries: int = 256, max_per_account: int = 16) -> None:
        self._max_entries = max_entries
        self._max_per_account = max_per_account
        self._entries: OrderedDict[tuple[str, ...], _Entry] = OrderedDict()
        self._lock = threading.Lock()
        _caches.add(self)

    def get(self, key: tuple[str, ...]) -> Any:
        """Return the value, or None if the key is unknown or its value has expired."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or time.time() >= entry.expires:
                return None
            self._entries.move_to_end(key)
            return entry.value

    def set(self, key: tuple[str, ...], value: Any, expires: float) -> None:
        """Store `value` until `expires`, in seconds since the epoch.

        The value belongs to the account that owns the credentials of the call in progress.
        """
        with self._lock:
            account = current_call().owner
            self._entries[key] = _Entry(expires, value, account)
            self._entries.move_to_end(key)
            keys = [each for each, entry in self._entries.items() if entry.account == account]
            for oldest in keys[: -self._max_per_account]:
                del self._entries[oldest]
            while len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)

    def forget(self, digest: str) -> None:
        """Delete every value of the credentials with this digest."""
        with self._lock:
            for key in [key for key in self._entries if key[0] == digest]:
                del self._entries[key]


_caches: weakref.WeakSet[Cache] = weakref.WeakSet()


def forget(digest: str) -> None:
    """Delete every value of the credentials with this digest from all caches."""
    for each in list(_caches):
        each.forget(digest)
