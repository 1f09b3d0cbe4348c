"""A real Redis server that hangs, stops and comes back, while people sign in."""

from __future__ import annotations

import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask

from tests.cast import PASSWORD
from tests.database.servers import redis_server
from tests.postgresql import free_port
from tests.waiting import wait_until
from webapp.people import attempts, sessions
from webapp.people.attempts import Attempts, TooManyAttempts

EMAIL = "account-editor@example.com"
CLIENT = "10.0.0.1"

pytestmark = pytest.mark.skipif(
    shutil.which("redis-server") is None, reason="redis-server is not installed"
)


@pytest.fixture(autouse=True)
def short_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "REDIS_PAUSE_SECONDS", 0.3)


@pytest.fixture
def port() -> int:
    return free_port()


def is_out(counted: Attempts) -> bool:
    outage = counted._breaker.outage
    return outage is not None and outage.is_active


def wait_for_redis(counted: Attempts) -> None:
    def is_counting() -> bool:
        counted.succeeded(counted.begin(EMAIL, "10.0.0.99", "device"))
        return not is_out(counted)

    wait_until(is_counting)


def passes(counted: Attempts, device_id: str = "") -> bool:
    try:
        counted.begin(EMAIL, CLIENT, device_id)
    except TooManyAttempts:
        return False
    return True


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage().partition(",")[0] for record in caplog.records]


def test_people_sign_in_while_redis_hangs(
    db: Flask, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    counted = Attempts(f"redis://127.0.0.1:{port}/0")
    with redis_server(port) as process:
        wait_for_redis(counted)
        caplog.clear()
        process.send_signal(signal.SIGSTOP)
        for _ in range(3):
            assert sessions.sign_in(EMAIL, PASSWORD, CLIENT, counted)
            time.sleep(0.4)
        process.send_signal(signal.SIGCONT)
        wait_for_redis(counted)
    assert messages(caplog) == ["Redis does not answer", "Redis answers again"]


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for Redis longer than usual, because the machine may be busy."""
    monkeypatch.setattr(attempts, "REDIS_TIMEOUT_SECONDS", 10.0)


@pytest.mark.usefixtures("patient")
def test_attempts_are_counted_without_redis_and_shared_when_it_is_back(port: int) -> None:
    url = f"redis://127.0.0.1:{port}/0"
    counted, other_process = Attempts(url), Attempts(url)
    assert [passes(counted) for _ in range(5)] == [True] * 5
    assert not passes(counted)
    assert passes(other_process)
    with redis_server(port):
        for each in (counted, other_process):
            time.sleep(0.4)
            wait_for_redis(each)
        assert [passes(counted) for _ in range(5)] == [True] * 5
        assert not passes(other_process)
        assert passes(other_process, "device")


@pytest.mark.usefixtures("patient")
def test_simultaneous_attempts_at_two_servers_are_counted_together(port: int) -> None:
    url = f"redis://127.0.0.1:{port}/0"
    with redis_server(port):
        servers = [Attempts(url), Attempts(url)]
        for each in servers:
            wait_for_redis(each)
        with ThreadPoolExecutor(10) as pool:
            results = list(pool.map(lambda number: passes(servers[number % 2]), range(40)))
        # If the machine is very slow, one more attempt passes after a second.
        assert 5 <= sum(results) <= 6
        attempt = servers[1].begin("other@example.com", "10.0.0.2")
        servers[0].succeeded(attempt)
        client = servers[0]._shared._client  # type: ignore[union-attr]
        names = sorted(key.decode().split(":", 2)[2] for key in client.keys("*"))
        assert not [name for name in names if name.startswith("both:10.0.0.2")]
        assert all(0 < client.ttl(key) <= attempts.FORGET_SECONDS for key in client.keys("*"))
