"""The Unix socket between nginx and gunicorn in the files for systemd."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path

from tests import served
from tests.served import ROOT, Server
from tests.waiting import wait_until

UNIT = ROOT / "deploy" / "systemd" / "image-registry.service"
UPSTREAM = ROOT / "deploy" / "nginx" / "upstream.conf"
CLIENT = "198.51.100.7"


class _Connection(HTTPConnection):
    """A connection that sends what nginx sends, with the file in `deploy/nginx`."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(60)
        self.sock.connect(self._path)

    def get(self, path: str) -> tuple[int, str]:
        """Return the status of the answer, and the value of Strict-Transport-Security."""
        headers = {
            "Host": "localhost",
            "X-Forwarded-For": CLIENT,
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": "localhost",
            "Connection": "close",
        }
        self.request("GET", path, headers=headers)
        answer = self.getresponse()
        answer.read()
        return answer.status, answer.headers.get("Strict-Transport-Security", "")


def bind_option() -> str:
    found = re.search(r"^ExecStart=\S+/gunicorn --bind (\S+) ", UNIT.read_text(), re.MULTILINE)
    assert found
    return found[1]


def test_the_unit_and_nginx_use_the_same_socket() -> None:
    folder = re.search(r"^RuntimeDirectory=(\S+)$", UNIT.read_text(), re.MULTILINE)
    assert folder
    assert bind_option().startswith(f"unix:/run/{folder[1]}/")
    assert "RuntimeDirectoryMode=0750" in UNIT.read_text(), "Other users cannot use the socket."
    servers = re.findall(r"^ *server (\S+)", UPSTREAM.read_text(), re.MULTILINE)
    assert servers == [bind_option()]


def test_a_request_through_the_socket_has_the_address_of_the_client(tmp_path: Path) -> None:
    path = tmp_path / Path(bind_option()).name
    environ = {
        **served.app_environ(tmp_path),
        "TRUSTED_PROXIES": "1",
        "SECURE_COOKIES": "true",
        "LOG_REQUESTS": "true",
        "LOG_FORMAT": "json",
    }
    flask = [sys.executable, "-m", "flask", "--app", "webapp", "migrate"]
    subprocess.run(flask, env=environ, cwd=ROOT, check=True, capture_output=True)
    command = [sys.executable, "-m", "gunicorn", "--bind", f"unix:{path}", "--workers", "1"]
    server = Server([*command, "webapp:create_app()"], environ, tmp_path / "log", "")
    try:
        wait_until(path.exists)
        assert _Connection(path).get("/healthz")[0] == 200
        status, transport = _Connection(path).get("/sign-in")
        assert status == 200
        assert "includeSubDomains" in transport, "nginx says that the browser uses HTTPS."
    finally:
        with suppress(ProcessLookupError):
            server.end()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    clients = {line["path"]: line["client"] for line in lines if "client" in line}
    assert clients == {"/sign-in": CLIENT}
