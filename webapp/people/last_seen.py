"""Save when sessions and tokens were last used, without writing to the database in each request.

A request only notes its session or token in the memory of the process. The ticker thread of the
process saves the notes. If the database cannot be written, the notes are lost, and the next
requests note their sessions and tokens again.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Any

import models
from models import ApiToken, SignInSession, is_sqlite

INTERVAL = timedelta(minutes=5)
"""A session is noted only if its saved time of last use is at least this old."""
CHUNK_SIZE = 500


class LastSeen:
    """The sessions that requests have used and whose time of use is not saved yet.

    There is one instance per process. Threads can share it.
    """

    column: Any = SignInSession.seen_at

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times: dict[int, datetime] = {}

    def remember(self, record: SignInSession | ApiToken) -> None:
        """Remember that a record is being used now, unless its saved time is recent enough."""
        moment = self._time_to_save(getattr(record, self.column.name))
        if moment is not None:
            with self._lock:
                self._times[record.id] = moment

    def _time_to_save(self, saved: datetime | None) -> datetime | None:
        """Return the time to save, or None if the saved time is recent enough."""
        moment = models.now()
        return moment if saved is None or moment - saved >= INTERVAL else None

    def save(self) -> None:
        """Save the notes. The records of a chunk all get the latest time of the chunk."""
        with self._lock:
            times, self._times = self._times, {}
        ids = sorted(times)
        for start in range(0, len(ids), CHUNK_SIZE):
            chunk = ids[start : start + CHUNK_SIZE]
            _save(self.column, chunk, max(times[each] for each in chunk))


class LastUsed(LastSeen):
    """The API tokens that requests have used and whose time of use is not saved yet.

    The times are full hours, so that people can see which tokens nobody uses, but cannot follow
    what the programs with these tokens do.
    """

    column = ApiToken.used_at

    def _time_to_save(self, saved: datetime | None) -> datetime | None:
        hour = models.now().replace(minute=0, second=0)
        return hour if saved is None or hour > saved else None


def _save(column: Any, ids: list[int], moment: datetime) -> None:
    """Store `moment` in a column of some records, unless a later moment is stored.

    On PostgreSQL, rows that another process is writing at the same time are skipped. Otherwise, two
    processes could wait for each other. The revision stays the same, because nobody has edited the
    record.
    """
    table = column.model
    is_older = table.id.in_(ids) & (column.is_null() | (column < moment))
    if not is_sqlite():
        rows = table.select(table.id).where(is_older).for_update(skip_locked=True)
        is_older = table.id.in_(rows)
    table.update({column: moment}).where(is_older).execute()
