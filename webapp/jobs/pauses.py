"""Pause between transactions of background work, so that others can write to SQLite meanwhile.

SQLite allows one writer at a time. A writer that waits looks for the end of a transaction only from
time to time, so it would not notice a very short pause.
"""

from __future__ import annotations

import time

from models import database, is_sqlite

SHORTEST_PAUSE = 0.002
"""In seconds."""
LONG_RATIO, SHORT_RATIO = 1.5, 0.5
"""How many times as long as the transaction the pause is.

A transaction with many short rows needs a shorter pause than one long row.
"""


def let_others_write(locked_at: float, ratio: float = LONG_RATIO) -> None:
    """Pause after a transaction on SQLite that began at `locked_at`, by `time.monotonic`.

    Within a transaction, a pause would only make others wait longer.
    """
    if is_sqlite() and not database.in_transaction():
        time.sleep(max(SHORTEST_PAUSE, (time.monotonic() - locked_at) * ratio))
