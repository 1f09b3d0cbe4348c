"""Pause between transactions of background work, so that other threads can write to SQLite.

SQLite allows one writer at a time. A writer that waits checks only from time to time whether the
lock is free, so it would not notice a very short pause.
"""

from __future__ import annotations

import time

from models import database, is_sqlite

SHORTEST_PAUSE = 0.002
"""The minimum pause in seconds."""
LONG_RATIO, SHORT_RATIO = 1.5, 0.5
"""The length of the pause divided by the length of the transaction.

LONG_RATIO is for a transaction with one long row, and SHORT_RATIO for one with many short rows.
"""


def let_others_write(locked_at: float, ratio: float = LONG_RATIO) -> None:
    """Pause after a transaction on SQLite that began at `locked_at`, by `time.monotonic`.

    Within another transaction, do not pause, because others would only wait longer.
    """
    if is_sqlite() and not database.in_transaction():
        time.sleep(max(SHORTEST_PAUSE, (time.monotonic() - locked_at) * ratio))
