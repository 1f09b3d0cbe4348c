"""Limit how many exports a process sends at the same time.

An export of images or of the audit log occupies a thread until it has sent the last record. This
takes a long time if there are many records, and much longer if a slow client is connected without a
proxy that buffers the response. The limits leave threads for other requests.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from webapp.refusals import Refusal

EXPORTS_PER_PERSON = 2
"""The maximum number of exports that a process sends to one person at the same time."""
EXPORTS_PER_ACCOUNT = 3
"""The maximum number of exports in progress for an account and its environments, in one process.

The same limit applies to the exports at the Scalr scope.
"""


class TooManyExports(Refusal):
    """The maximum number of exports is in progress, so the person has to wait."""


class Downloads:
    """The exports in progress. Threads can share this object."""

    def __init__(self, threads: int) -> None:
        """`threads` is the number of threads that serve requests.

        A quarter of these threads, rounded down but at least one, can send exports at a time.
        """
        self._max_exports = max(1, threads // 4)
        self._in_progress: Counter[str] = Counter()
        self._lock = threading.Lock()

    def begin(self, person_id: int, account_path: str) -> Callable[[], None]:
        """Count one more export, and return the function to call when the export has ended.

        `account_path` is the path of the account, or '' for an export at the Scalr scope. Raises
        TooManyExports.
        """
        place = "in this account" if account_path else "at the Scalr scope"
        limits = {
            f"person {person_id}": (
                EXPORTS_PER_PERSON,
                "Your other exports are still in progress. Wait until one of them ends.",
            ),
            f"account {account_path}": (
                EXPORTS_PER_ACCOUNT,
                f"Other exports {place} are still in progress. Try again in a few minutes.",
            ),
            "all": (
                self._max_exports,
                "The server is busy with other exports. Try again in a few minutes.",
            ),
        }
        with self._lock:
            for key, (limit, message) in limits.items():
                if self._in_progress[key] >= limit:
                    raise TooManyExports(message)
            self._in_progress.update(limits.keys())

        def end() -> None:
            with self._lock:
                self._in_progress.subtract(limits.keys())
                self._in_progress += Counter()  # This removes the keys whose count is 0.

        return end
