"""A cache for the values that an adapter reuses in its next call: clients, tokens, sessions.

It is in memory only, and its keys reveal no secret.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

NEVER_EXPIRES = float("inf")


def credentials_digest(credentials: Mapping[str, str]) -> str:
    """Return a key that identifies these exact values without revealing any of them."""
    values = "\0".join(f"{name}={credentials[name]}" for name in sorted(credentials))
    return hashlib.sha256(values.encode()).hexdigest()


class Cache:
    """A cache of the most recently used values. Each value expires at its own time.

    The first part of a key is its owner: the digest of the credentials. Safe to share between
    threads.
    """

    def __init__(self, max_entries: int = 256) -> None:
        self._max_entries = max_entries
        self._entries: OrderedDict[tuple[str, ...], tuple[float, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[str, ...]) -> Any:
        """Return the value, or None if the key is unknown or its value has expired."""
        with self._lock:
            expires, value = self._entries.get(key, (0.0, None))
            if time.time() >= expires:
                return None
            self._entries.move_to_end(key)
            return value

    def set(self, key: tuple[str, ...], value: Any, expires: float) -> None:
        """Store `value` until `expires`, in seconds since the epoch."""
        with self._lock:
            self._entries[key] = (expires, value)
            self._entries.move_to_end(key)
            while len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)

    def delete_owner(self, owner: str) -> None:
        """Delete every value of one owner."""
        with self._lock:
            for key in [key for key in self._entries if key[0] == owner]:
                del self._entries[key]
