"""Pause between transactions of background work, so that other threads can write to SQLite.

SQLite allows one writer at a time. A waiting writer checks the lock only from time to time, so it
would not notice a very short pause.
"""

from __future__ import annotations

import time

from models import database, is_sqlite

SHORTEST_PAUSE = 0.002
"""The minimum pause in seconds."""
LONG_RATIO, SHORT_RATIO = 1.5, 0.5
"""The length of the pause divided by the length of the transaction.

LONG_RATIO is for a transaction with at most one row of a job: one row can take a long time.
SHORT_RATIO is for a transaction with many rows, each of which is short.
"""


def let_others_write(locked_at: float, ratio: float = LONG_RATIO) -> None:
    """Pause after a transaction, if the database is SQLite.

    `locked_at` is the result of `time.monotonic` at the beginning of the transaction. Within an
    outer transaction, do not pause, because other writers would only wait longer.
    """
    if is_sqlite() and not database.in_transaction():
        time.sleep(max(SHORTEST_PAUSE, (time.monotonic() - locked_at) * ratio))
