"""Health checks, metrics and logs of a real server with two workers."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.canaries import SETTING, Leaked
from tests.database.commands import run_flask
from tests.database.servers import PostgresqlServer, postgresql_server
from tests.postgresql import NoPostgreSQL, free_port
from tests.served import Server, app_environ, serve_app
from tests.waiting import wait_until

TOKEN = "Canary-metrics-token-1"
CANARY = "Canary \"<&>' +/ 71"

Metrics = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Site:
    """A server and its settings."""

    def __init__(self, server: Server, log: Path, metrics_port: int) -> None:
        self.server, self._log, self.metrics_port = server, log, metrics_port
        self.address = urlsplit(server.url).netloc

    def connect(self, port: int = 0) -> HTTPConnection:
        return HTTPConnection(f"127.0.0.1:{port}" if port else self.address, timeout=30)

    def get(
        self, path: str, headers: Mapping[str, str] | None = None, port: int = 0
    ) -> tuple[int, str, dict[str, str]]:
        connection = self.connect(port)
        connection.request("GET", path, headers=dict(headers or {}))
        answer = connection.getresponse()
        result = answer.status, answer.read().decode(), dict(answer.getheaders())
        connection.close()
        return result

    def metrics(self) -> Metrics:
        status, text, _ = self.get("/metrics", port=self.metrics_port)
        assert status == 200
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def log_text(self) -> str:
        return self._log.read_text()

    def records(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.log_text().splitlines()]


@contextmanager
def open_site(folder: Path, **settings: str) -> Iterator[Site]:
    port = free_port()
    environ = {
        **app_environ(folder),
        "LOG_FORMAT": "json",
        "LOG_REQUESTS": "true",
        "METRICS_BIND": f"127.0.0.1:{port}",
        "METRICS_TOKEN": TOKEN,
        **settings,
    }
    assert run_flask("migrate", **environ).returncode == 0
    with serve_app(environ, folder / "log", workers=2) as server:
        site = Site(server, folder / "log", port)
        wait_until(lambda: len(started(site)) == 2)
        yield site


def started(site: Site) -> list[str]:
    return [line for line in site.log_text().splitlines() if ", process " in line]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with open_site(folder, TRUSTED_PROXIES="1", URL_PREFIX="/registry") as site:
        yield site


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.get((f"image_registry_{name}", frozenset(labels.items())), 0.0)


def test_the_metrics_are_those_of_all_workers(site: Site) -> None:
    labels = {"route": "people.sign_in", "method": "GET", "status": "2xx"}
    before = value(site.metrics(), "http_requests_total", **labels)
    for _ in range(40):
        assert site.get("/registry/sign-in")[0] == 200
    assert {value(site.metrics(), "http_requests_total", **labels) for _ in range(10)} == {
        before + 40
    }
    wait_until(lambda: len(pids(site.metrics())) == 2)
    assert value(site.metrics(), "ready") == 1


def test_the_metrics_and_the_log_are_searched_for_secrets(site: Site) -> None:
    server = site.server
    server.check_metrics()
    server.check_log()
    texts = ["image_registry_http_requests_total", "Listening at: http://127.0.0.1"]
    server.canaries.add(SETTING, texts)
    try:
        with pytest.raises(Leaked, match="in the metrics"):
            server.check_metrics()
        with pytest.raises(Leaked, match="in the log"):
            server.check_log()
    finally:
        for text in texts:
            del server.canaries.kinds[text]


def pids(metrics: Metrics) -> set[str]:
    name = "image_registry_process_resident_memory_bytes"
    return {dict(labels)["pid"] for each, labels in metrics if each == name}


def test_the_ports_show_what_they_should(site: Site) -> None:
    private = {"Authorization": f"Bearer {TOKEN}"}
    assert site.get("/registry/metrics")[0] == 404
    assert site.get("/registry/metrics", private)[0] == 200
    assert site.get("/sign-in", port=site.metrics_port)[0] == 404
    for port in (0, site.metrics_port):
        assert site.get("/healthz", port=port)[:2] == (200, "ok\n")
        assert site.get("/readyz", {"Host": "10.1.2.3"}, port=port)[:2] == (200, "ready\n")
    assert json.loads(site.get("/readyz", private)[1]) == {"ready": True, "problems": []}


def test_two_thousand_urls_create_few_series(site: Site) -> None:
    connection = site.connect()

    def get(path: str, method: str = "GET") -> None:
        connection.request(method, path)
        connection.getresponse().read()

    for path in ("/x", "/registry/account/a/images", "/invitation/x"):
        get(path)
    get("/x", "BREW")
    before = site.metrics().keys()
    for number in range(500):
        get(f"/x{number}?{number}")
        get(f"/registry/account/a{number}/images")
        get(f"/invitation/{number}")
        get("/x", f"BREW{number}")
    assert len(site.metrics().keys() - before) <= 2
    connection.close()


def test_probes_are_not_logged_and_requests_are(site: Site) -> None:
    for path in ("/healthz", "/readyz", "/registry/healthz"):
        site.get(path)
    site.get("/registry/sign-in?secret=Canary", {"X-Request-ID": "proxy-request-1"})
    wait_until(lambda: "proxy-request-1" in site.log_text())
    record = next(each for each in site.records() if each.get("request_id") == "proxy-request-1")
    assert record["logger"] == "gunicorn.access"
    assert (record["route"], record["status"]) == ("people.sign_in", 200)
    assert record["path"] == "/registry/sign-in"
    assert isinstance(record["duration_ms"], float)
    assert not any(word in site.log_text() for word in ("healthz", "readyz", "Canary"))


@pytest.mark.parametrize(
    ("head", "is_logged"),
    [
        (b"GET /a%0a%1b[2J%e2%80%a8 HTTP/1.1\r\nHost: x\r\nX-Request-ID: a\x1bb\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.1.1.1\x1b[2J\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nHost: x\r\nB\xffd Name: \x1b[2J\r\n\r\n", False),
        (b"G\x1b[2JT / HTTP/1.1\r\nHost: x\r\n\r\n", False),
        (b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", False),
    ],
)
def test_hostile_requests_forge_no_line(site: Site, head: bytes, *, is_logged: bool) -> None:
    before = len(site.log_text())
    parts = urlsplit(site.server.url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as client:
        client.sendall(head)
        client.recv(65_536)
    if is_logged:
        wait_until(lambda: site.log_text()[before:].endswith("\n"))
    time.sleep(0.2)
    for line in site.log_text()[before:].splitlines():
        assert line.isprintable()
        json.loads(line)


def test_a_password_that_was_entered_is_never_in_the_log(site: Site) -> None:
    body = urlencode({"email": "a@example.com", "password": CANARY})
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Authorization": "Basic " + base64.b64encode(f"u:{CANARY}".encode()).decode(),
        "Cookie": f"session={quote(CANARY)}",
    }
    before = len(site.records())
    connection = site.connect()
    for _ in range(12):
        connection.request("POST", f"/registry/sign-in?next=/{quote(CANARY)}", body, headers)
        connection.getresponse().read()
    connection.close()
    logged = {"route": "people.sign_in", "method": "POST"}
    wait_until(
        lambda: sum(logged.items() <= each.items() for each in site.records()[before:]) >= 12
    )
    assert "anary" not in site.log_text()


def test_a_worker_that_was_killed_leaves_its_counts_and_not_its_gauges(tmp_path: Path) -> None:
    with open_site(tmp_path) as site:
        wait_until(lambda: len(pids(site.metrics())) == 2)
        assert site.get("/sign-in")[0] == 200
        labels = {"route": "people.sign_in", "method": "GET", "status": "2xx"}
        count = value(site.metrics(), "http_requests_total", **labels)
        assert count >= 1
        killed = min(pids(site.metrics()))
        os.kill(int(killed), signal.SIGKILL)
        wait_until(lambda: len(started(site)) == 3)
        wait_until(lambda: killed not in pids(site.metrics()) and len(pids(site.metrics())) == 2)
        assert value(site.metrics(), "http_requests_total", **labels) == count
        folder = metrics_folder(site)
        assert folder.is_dir()
    assert not folder.exists()


def metrics_folder(site: Site) -> Path:
    """Return the folder in which the workers count. They map its files into their memory."""
    lines = Path(f"/proc/{min(pids(site.metrics()))}/maps").read_text().splitlines()
    return Path(next(line.split()[-1] for line in lines if "counter_" in line)).parent


def test_a_worker_that_shuts_down_is_not_ready(tmp_path: Path) -> None:
    with open_site(tmp_path) as site:
        connection = site.connect()
        connection.request("GET", "/readyz")
        assert connection.getresponse().read() == b"ready\n"
        os.kill(site.server.pid, signal.SIGTERM)
        time.sleep(0.5)
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (503, b"not ready\n")
        connection.close()


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgresqlServer]:
    try:
        with postgresql_server() as server:
            yield server
    except NoPostgreSQL as error:
        pytest.skip(str(error))


def test_a_database_that_hangs_keeps_nobody_waiting(
    tmp_path: Path, postgresql: PostgresqlServer
) -> None:
    with open_site(tmp_path, DATABASE_URL=postgresql.url) as site:
        assert site.get("/readyz")[0] == 200
        postgresql.hang()
        try:
            wait_until(lambda: site.get("/readyz")[0] == 503)
            for _ in range(50):
                assert site.get("/healthz")[0] == 200
                assert site.get("/readyz")[:2] == (503, "not ready\n")
            assert value(site.metrics(), "database_up") == 0
        finally:
            postgresql.continue_()
        # Both workers must have noticed.
        wait_until(lambda: {site.get("/readyz")[0] for _ in range(10)} == {200})
        wait_until(lambda: value(site.metrics(), "database_up") == 1)
        begun = [x for x in site.records() if "this process is not ready" in str(x["message"])]
        assert 1 <= len(begun) <= 2


def test_the_main_process_does_not_import_the_application() -> None:
    code = (
        "import runpy, sys; runpy.run_path('gunicorn.conf.py'); "
        "print(sorted(name for name in sys.modules if name.split('.')[0] in "
        "('webapp', 'models', 'flask', 'prometheus_client')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
