"""gunicorn, with the settings of gunicorn.conf.py, ends the connections of clients that stop."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from tests import served
from tests.postgresql import free_port
from tests.served import ROOT, Server

HEAD = """POST /sign-in HTTP/1.1\r
Host: localhost\r
Content-Type: application/x-www-form-urlencoded\r
Content-Length: 1000\r
\r
email="""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server with a single thread, that waits for a client for only one second."""
    settings = ROOT / "gunicorn.conf.py"
    config = tmp_path / "short.conf.py"
    config.write_text(
        f"__file__ = {str(settings)!r}\n{settings.read_text().partition('annotations')[2]}\n"
        "CLIENT_SECONDS = 1.0\nworkers = 1\n"
    )
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "gunicorn", "webapp:create_app()", "--config", str(config)]
    command += ["--bind", address]
    environ = served.app_environ(tmp_path) | {"THREADS": "1"}
    with served.serve(command, environ, tmp_path / "log", f"http://{address}/healthz") as it:
        it.url = f"http://{address}"
        yield it


def test_a_client_that_stops_sending_its_form_does_not_keep_the_thread(server: Server) -> None:
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port)) as client:
        client.sendall(HEAD.encode())
        with urlopen(f"{server.url}/healthz", timeout=30) as answer:
            assert answer.status == 200
