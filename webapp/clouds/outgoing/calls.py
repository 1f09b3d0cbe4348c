"""The limits of one call to a cloud: its deadline, and the number of bytes in its answers.

An SDK's read timeout restarts with every byte, so an answer that arrives byte by byte would never
end. A call therefore has a deadline for everything that it does. The connections in `connections`
ask the current call how long they may wait, and tell it how much they have read.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""The most bytes in one answer of a cloud, also after decompression. Longer lists are paged."""
MAX_CALL_BYTES = 4 * MAX_ANSWER_BYTES
"""The most bytes in all answers of one call, so that a list cannot have endless pages."""
DEFAULT_SECONDS = 9.0
"""The time limit of a connection outside of `call_within`, for example in a test of an SDK."""


class LimitExceeded(Exception):
    """A call reached one of its limits, and was ended.

    This is not an OSError, because the SDKs would send the request again after an OSError.
    """


class DeadlineExceeded(LimitExceeded):
    """The call did not end in time. Its connection is closed."""


class AnswerTooLarge(LimitExceeded):
    """The cloud sent more than the call may read. The connection is closed."""


class Call:
    """The limits of one call. A call inside another call also has the limits of the outer call."""

    def __init__(self, seconds: float, outer: Call | None = None, owner: str = "") -> None:
        """`owner` is whose call it is. It is the owner of the outer call if there is one."""
        self.ends = time.monotonic() + seconds
        """The deadline. Compare it with `time.monotonic()`."""
        self.owner = owner
        if outer:
            self.ends, self.owner = min(self.ends, outer.ends), outer.owner
        self._outer = outer
        self._bytes = 0
        self.failure: LimitExceeded | None = None

    def seconds_left(self) -> float:
        """Return how long the call may still take. Raises LimitExceeded if it has ended."""
        left = self.ends - time.monotonic()
        if left <= 0 and self.failure is None:
            self.failure = DeadlineExceeded()
        if self.failure:
            raise self.failure
        return left

    def count(self, size: int) -> None:
        """Count `size` bytes of an answer. Raises AnswerTooLarge if the call has read too many."""
        self._bytes += size
        if self._bytes > MAX_CALL_BYTES:
            raise self.fail(AnswerTooLarge())
        if self._outer:
            self._outer.count(size)

    def fail(self, failure: LimitExceeded) -> LimitExceeded:
        """Return `failure`, and refuse everything that the call would do from now on."""
        self.failure = failure
        return failure


_current: ContextVar[Call | None] = ContextVar("call", default=None)


def current_call() -> Call:
    """Return the call in progress, or a new call with the default limits."""
    return _current.get() or Call(DEFAULT_SECONDS)


def has_ended() -> bool:
    """Return whether the call in progress has reached one of its limits."""
    call = _current.get()
    return call is not None and call.failure is not None


def call_within(seconds: float, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return the result of `call`, whose connections end after `seconds`.

    Raises LimitExceeded, or the exception of `call`.
    """
    limits = Call(seconds, _current.get())
    limits.seconds_left()
    token = _current.set(limits)
    try:
        return call(*args, **kwargs)
    except Exception as error:
        if limits.failure is None or isinstance(error, LimitExceeded):
            raise
        raise type(limits.failure) from error
    finally:
        _current.reset(token)


def call_each_within(
    seconds: float, call: Callable[[K], T], items: Iterable[K], at_once: int
) -> dict[K, T]:
    """Return the results of `call` by item, with up to `at_once` calls in parallel.

    If the call for an item fails or is too slow, the item is left out. So use this function only
    for optional results.
    """
    end = time.monotonic() + seconds
    waiting = deque(items)
    answers: dict[K, T] = {}

    def work() -> None:
        while waiting and time.monotonic() < end:
            try:
                item = waiting.popleft()
            except IndexError:
                return  # another thread took the last item
            try:
                answers[item] = call_within(end - time.monotonic(), call, item)
            except Exception:  # noqa: BLE001, S112  the item is left out
                continue

    threads = [
        threading.Thread(target=copy_context().run, args=(work,), name="cloud", daemon=True)
        for _ in range(min(at_once, len(waiting)))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    return answers.copy()


@contextmanager
def owned_by(owner: str) -> Iterator[None]:
    """Let the calls in this context belong to `owner`."""
    token = _current.set(Call(math.inf, owner=owner))
    try:
        yield
    finally:
        _current.reset(token)
