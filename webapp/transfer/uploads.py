"""Let each process receive several large uploads in parallel, but handle only one at a time.

This limits memory use: to parse a file of 10 MB and to show it again with its errors, a process
needs about 150 MB of memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from webapp.refusals import Refusal

LARGE_BYTES = 1024 * 1024
"""A request with more bytes than this counts as a large upload."""
WAIT_SECONDS = 5.0
"""The maximum time in seconds that a large upload waits for the end of another large upload."""
MAX_UPLOADS = 3
"""The maximum number of large uploads that are in progress or wait. Each of them occupies a thread,
and other requests need threads too."""


class TooManyUploads(Refusal):
    """Another large upload is in progress, so the person has to wait."""


class Uploads:
    """The large uploads in progress. Threads can share this object."""

    def __init__(self, wait_seconds: float = WAIT_SECONDS) -> None:
        self._wait_seconds = wait_seconds
        self._people: set[str] = set()
        """The IDs of the people whose upload is in progress or waits."""
        self._lock = threading.Lock()
        self._processing = threading.Lock()

    def begin(self, person_id: str, receive: Callable[[], object]) -> None:
        """Call `receive`, and then wait until no other large upload is being processed.

        `receive` receives the request from the client. Several uploads can be received at the same
        time, so a slow client delays nobody else. Raises TooManyUploads, or the exception of
        `receive`. If this function raises no exception, the caller must call `end` when the
        response is complete.
        """
        with self._lock:
            if person_id in self._people:
                raise TooManyUploads(
                    "Your other upload is still in progress. Wait until it ends, then try again."
                )
            if len(self._people) >= MAX_UPLOADS:
                raise _too_many()
            self._people.add(person_id)
        try:
            receive()
            self._wait()
        except BaseException:
            self._forget(person_id)
            raise

    def _wait(self) -> None:
        if not self._processing.acquire(timeout=self._wait_seconds):
            raise _too_many()

    def end(self, person_id: str) -> None:
        """Let the next large upload begin."""
        self._processing.release()
        self._forget(person_id)

    def _forget(self, person_id: str) -> None:
        with self._lock:
            self._people.discard(person_id)


def _too_many() -> TooManyUploads:
    return TooManyUploads("The server is reading another large file. Try again in a few minutes.")
