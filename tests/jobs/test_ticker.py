"""Periodic work is done by one process at a time, by the database's clock, without requests."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from flask import Flask

from models import Lease, database_clock, open_connection
from tests.waiting import TIMEOUT_SECONDS
from webapp.jobs import leases, ticker
from webapp.jobs.leases import LeaseLost
from webapp.jobs.ticker import PeriodicWork, Ticker

Register = Callable[..., list[str]]


@pytest.fixture
def register(db: Flask, monkeypatch: pytest.MonkeyPatch) -> Register:
    """Return a function that makes `do_chunk` the only periodic work."""

    def register(do_chunk: Callable[[], bool]) -> list[str]:
        calls: list[str] = []

        def recorded() -> bool:
            calls.append("call")
            return do_chunk()

        monkeypatch.setattr(ticker, "PERIODIC_WORK", {})
        ticker.register([PeriodicWork("test", 3600, recorded)])
        return calls

    return register


def expire(*names: str) -> None:
    query = Lease.update(expires_at=database_clock() - 1)
    (query.where(Lease.name.in_(names)) if names else query).execute()


def test_work_is_done_again_only_when_it_is_due(register: Register) -> None:
    calls = register(lambda: False)
    for each in (Ticker(), Ticker(), Ticker()):
        each.tick()
    assert len(calls) == 1
    expire()
    Ticker().tick()
    assert len(calls) == 2


def test_work_is_done_chunk_by_chunk_until_nothing_remains(register: Register) -> None:
    more = iter([True, True, False])
    calls = register(lambda: next(more))
    Ticker().tick()
    assert len(calls) == 3


def test_two_processes_do_not_do_the_same_work_at_the_same_time(register: Register) -> None:
    entered, may_end = threading.Event(), threading.Event()

    def do_chunk() -> bool:
        entered.set()
        assert may_end.wait(TIMEOUT_SECONDS)
        return False

    calls = register(do_chunk)

    def first_process() -> None:
        with open_connection():
            Ticker().tick()

    thread = threading.Thread(target=first_process)
    thread.start()
    assert entered.wait(TIMEOUT_SECONDS)
    Ticker().tick()
    may_end.set()
    thread.join(TIMEOUT_SECONDS)
    assert len(calls) == 1


def test_work_of_a_killed_process_is_done_by_another(register: Register) -> None:
    calls = register(lambda: False)
    assert leases.acquire("periodic:test", 60)
    Ticker().tick()
    assert calls == []
    expire()
    Ticker().tick()
    assert len(calls) == 1


def test_a_process_that_lost_its_lease_ends_the_work(register: Register) -> None:
    def do_chunk() -> bool:
        expire()
        assert leases.acquire("periodic:test", 60)
        return True

    calls = register(do_chunk)
    Ticker().tick()
    assert len(calls) == 1


def test_work_that_fails_is_logged_and_tried_again_soon(
    register: Register, caplog: pytest.LogCaptureFixture
) -> None:
    def do_chunk() -> bool:
        raise ZeroDivisionError

    register(do_chunk)
    Ticker().tick()
    assert "ZeroDivisionError" in caplog.text
    is_soon = Lease.expires_at < database_clock() + ticker.RETRY_SECONDS + 1
    assert Lease.select().where(is_soon).count() == 1


def test_the_thread_does_due_work_without_requests(
    register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = threading.Event()

    def do_chunk() -> bool:
        done.set()
        return False

    register(do_chunk)
    running = Ticker()
    running.start()
    assert done.wait(TIMEOUT_SECONDS)
    running.stop(TIMEOUT_SECONDS)
    assert not [each for each in threading.enumerate() if each.name == "ticker"]


def test_a_lease_belongs_to_one_holder_until_it_expires(db: Flask) -> None:
    first = leases.acquire("work", 60)
    assert first
    assert leases.acquire("work", 60) is None
    leases.require(first)
    expire()
    second = leases.acquire("work", 60)
    assert second
    assert not leases.extend(first, 60)
    leases.release(first)
    with pytest.raises(LeaseLost):
        leases.require(first)
    assert leases.extend(second, 60)
    leases.release(second)
    assert leases.acquire("work", 60)
