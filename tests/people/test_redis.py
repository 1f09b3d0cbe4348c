"""A real Redis server that hangs, stops and comes back, while people sign in."""

from __future__ import annotations

import shutil
import signal
import time

import pytest
from flask import Flask

from tests.cast import PASSWORD
from tests.database.servers import redis_server
from tests.postgresql import free_port
from webapp.people import sessions
from webapp.people.sessions import FailedSignIns, TooManyFailedSignIns

EMAIL = "account-editor@example.com"
CLIENT = "10.0.0.1"

pytestmark = pytest.mark.skipif(
    shutil.which("redis-server") is None, reason="redis-server is not installed"
)


@pytest.fixture(autouse=True)
def short_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "REDIS_PAUSE_SECONDS", 0.3)


@pytest.fixture
def port() -> int:
    return free_port()


def is_out(failed: FailedSignIns) -> bool:
    outage = failed._breaker.outage
    return outage is not None and outage.is_active


def wait_for_redis(failed: FailedSignIns) -> None:
    deadline = time.monotonic() + 20
    while is_out(failed) or not failed._shared.storage.check():  # type: ignore[union-attr]
        assert time.monotonic() < deadline
        time.sleep(0.1)
        failed.require_below_limit(EMAIL, CLIENT)


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage().partition(",")[0] for record in caplog.records]


def test_people_sign_in_while_redis_hangs(
    db: Flask, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    failed = FailedSignIns(f"redis://127.0.0.1:{port}/0")
    with redis_server(port) as process:
        wait_for_redis(failed)
        caplog.clear()
        process.send_signal(signal.SIGSTOP)
        for _ in range(3):
            assert sessions.sign_in(EMAIL, PASSWORD, CLIENT, failed)
            time.sleep(0.4)
        process.send_signal(signal.SIGCONT)
        wait_for_redis(failed)
    assert messages(caplog) == ["Redis does not answer", "Redis answers again"]


def test_failures_are_limited_without_redis_and_shared_when_it_is_back(
    db: Flask, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"redis://127.0.0.1:{port}/0"
    failed, other_process = FailedSignIns(url), FailedSignIns(url)
    for _ in range(10):
        failed.add(EMAIL, CLIENT)
    with pytest.raises(TooManyFailedSignIns):
        failed.require_below_limit(EMAIL, CLIENT)
    other_process.require_below_limit(EMAIL, CLIENT)
    with redis_server(port):
        for one in (failed, other_process):
            time.sleep(0.4)
            deadline = time.monotonic() + 20
            while is_out(one) and time.monotonic() < deadline:
                one.clear(EMAIL)
                time.sleep(0.1)
        for _ in range(10):
            failed.add(EMAIL, CLIENT)
        with pytest.raises(TooManyFailedSignIns):
            other_process.require_below_limit(EMAIL, CLIENT)
