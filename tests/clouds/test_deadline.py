"""Calls that are abandoned at a deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from webapp.clouds import deadline
from webapp.clouds.deadline import DeadlineExceeded, call_each_within, call_within


@pytest.fixture
def never_set() -> Iterator[threading.Event]:
    """Return an event that is not set before the end of the test."""
    event = threading.Event()
    yield event
    event.set()


def test_the_result_or_exception_of_a_call_is_passed_on() -> None:
    assert call_within(5, divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        call_within(5, divmod, 7, 0)


def test_a_timeout_inside_the_call_is_passed_on() -> None:
    def call() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        call_within(5, call)


def test_a_slow_call_is_abandoned(never_set: threading.Event) -> None:
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        call_within(0.05, never_set.wait)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("seconds", [0, -1])
def test_a_call_without_time_left_is_abandoned(never_set: threading.Event, seconds: float) -> None:
    with pytest.raises(DeadlineExceeded):
        call_within(seconds, never_set.wait)


def test_a_slot_is_released_when_the_call_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline, "_slots", threading.BoundedSemaphore(1))
    release = threading.Event()
    with pytest.raises(DeadlineExceeded):
        call_within(0.05, release.wait)
    with pytest.raises(DeadlineExceeded):
        call_within(0.05, abs, -1)
    release.set()
    assert call_within(5, abs, -1) == 1


def test_slow_and_failed_calls_have_no_result(never_set: threading.Event) -> None:
    def call(number: int) -> float:
        if number == 3:
            never_set.wait()
        return 10 / number

    assert call_each_within(0.5, call, range(6), at_once=3) == {1: 10, 2: 5, 4: 2.5, 5: 2}


def test_the_number_of_concurrent_calls_is_limited() -> None:
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


def test_no_arguments_give_no_results() -> None:
    assert call_each_within(1, abs, [], at_once=3) == {}
