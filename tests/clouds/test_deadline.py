"""Calls that are abandoned at a deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from webapp.clouds import deadline
from webapp.clouds.deadline import DeadlineExceeded, call_each_within, call_within


@pytest.fixture
def never() -> Iterator[threading.Event]:
    """Return an event that is not set before the end of the test."""
    event = threading.Event()
    yield event
    event.set()


def test_what_a_call_returns_or_raises() -> None:
    assert call_within(5, divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        call_within(5, divmod, 7, 0)


def test_a_calls_own_timeout_is_not_ours() -> None:
    def call() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        call_within(5, call)


def test_out_of_time(never: threading.Event) -> None:
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        call_within(0.05, never.wait)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("seconds", [0, -1])
def test_no_time_at_all(never: threading.Event, seconds: float) -> None:
    with pytest.raises(DeadlineExceeded):
        call_within(seconds, never.wait)


def test_a_slot_is_released_when_the_call_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline, "_slots", threading.BoundedSemaphore(1))
    release = threading.Event()
    with pytest.raises(DeadlineExceeded):
        call_within(0.05, release.wait)
    with pytest.raises(DeadlineExceeded):
        call_within(0.05, abs, -1)
    release.set()
    assert call_within(5, abs, -1) == 1


def test_results_that_arrive_in_time(never: threading.Event) -> None:
    def call(number: int) -> float:
        if number == 3:
            never.wait()
        return 10 / number

    assert call_each_within(0.5, call, range(6), at_once=3) == {1: 10, 2: 5, 4: 2.5, 5: 2}


def test_no_more_at_once_than_asked_for() -> None:
    running, maximum = 0, 0
    lock = threading.Lock()
    full = threading.Barrier(3)

    def call(_: int) -> None:
        nonlocal running, maximum
        with lock:
            running += 1
            maximum = max(maximum, running)
        full.wait(5)
        with lock:
            running -= 1

    assert len(call_each_within(10, call, range(9), at_once=3)) == 9
    assert maximum == 3


def test_nothing_to_do() -> None:
    assert call_each_within(1, abs, [], at_once=3) == {}
