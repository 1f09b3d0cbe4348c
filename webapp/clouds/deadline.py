"""Calls that are abandoned when their time is up.

An SDK's read timeout restarts with every byte. So if an answer arrives slowly, byte by byte, the
timeout never ends the call.
The only reliable limit is to wait for the call in another thread, and to stop waiting at the
deadline.
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

_slots = threading.BoundedSemaphore(64)
"""Limits how many calls run at once in this process, including abandoned calls. Without a limit, a
hostile endpoint that keeps calls open could use up the machine's threads."""


class DeadlineExceeded(Exception):
    """The call did not end in time. It continues in its thread, and its result is ignored."""


def call_within(seconds: float, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return the result of `call`, or raise its exception. Raises DeadlineExceeded after `seconds`.

    The call runs in a daemon thread. Unlike a thread of a ThreadPoolExecutor, a daemon thread does
    not prevent the process from ending.
    """
    end = time.monotonic() + seconds
    slots = _slots  # A test may replace the semaphore while a call is in progress.
    if not slots.acquire(timeout=max(0.0, seconds)):
        raise DeadlineExceeded
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(call(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001  the caller gets every exception
            outcome.set_exception(error)
        finally:
            slots.release()

    threading.Thread(target=run, name="cloud", daemon=True).start()
    done, _ = wait([outcome], timeout=max(0.0, end - time.monotonic()))
    if not done:
        raise DeadlineExceeded
    return outcome.result()


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
                answers[item] = call(item)
            except Exception:  # noqa: BLE001, S112  the item is left out
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
