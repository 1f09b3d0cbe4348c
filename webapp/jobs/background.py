"""The threads of this process for jobs and periodic work."""

from __future__ import annotations

import threading

from webapp.jobs import ticker
from webapp.jobs.runner import Runner
from webapp.jobs.ticker import TICKER, Ticker


class Background:
    """Starts and stops the threads. There is one instance per process."""

    def __init__(self, runner: Runner) -> None:
        self._start_once = threading.Lock()
        """`start` acquires this lock and never releases it."""
        self._runner = runner
        self._tickers: list[Ticker] = []
        self._names: list[str] = []
        """The names of the threads that were started."""

    def start(self, *, process_jobs: bool = True) -> None:
        """Start the threads if they were not started yet.

        Call this only after the server has forked, because a fork does not copy threads.
        """
        if self._start_once.acquire(blocking=False):
            thread_names = {work.thread for work in ticker.PERIODIC_WORK.values()}
            self._tickers = [Ticker(name) for name in sorted({TICKER, *thread_names})]
            for each in self._tickers:
                each.start()
            if process_jobs:
                self._runner.start()
            self._names = [*(each.name for each in self._tickers), *["runner"] * process_jobs]

    def dead_threads(self) -> list[str]:
        """Return the names of the threads that were started and have ended."""
        alive = {thread.name for thread in threading.enumerate()}
        return [name for name in self._names if name not in alive]

    def stop(self, seconds: float) -> None:
        """Stop the work on jobs, then the periodic work.

        Wait at most `seconds` for the jobs, and then at most `seconds` for each thread of periodic
        work. Give back the rows that are not finished (see `claims.give_back`), so that another
        process can continue the jobs.
        """
        self._runner.stop(seconds)
        for each in self._tickers:
            each.stop(seconds)
