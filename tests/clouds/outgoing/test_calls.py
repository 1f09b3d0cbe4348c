"""The limits of one call: its deadline, and the number of bytes that it reads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from webapp.clouds.outgoing import calls
from webapp.clouds.outgoing.calls import (
    MAX_RESPONSE_BYTES,
    MAX_WIDE_RESPONSE_BYTES,
    DeadlineExceeded,
    ResponseTooLarge,
    call_each_within,
    call_within,
    current_call,
)


@pytest.fixture
def never_set() -> Iterator[threading.Event]:
    """Return an event that is not set before the end of the test."""
    event = threading.Event()
    yield event
    event.set()


def use_network_until_the_end() -> None:
    """Do what a connection does before each read."""
    while True:
        time.sleep(min(0.01, current_call().seconds_left()))


def test_the_result_or_exception_of_a_call_is_passed_on() -> None:
    assert call_within(5, divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        call_within(5, divmod, 7, 0)


def test_a_timeout_inside_the_call_is_passed_on() -> None:
    def call() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        call_within(5, call)


def test_a_slow_call_ends_at_its_deadline_in_the_thread_of_the_caller() -> None:
    threads = set(threading.enumerate())
    with pytest.raises(DeadlineExceeded):
        call_within(0.05, use_network_until_the_end)
    assert set(threading.enumerate()) <= threads


@pytest.mark.parametrize("seconds", [0, -1])
def test_a_call_without_time_left_does_not_begin(seconds: float) -> None:
    with pytest.raises(DeadlineExceeded):
        call_within(seconds, pytest.fail)


def test_the_deadline_is_reported_even_if_the_sdk_replaces_the_exception() -> None:
    def call() -> None:
        try:
            use_network_until_the_end()
        except DeadlineExceeded as error:
            raise RuntimeError("an error of an SDK") from error

    with pytest.raises(DeadlineExceeded) as caught:
        call_within(0.05, call)
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_an_inner_call_ends_with_the_outer_call() -> None:
    def outer() -> None:
        call_within(60, use_network_until_the_end)

    with pytest.raises(DeadlineExceeded):
        call_within(0.05, outer)


def test_an_outer_call_continues_after_the_deadline_of_an_inner_call() -> None:
    def outer() -> float:
        with pytest.raises(DeadlineExceeded):
            call_within(0.05, use_network_until_the_end)
        return current_call().seconds_left()

    assert call_within(60, outer) > 0


def test_the_bytes_of_inner_calls_count_for_the_outer_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "MAX_CALL_BYTES", 10)

    def outer() -> None:
        for _ in range(3):
            call_within(5, lambda: current_call().count(4))

    with pytest.raises(ResponseTooLarge):
        call_within(5, outer)


def test_slow_and_failed_calls_have_no_result(never_set: threading.Event) -> None:
    def call(number: int) -> float:
        if number == 3:
            never_set.wait()
        return 10 / number

    assert call_each_within(0.5, call, range(6), at_once=3) == {1: 10, 2: 5, 4: 2.5, 5: 2}


def test_parallel_calls_end_with_the_outer_call() -> None:
    def outer() -> None:
        call_each_within(60, lambda _: use_network_until_the_end(), range(4), at_once=4)
        current_call().seconds_left()

    began, threads = time.monotonic(), set(threading.enumerate())
    with pytest.raises(DeadlineExceeded):
        call_within(0.1, outer)
    assert time.monotonic() - began < 20
    assert set(threading.enumerate()) <= threads


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


@pytest.mark.parametrize(
    "content",
    [
        b"[" + b"{}," * 200_000,
        b"<a>" + b"<a/>" * 200_000,
        b"\xef\xbb\xbf\n <a>" + b"<a/>" * 200_000,
        ("<a>" + "<a/>" * 200_000).encode("utf-16"),
        b"<a " + b' b=""' * 200_000,
        b"x" * (MAX_RESPONSE_BYTES + 1),
        "😀".encode() + b"x" * MAX_WIDE_RESPONSE_BYTES,
        b'<!DOCTYPE a [<!ENTITY b "<c/>">]><a>&b;</a>',
        '<!DOCTYPE a [<!ENTITY b "<c/>">]><a>&b;</a>'.encode("utf-16"),
    ],
)
@pytest.mark.parametrize("size", [1000, 20_000_000])
def test_an_answer_that_needs_much_memory_is_not_read_completely(content: bytes, size: int) -> None:
    answer = call_within(60, calls.ResponseCounter)

    def read() -> None:
        for start in range(0, len(content), size):
            answer.count(content[start : start + size])

    with pytest.raises(ResponseTooLarge):
        read()


@pytest.mark.parametrize(
    "content",
    [
        b'{"description": "' + b"x" * 5_000_000 + b'"}',
        b'{"description": "'
        + b"<p>A line of a long description, with markup.</p> " * 90_000
        + b'"}',
        "<a>Größe: 日本</a>".encode() + b"x" * 5_000_000,
        b"<!DOCTYPE html><html><p>Sign in</p></html>",
    ],
)
def test_a_large_description_or_a_page_can_be_read(content: bytes) -> None:
    call_within(60, calls.ResponseCounter).count(content)
