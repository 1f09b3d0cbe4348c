"""All threads of this process that work in the background."""

from __future__ import annotations

import threading

from webapp.jobs.runner import Runner
from webapp.jobs.ticker import Ticker


class Background:
    """Starts and stops the threads. There is one instance per process."""

    def __init__(self, runner: Runner) -> None:
        self._started = threading.Lock()
        self._runner, self._ticker = runner, Ticker()
        self._names: list[str] = []
        """The names of the threads that were started."""

    def start(self, *, process_jobs: bool = True) -> None:
        """Start the threads if they are not running yet.

        Call this only after the server has forked, because a fork does not copy threads.
        """
        if self._started.acquire(blocking=False):
            self._ticker.start()
            if process_jobs:
                self._runner.start()
            self._names = ["ticker", "runner"] if process_jobs else ["ticker"]

    def dead_threads(self) -> list[str]:
        """Return the names of the threads that were started and have ended."""
        alive = {thread.name for thread in threading.enumerate()}
        return [name for name in self._names if name not in alive]

    def stop(self, seconds: float) -> None:
        """Start no more work. Wait at most `seconds` for jobs, and as long for periodic work.

        Rows that still wait for their cloud are given back, so that another process can continue.
        """
        self._runner.stop(seconds)
        self._ticker.stop(seconds)
