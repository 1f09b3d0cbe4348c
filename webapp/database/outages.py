"""Track the outages of servers, so that requests do not wait for a server that does not work.

Each outage is logged once when it begins and once when it ends, not once per request.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping

from models import Failure
from webapp.monitoring import metrics

log = logging.getLogger("webapp.outages")

PAUSE_SECONDS = 2.0
"""The pause in seconds after a failure of the database.

During the pause, no thread opens a connection to PostgreSQL. On SQLite, the pause begins if a
thread did not get a lock in time, and all threads then wait only briefly for locks. See
`SqlitePool.begin`.
"""


class Outage:
    """A state in which something does not work, such as “the disk is full”."""

    def __init__(
        self,
        start_message: str,
        end_message: str,
        *,
        quiet_seconds: float = 0.0,
        level: int = logging.ERROR,
    ) -> None:
        """Store the log messages for the beginning and the end, and the level of the first message.

        The outage ends with the first success at least `quiet_seconds` after the last failure.
        """
        self._start_message, self._end_message = start_message, end_message
        self._level = level
        self._quiet_seconds = quiet_seconds
        self._lock = threading.Lock()
        self._since: float | None = None
        self._last = 0.0
        self._count = 0

    @property
    def is_active(self) -> bool:
        return self._since is not None

    def record_failure(self, error: object) -> None:
        """Record a failure. Log it if it is the first failure of the outage."""
        with self._lock:
            self._last = time.monotonic()
            self._count += 1
            if self._since is not None:
                return
            self._since = self._last
        log.log(self._level, "%s: %s", self._start_message, first_line(error))

    def record_success(self) -> None:
        """Record a success, which ends the outage.

        If the last failure was less than `quiet_seconds` ago, the outage does not end yet.
        """
        if self._since is None:
            return
        with self._lock:
            if self._since is None or time.monotonic() < self._last + self._quiet_seconds:
                return
            seconds, count = time.monotonic() - self._since, self._count
            self._since, self._count = None, 0
        log.warning("%s, after %.0f seconds and %d failures", self._end_message, seconds, count)


class Breaker:
    """A circuit breaker, which decides whether a server that failed may be called again.

    After a failure, no thread may call the server for `pause_seconds`. Then one thread may try. All
    other threads are refused until this attempt ends, but at most for `trial_seconds`.
    """

    def __init__(self, outage: Outage | None, pause_seconds: float, trial_seconds: float) -> None:
        """Store the outage that records failures and successes, or None."""
        self.outage = outage
        self._pause_seconds, self._trial_seconds = pause_seconds, trial_seconds
        self._lock = threading.Lock()
        self._retry_at: float | None = None

    def may_call(self) -> bool:
        """Return whether this thread may call the server."""
        if self._retry_at is None:
            return True
        with self._lock:
            if self._retry_at is None:
                return True
            if time.monotonic() < self._retry_at:
                return False
            self._retry_at = time.monotonic() + self._trial_seconds
            return True

    def cancel_trial(self) -> None:
        """Let the next thread try immediately. Call this if the server was not called after all."""
        with self._lock:
            if self._retry_at is not None:
                self._retry_at = time.monotonic()

    def record_failure(self, error: object) -> None:
        with self._lock:
            self._retry_at = time.monotonic() + self._pause_seconds
        if self.outage is not None:
            self.outage.record_failure(error)

    def record_success(self) -> None:
        if self._retry_at is not None:
            with self._lock:
                self._retry_at = None
        if self.outage is not None:
            self.outage.record_success()


CANNOT_WRITE: Mapping[Failure, Outage] = {
    Failure.BUSY: Outage(
        "the database is busy", "the database answers in time again", quiet_seconds=10
    ),
    Failure.FULL: Outage(
        "the disk of the database is full or has failed", "the database can save changes again"
    ),
    Failure.READ_ONLY: Outage("the database is read-only", "the database can be written again"),
    Failure.DAMAGED: Outage("the database is damaged", "the database can be used again"),
}
"""The outages in which the server can be reached, but changes cannot be saved."""
UNREACHABLE = Outage("the database cannot be reached", "the database can be reached again")
for _failure in Failure:
    metrics.DATABASE_ERRORS.labels(_failure.name.lower())  # The metric is 0 until an error occurs.


def database_failed(failure: Failure, error: object) -> None:
    """Record that a statement failed."""
    metrics.DATABASE_ERRORS.labels(failure.name.lower()).inc()
    CANNOT_WRITE.get(failure, UNREACHABLE).record_failure(error)


def transaction_committed() -> None:
    """Record that a change was saved, as a success for every outage in `CANNOT_WRITE`."""
    for outage in CANNOT_WRITE.values():
        outage.record_success()


def first_line(error: object) -> str:
    """Return the first line of a message, because a log line is one line."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
