"""A cache for the values that an adapter reuses in its next call: clients, tokens, sessions.

It is in memory only, and its keys reveal no secret.
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
    """Return a key that identifies these exact values without revealing any of them."""
    values = "\0".join(f"{name}={credentials[name]}" for name in sorted(credentials))
    return hashlib.sha256(values.encode()).hexdigest()


class _Entry(NamedTuple):
    expires: float
    value: Any
    account: str


class Cache:
    """A cache of the most recently used values. Each value expires at its own time.

    The first part of a key is its owner: the digest of the credentials. One account has at most
    `max_per_account` values, so that it can't evict the values of all others. Safe to share between
    threads.
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
        """Store `value` until `expires`, in seconds since the epoch."""
        with self._lock:
            account = current_call().owner
            self._entries[key] = _Entry(expires, value, account)
            self._entries.move_to_end(key)
            same = [each for each, entry in self._entries.items() if entry.account == account]
            for each in same[: -self._max_per_account]:
                del self._entries[each]
            while len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)

    def delete_owner(self, owner: str) -> None:
        """Delete every value of one owner."""
        with self._lock:
            for key in [key for key in self._entries if key[0] == owner]:
                del self._entries[key]


_caches: weakref.WeakSet[Cache] = weakref.WeakSet()


def forget(owner: str) -> None:
    """Delete every value of one owner from all caches."""
    for each in list(_caches):
        each.delete_owner(owner)
