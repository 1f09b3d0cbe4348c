"""Waiting for a cloud no longer than one wants to.

An SDK's read timeout starts anew with every byte, so an answer that trickles in for ever never
ends it. The only sure bound is to wait for the call from outside, and to leave it when time is up.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future, wait
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

_places = threading.BoundedSemaphore(64)
"""How many calls may be under way at once in this process, those included that nobody waits for
any more: a hostile endpoint can hold on to them, and must not use up the machine's threads."""


class OutOfTime(Exception):
    """The call did not end in time. It goes on, unheeded."""


def within(seconds: float, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `call` returns or raises. Raises OutOfTime after `seconds`.

    A daemon thread, unlike one of a ThreadPoolExecutor, does not keep the process from ending.
    """
    end = time.monotonic() + seconds
    places = _places  # A test may put others in its place while a call is under way.
    if not places.acquire(timeout=max(0.0, seconds)):
        raise OutOfTime
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(call(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001  whoever waits gets it, whatever it is
            outcome.set_exception(error)
        finally:
            places.release()

    threading.Thread(target=run, name="cloud", daemon=True).start()
    done, _ = wait([outcome], timeout=max(0.0, end - time.monotonic()))
    if not done:
        raise OutOfTime
    return outcome.result()


def all_within(
    seconds: float, call: Callable[[K], T], items: Iterable[K], at_once: int
) -> dict[K, T]:
    """What `call` returned for those items for which it returned in time, `at_once` of them side
    by side. A call that fails is left out: for answers that are welcome, but not needed."""
    end = time.monotonic() + seconds
    waiting = deque(items)
    answers: dict[K, T] = {}

    def work() -> None:
        while waiting and time.monotonic() < end:
            try:
                item = waiting.popleft()
            except IndexError:
                return  # another thread took the last one
            try:
                answers[item] = call(item)
            except Exception:  # noqa: BLE001, S112  see above
                continue

    threads = [
        threading.Thread(target=work, name="cloud", daemon=True)
        for _ in range(min(at_once, len(waiting)))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    return answers.copy()
