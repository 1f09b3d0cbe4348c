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

    def start(self, *, process_jobs: bool = True) -> None:
        """Start the threads if they are not running yet.

        Call this only after the server has forked, because a fork does not copy threads.
        """
        if self._started.acquire(blocking=False):
            self._ticker.start()
            if process_jobs:
                self._runner.start()

    def stop(self, seconds: float) -> None:
        """Start nothing more, and wait at most about this long for what is in progress.

        What is not finished then is given back, so that another process can do it.
        """
        self._runner.stop(seconds)
        self._ticker.stop(seconds)
