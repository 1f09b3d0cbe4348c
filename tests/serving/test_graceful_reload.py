"""gunicorn, with the settings of gunicorn.conf.py, replaces or ends its processes."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from tests import served
from tests.postgresql import free_port
from tests.served import Server, worker_pids

ENDED = 30
"""Seconds after which a process has ended, also on a busy machine."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    address = f"127.0.0.1:{free_port()}"
    app = "tests.serving.slow_app:create_app()"
    command = [sys.executable, "-m", "gunicorn", app, "--bind", address, "--workers", "2"]
    environ = served.app_environ(tmp_path)
    with served.serve(command, environ, tmp_path / "log", f"http://{address}/static/app.css") as it:
        it.url = f"http://{address}"
        yield it


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def get(url: str) -> bytes:
    with urlopen(url, timeout=60) as answer:
        content: bytes = answer.read()
        return content


def start_slow_requests(threads: ThreadPoolExecutor, server: Server) -> list[Future[bytes]]:
    requests = [threads.submit(get, f"{server.url}/slow") for _ in range(6)]
    time.sleep(0.7)
    assert not any(request.done() for request in requests)
    return requests


def test_a_reload_replaces_all_processes_and_loses_no_request(
    server: Server, threads: ThreadPoolExecutor
) -> None:
    old = worker_pids(server)
    slow = start_slow_requests(threads, server)
    stop = threading.Event()

    def visit() -> int:
        count = 0
        while not stop.is_set():
            assert get(f"{server.url}/static/app.css")
            count += 1
        return count

    visitors = [threads.submit(visit) for _ in range(4)]
    os.kill(server.pid, signal.SIGHUP)
    deadline = time.monotonic() + ENDED
    while worker_pids(server) & old and time.monotonic() < deadline:
        time.sleep(0.1)
    stop.set()
    assert not worker_pids(server) & old
    assert len(worker_pids(server)) == 2
    assert {request.result() for request in slow} == {b"done"}
    assert all(visitor.result() for visitor in visitors)


def test_a_server_that_is_stopped_first_finishes_its_requests(
    server: Server, threads: ThreadPoolExecutor
) -> None:
    slow = start_slow_requests(threads, server)
    os.kill(server.pid, signal.SIGTERM)
    assert {request.result() for request in slow} == {b"done"}
    assert server.wait(ENDED) == 0


def test_a_server_that_is_stopped_refuses_connections_so_that_a_proxy_uses_another(
    server: Server, threads: ThreadPoolExecutor
) -> None:
    parts = urlsplit(server.url)
    address = (str(parts.hostname), int(parts.port or 0))
    slow = start_slow_requests(threads, server)
    os.kill(server.pid, signal.SIGTERM)
    refused = False
    while not refused and not any(request.done() for request in slow):
        try:
            with socket.create_connection(address, timeout=1):
                time.sleep(0.05)
        except ConnectionRefusedError:
            refused = True
    assert refused
    assert {request.result() for request in slow} == {b"done"}
