"""Do periodic work in the background, without waiting for a request.

Each process has a thread that looks regularly for work that is due, and a second thread for work
that waits for other servers. A lease makes sure that only one process does a piece of work at a
time. This module must not know what the work is: `create_app` registers it here.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from models import DATABASE_FAILURES, Lease, open_connection
from webapp.jobs import leases
from webapp.monitoring import metrics

TICK_SECONDS = 5.0
"""Seconds between two ticks of a thread. At each tick, the thread looks for work that is due."""
LEASE_SECONDS = 60.0
"""The seconds that a process may take for one chunk before another process may do the work."""
RETRY_SECONDS = 60.0
"""The maximum number of seconds before failed work is tried again."""
LEASE_PREFIX = "periodic:"
DATABASE_FAILS = "database"
"""The value of `Ticker._failure` while the database does not work."""
TICKER = "ticker"
"""The name of the thread that does all periodic work except the work of the thread MAIL."""
MAIL = "mail"
"""The name of the thread that sends mails. A mail server that hangs must not delay other work."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PeriodicWork:
    """Work that is done regularly, by one process at a time.

    `seconds` is the time between two runs of the work. If it is 0, the work is done at each tick.
    `do_chunk` does one chunk of the work and returns whether more work remains. A chunk must be
    short, because other writers wait for it on SQLite.
    """

    name: str
    seconds: float
    do_chunk: Callable[[], bool]
    thread: str = TICKER
    """The name of the thread that does the work."""

    @property
    def lease_name(self) -> str:
        return f"{LEASE_PREFIX}{self.name}"


PERIODIC_WORK: dict[str, PeriodicWork] = {}
"""All periodic work by name. `create_app` fills this table."""


def register(work: Iterable[PeriodicWork]) -> None:
    """Add periodic work. Registering the same work twice is harmless."""
    PERIODIC_WORK.update({each.name: each for each in work})


WORK_OF_EACH_PROCESS: dict[str, Callable[[], None]] = {}
"""Work that every process does at each tick, by name. Such work must be short.

For example, the process saves which tokens its requests have used, and when.
"""


def register_for_each_process(name: str, work: Callable[[], None]) -> None:
    """Add work that every process does at each tick."""
    WORK_OF_EACH_PROCESS[name] = work


class Ticker:
    """A thread that does periodic work. There is one instance per process and name."""

    def __init__(self, name: str = TICKER) -> None:
        self.name = name
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure = ""
        """Why the last search for work failed, or ''."""

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Stop after the current chunk. Wait at most `seconds` for the end of the chunk."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def tick(self) -> None:
        """Do each periodic work of this thread that is due and that no other process is doing.

        The thread TICKER also does WORK_OF_EACH_PROCESS.
        """
        if self.name == TICKER:
            _do_work_of_this_process()
        held = leases.blocked_names(LEASE_PREFIX)
        for work in list(PERIODIC_WORK.values()):
            is_mine = work.thread == self.name
            if not is_mine or work.lease_name in held or self._stopping.is_set():
                continue
            lease = leases.acquire(work.lease_name, LEASE_SECONDS)
            if lease is not None:
                self._do(work, lease)

    def _do(self, work: PeriodicWork, lease: Lease) -> None:
        """Do the work chunk by chunk. Keep the lease until the work is due again."""
        pause = work.seconds
        try:
            while work.do_chunk():
                if self._stopping.is_set():
                    pause = 0.0  # Another process continues.
                    break
                if not leases.extend(lease, LEASE_SECONDS):
                    return
        except DATABASE_FAILURES:
            raise
        except Exception:
            metrics.PERIODIC_RUNS.labels(work.name, "failed").inc()
            log.exception("the periodic work “%s” failed", work.name)
            pause = min(pause, RETRY_SECONDS)
        else:
            metrics.PERIODIC_RUNS.labels(work.name, "succeeded").inc()
            metrics.PERIODIC_LAST_SUCCESS.labels(work.name).set_to_current_time()
        leases.extend(lease, pause)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with open_connection():
                    self.tick()
                if self.name == TICKER:
                    metrics.TICKER_LAST_RUN.set_to_current_time()
                self._failure = ""
            except DATABASE_FAILURES as error:
                # Log the state once, not with every tick.
                if self._failure != DATABASE_FAILS:
                    log.warning("periodic work waits for the database: %s", error)
                self._failure = DATABASE_FAILS
            except Exception as error:
                if self._failure != repr(error):
                    log.exception("periodic work failed")
                self._failure = repr(error)
            self._stopping.wait(TICK_SECONDS)


def _do_work_of_this_process() -> None:
    for name, work in list(WORK_OF_EACH_PROCESS.items()):
        try:
            work()
        except DATABASE_FAILURES:
            raise
        except Exception:
            log.exception("the work “%s” failed", name)
