"""Save when sessions were last used, without a write in the requests of people.

A request only notes its session in the memory of the process. The ticker thread of the process
saves the notes. If the database cannot be written, the notes are dropped, and the next requests
note the sessions again.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

import models
from models import SignInSession, is_sqlite

INTERVAL = timedelta(minutes=5)
"""The time of the last use is saved at most this often, for each session."""
CHUNK_SIZE = 500


class LastSeen:
    """The sessions that requests have used and whose time is not saved yet.

    There is one instance per process. Threads can share it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._noted: dict[int, datetime] = {}

    def note(self, session: SignInSession) -> None:
        """Note that a session is used now, unless this was saved less than INTERVAL ago."""
        moment = models.now()
        if moment - session.seen_at >= INTERVAL:
            with self._lock:
                self._noted[session.id] = moment

    def save(self) -> None:
        """Save the notes."""
        with self._lock:
            noted, self._noted = self._noted, {}
        ids = sorted(noted)
        for start in range(0, len(ids), CHUNK_SIZE):
            chunk = ids[start : start + CHUNK_SIZE]
            _save(chunk, max(noted[each] for each in chunk))


def _save(ids: list[int], moment: datetime) -> None:
    """Store `moment` for the sessions, unless a later moment is stored.

    On PostgreSQL, rows that another process is writing at the same time are skipped. Otherwise, two
    processes could wait for each other.
    """
    older = SignInSession.id.in_(ids) & (SignInSession.seen_at < moment)
    if not is_sqlite():
        rows = SignInSession.select(SignInSession.id).where(older).for_update(skip_locked=True)
        older = SignInSession.id.in_(rows)
    SignInSession.update(seen_at=moment).where(older).execute()
