"""The time limits for connections and statements of the database, in seconds.

Within a request, one statement may take REQUEST_SECONDS. On SQLite, this limits only the time that
a statement waits for locks. Jobs and commands have more time, because no browser waits for them and
their statements may be long.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

CONNECT_SECONDS = 2
"""The time to open a connection to a server. psycopg treats 1 like 2."""
POOL_SECONDS = 2.0
"""The time to wait for another thread to return a connection to the pool."""
REQUEST_SECONDS = 3.5
"""The time for a statement within a request."""
CANCEL_SECONDS = 0.5
"""The time that a server has to answer after a statement was cancelled."""
BACKGROUND_SECONDS = 600.0
"""The time for a statement of a job or a command."""
UNLIMITED = 10 * 365 * 86_400.0
"""Ten years. No statement takes that long."""


class _Limit(threading.local):
    seconds = BACKGROUND_SECONDS


_limit = _Limit()


def statement_seconds() -> float:
    """Return how long a statement of this thread may take."""
    return _limit.seconds


def limit_statements(seconds: float) -> None:
    """Set how long each further statement of this thread may take."""
    _limit.seconds = seconds


@contextmanager
def long_statements(seconds: float = BACKGROUND_SECONDS) -> Iterator[None]:
    """Raise the limit for each statement of the `with` body to `seconds`, unless it was higher."""
    before = _limit.seconds
    _limit.seconds = max(before, seconds)
    try:
        yield
    finally:
        _limit.seconds = before
