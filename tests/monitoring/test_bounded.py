"""A bounded call runs once at a time, and nobody waits for it in vain."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from webapp.monitoring import bounded
from webapp.monitoring.bounded import BoundedCall


class Hanging:
    """A call that hangs while `hangs` is true."""

    def __init__(self) -> None:
        self.calls, self.hangs = 0, False
        self.released = threading.Event()

    def __call__(self) -> str:
        self.calls += 1
        if self.hangs:
            self.released.wait(30)
        return f"result {self.calls}"


@pytest.fixture
def call() -> Iterator[Hanging]:
    call = Hanging()
    yield call
    call.released.set()


def test_a_result_is_fresh_for_a_second(call: Hanging, monkeypatch: pytest.MonkeyPatch) -> None:
    bounded_call = BoundedCall(call, "late", 5)
    assert {bounded_call.get() for _ in range(100)} == {"result 1"}
    monkeypatch.setattr(bounded, "FRESH_SECONDS", 0.0)
    assert bounded_call.get() == "result 2"


def test_a_flood_causes_one_call_and_does_not_wait_while_it_hangs(
    call: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounded_call = BoundedCall(call, "late", 0.2)
    assert bounded_call.get() == "result 1"
    monkeypatch.setattr(bounded, "FRESH_SECONDS", 0.0)
    call.hangs = True
    results: list[str] = []
    first = threading.Thread(target=lambda: results.append(bounded_call.get()))
    first.start()
    while call.calls < 2:
        time.sleep(0.001)
    assert {bounded_call.get() for _ in range(1000)} <= {"result 1", "late"}
    first.join()
    assert results == ["late"]
    assert {bounded_call.get() for _ in range(1000)} == {"late"}
    assert call.calls == 2
    call.hangs = False
    call.released.set()
    deadline = time.monotonic() + 10
    while bounded_call.get() == "late" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert bounded_call.get() != "late"


def test_those_without_a_recent_result_wait_together(call: Hanging) -> None:
    call.hangs = True
    bounded_call = BoundedCall(call, "late", 0.3)
    results: list[str] = []
    threads = [threading.Thread(target=lambda: results.append(bounded_call.get())) for _ in "12345"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == ["late"] * 5
    assert call.calls == 1


def test_a_machine_without_threads_gets_the_late_result(
    call: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        bounded_call = BoundedCall(call, "late", 5)
        assert bounded_call.get() == "late"
    assert bounded_call.get() == "result 1"
