"""Limit calls that anybody can cause, so that these calls neither hang nor overload the server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

FRESH_SECONDS = 1.0
STALE_SECONDS = 10.0


class BoundedCall(Generic[T]):
    """A call that runs at most once at a time, in a thread, and whose result is cached.

    A result is fresh for FRESH_SECONDS. After that, the next caller begins a new call and waits for
    its result. While the new call is in progress, other callers get the previous result if it is
    less than STALE_SECONDS old. Otherwise, they wait as well. All callers stop waiting when the
    call has taken `seconds`. From then until the call ends, its result is `late_result`.
    """

    def __init__(self, call: Callable[[], T], late_result: T, seconds: float) -> None:
        """Store the function `call`, which must not raise exceptions or run forever."""
        self._call, self._late_result, self._seconds = call, late_result, seconds
        self._changed = threading.Condition()
        self._began: float | None = None
        self._result: T | None = None
        self._ended = 0.0

    def get(self) -> T:
        """Return the result of the call. See the class for how old the result can be."""
        with self._changed:
            if self._age() < FRESH_SECONDS:
                return self._last_result()
            begins_call = self._began is None
            if self._began is None and not self._start():
                return self._late_result
            if not begins_call and self._age() < STALE_SECONDS:
                return self._last_result()
            end = self._began + self._seconds if self._began is not None else 0.0
            if not self._changed.wait_for(lambda: self._began is None, end - time.monotonic()):
                self._store(self._late_result)
            return self._last_result()

    def _age(self) -> float:
        return float("inf") if self._result is None else time.monotonic() - self._ended

    def _last_result(self) -> T:
        return self._late_result if self._result is None else self._result

    def _store(self, result: T) -> None:
        self._result, self._ended = result, time.monotonic()

    def _start(self) -> bool:
        self._began = time.monotonic()
        try:
            threading.Thread(target=self._run, name="probe", daemon=True).start()
        except RuntimeError:  # The machine has no more threads.
            self._began = None
            return False
        return True

    def _run(self) -> None:
        result = self._late_result
        try:
            result = self._call()
        finally:
            with self._changed:
                self._store(result)
                self._began = None
                self._changed.notify_all()
