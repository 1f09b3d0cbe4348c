"""All threads of this process that work in the background."""

from __future__ import annotations

import threading

from webapp.jobs.ticker import Ticker


class Background:
    """Starts and stops the threads. There is one instance per process."""

    def __init__(self) -> None:
        self._started = threading.Lock()
        self._ticker = Ticker()

    def start(self) -> None:
        """Start the threads if they are not running yet.

        Call this only after the server has forked, because a fork does not copy threads.
        """
        if self._started.acquire(blocking=False):
            self._ticker.start()

    def stop(self, seconds: float) -> None:
        """Stop the threads, and wait at most this long for what they are doing."""
        self._ticker.stop(seconds)
