"""What an adapter keeps from one call to the next: clients, tokens, sessions. Only in memory, and
under a name in which no secret can be read."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from typing import Any

from webapp.clouds.base import CredentialValues

FOREVER = float("inf")


def digest(credentials: CredentialValues) -> str:
    """A name for these very values, in which none of them can be read."""
    values = "\0".join(f"{name}={credentials[name]}" for name in sorted(credentials))
    return hashlib.sha256(values.encode()).hexdigest()


class Kept:
    """At most `most` things, the latest used, each until it expires. The first part of a name says
    whose it is: the digest of credentials. Safe to share between threads."""

    def __init__(self, most: int = 256) -> None:
        self._most = most
        self._things: OrderedDict[tuple[str, ...], tuple[float, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: tuple[str, ...]) -> Any:
        """None for what is not kept, or has expired."""
        with self._lock:
            expires, thing = self._things.get(name, (0.0, None))
            if time.time() >= expires:
                return None
            self._things.move_to_end(name)
            return thing

    def keep(self, name: tuple[str, ...], thing: Any, expires: float) -> None:
        with self._lock:
            self._things[name] = (expires, thing)
            self._things.move_to_end(name)
            while len(self._things) > self._most:
                self._things.popitem(last=False)

    def drop(self, owner: str) -> None:
        with self._lock:
            for name in [each for each in self._things if each[0] == owner]:
                del self._things[name]
