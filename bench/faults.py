"""Kill the application while people save changes, and count what is lost. Measure durable writes.

    python -m bench.faults kill --rounds 100 --database postgresql
    python -m bench.faults durability

`kill` starts the application under gunicorn, lets writers create accounts over HTTP, and kills all
workers at the same time with SIGKILL. On PostgreSQL, every second round also kills the database
server. Then the benchmark compares the database with the responses. An account whose creation was
acknowledged must exist. Each account must have its entry in the audit log, because one transaction
saves a change and its entry.

`durability` measures how fast SQLite is with `synchronous=NORMAL` and with `synchronous=FULL`.
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import psycopg

import models
from bench.fleet_database import DURABLE
from tests.conftest import choices, fill_database, receipt
from tests.database.servers import PostgresqlServer, postgresql_server
from tests.postgresql import free_port
from tests.served import ROOT, Server, app_environ, serve
from webapp import database
from webapp.database import opening
from webapp.images import editing, registration
from webapp.people import accounts

PASSWORD = "a long password"  # noqa: S105  only for the measurement
EMAIL = "writer@example.com"
ACCOUNTS_AND_ENTRIES = """
    SELECT scope.name, entry.subject
    FROM (SELECT name FROM scope WHERE level = 'account') AS scope
    FULL JOIN (SELECT subject FROM audit_entry WHERE action = 'account.create') AS entry
    ON scope.name = entry.subject
"""


@dataclass
class Totals:
    """The number of requests by outcome, and the names of accounts that were lost or half saved."""

    acknowledged: int = 0
    refused: int = 0
    unknown: int = 0
    """Requests that got no response, because the application was killed."""
    lost: set[str] = field(default_factory=set)
    half_done: set[str] = field(default_factory=set)

    def add(self, writers: list[_Writer]) -> set[str]:
        """Add the requests of the writers. Return the names that were acknowledged."""
        names = {name for writer in writers for name in writer.acknowledged}
        self.acknowledged += len(names)
        self.refused += sum(writer.refused for writer in writers)
        self.unknown += sum(writer.unknown for writer in writers)
        return names

    def __str__(self) -> str:
        return (
            f"{self.acknowledged} acknowledged, {self.refused} refused, {self.unknown} without a"
            f" response, {len(self.lost)} lost, {len(self.half_done)} half done"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    kill = commands.add_parser("kill", help="kill the application while people save changes")
    kill.add_argument("--rounds", type=int, default=100)
    kill.add_argument("--writers", type=int, default=200)
    kill.add_argument(
        "--seconds", type=float, default=1.0, help="how long people write in each round"
    )
    kill.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    durability = commands.add_parser("durability", help="measure synchronous=FULL")
    durability.add_argument("--rows", type=int, default=1000)
    arguments = parser.parse_args()
    (ROOT / "build").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="faults-", dir=ROOT / "build"))
    try:
        if arguments.command == "kill":
            _kill(arguments, folder)
        else:
            _measure_durability(arguments.rows, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _kill(arguments: argparse.Namespace, folder: Path) -> None:
    totals, acknowledged = Totals(), set[str]()
    with _database(arguments.database, folder) as (url, server):
        environ = {**app_environ(folder), "DATABASE_URL": url}
        run_flask(environ, "migrate")
        run_flask(environ, "create-admin", EMAIL, "--password", PASSWORD)
        with _app(environ, folder / "log") as app:
            address = app.url.removeprefix("http://")
            session = sign_in(address)
            for number in range(arguments.rounds):
                names = [f"r{number}w{writer}" for writer in range(arguments.writers)]
                writers = [_Writer(address, session, name) for name in names]
                for writer in writers:
                    writer.start()
                time.sleep(arguments.seconds)
                if server is not None and number % 2:
                    server.stop()
                    _kill_workers(app)
                    server.start()
                else:
                    _kill_workers(app)
                # The next workers serve the connections that no killed worker had accepted. The
                # writers with these connections would not end by themselves.
                for writer in writers:
                    writer.has_ended = True
                for writer in writers:
                    writer.join()
                acknowledged |= totals.add(writers)
                compare(stored_rows(url), acknowledged, totals)
                print(f"round {number + 1}: {totals}", flush=True)
                app.wait_until_it_answers()
    sys.exit(bool(totals.lost or totals.half_done))


@contextmanager
def _app(environ: dict[str, str], log: Path) -> Iterator[Server]:
    """Run the application. Its main process serves no requests, and replaces workers that end."""
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "gunicorn", "webapp:create_app()", "--preload"]
    with serve([*command, "--bind", address], environ, log, f"http://{address}") as app:
        yield app


def _kill_workers(app: Server) -> None:
    children = Path(f"/proc/{app.pid}/task/{app.pid}/children").read_text().split()
    for pid in children:
        os.kill(int(pid), signal.SIGKILL)


@contextmanager
def _database(kind: str, folder: Path) -> Iterator[tuple[str, PostgresqlServer | None]]:
    if kind == "sqlite":
        yield f"sqlite:///{folder}/registry.db", None
        return
    with postgresql_server(DURABLE) as server:
        yield server.url, server


def run_flask(environ: dict[str, str], *arguments: str) -> None:
    command = [sys.executable, "-m", "flask", "--app", "webapp", *arguments]
    subprocess.run(command, env=environ, cwd=ROOT, check=True, capture_output=True)


class _Writer(threading.Thread):
    """Creates accounts until the application no longer responds, or until `has_ended` is true."""

    def __init__(self, address: str, session: tuple[str, str], prefix: str) -> None:
        super().__init__(daemon=True)
        self._address, (self._cookie, self._token), self._prefix = address, session, prefix
        self.acknowledged: list[str] = []
        self.refused = self.unknown = 0
        self.has_ended = False

    def run(self) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=30)
        headers = {
            "Cookie": self._cookie,
            "Content-Type": "application/x-www-form-urlencoded",
            "Origin": f"http://{self._address}",
        }
        for number in range(1_000_000):
            name = f"{self._prefix}n{number}"
            body = urlencode({"name": name, "csrf_token": self._token})
            try:
                connection.request("POST", "/scalr/accounts", body, headers)
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException):
                self.unknown += 1
                return
            if response.status == 303:
                self.acknowledged.append(name)
            else:
                self.refused += 1
            if self.has_ended:
                return


def sign_in(address: str) -> tuple[str, str]:
    """Return the cookies of a session and a CSRF token."""
    cookie, page = request(address, "GET", "/sign-in", "")
    form = {"email": EMAIL, "password": PASSWORD, "csrf_token": csrf_token(page)}
    cookie, _ = request(address, "POST", "/sign-in", cookie, urlencode(form))
    cookie, page = request(address, "GET", "/no-such-page", cookie)
    return cookie, csrf_token(page)


def csrf_token(page: str) -> str:
    """Return the CSRF token of a page."""
    found = re.search(r'X-CSRFToken": "([^"]+)"', page.replace("&#34;", '"'))
    assert found is not None, page
    return found[1]


def request(
    address: str, method: str, path: str, cookie: str, body: str | None = None
) -> tuple[str, str]:
    """Send a request. Return the header `Cookie` for the next request, and the page."""
    connection = http.client.HTTPConnection(address, timeout=30)
    headers = {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    page = response.read().decode()
    changed = response.msg.get_all("Set-Cookie", [])
    connection.close()
    pairs = [*cookie.split("; "), *(each.partition(";")[0] for each in changed)]
    cookies = dict(pair.split("=", 1) for pair in pairs if pair)
    return "; ".join(f"{name}={value}" for name, value in cookies.items()), page


def stored_rows(url: str) -> list[tuple[str | None, str | None]]:
    """Return the name of each account, and the subject of its entry in the audit log.

    If an account has no entry, or an entry has no account, the missing value is None.
    """
    if urlsplit(url).scheme == "sqlite":
        connection = sqlite3.connect(urlsplit(url).path.removeprefix("/"))
        try:
            assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
            return connection.execute(ACCOUNTS_AND_ENTRIES).fetchall()
        finally:
            connection.close()
    with psycopg.connect(url) as server:
        return server.execute(ACCOUNTS_AND_ENTRIES).fetchall()


def compare(
    rows: list[tuple[str | None, str | None]], acknowledged: set[str], totals: Totals
) -> None:
    """Add lost accounts, accounts without an entry, and entries without an account to `totals`."""
    totals.half_done |= {str(row) for row in rows if None in row}
    totals.lost |= acknowledged - {name for name, _ in rows if name is not None}


def _measure_durability(rows: int, folder: Path) -> None:
    """Print how many images are registered and edited per second."""
    for mode in ("normal", "full", "normal", "full"):
        opening.SQLITE_PRAGMAS["synchronous"] = mode
        url = f"sqlite:///{folder}/{mode}-{time.monotonic_ns()}.db"
        fill_database(url)
        opened = database.open_database(url)
        models.database.initialize(opened)
        with opened.connection_context():
            figures = _figures(rows)
        database.close_all(opened)
        print(
            f"{mode:8}" + "".join(f"  {name} {figure:7.0f}/s" for name, figure in figures.items())
        )


def _figures(rows: int) -> dict[str, float]:
    """Return the number of changes per second for each kind of change."""
    actor = accounts.actor_for(models.Person.get(email="scalr-admin@example.com"))
    scope = models.Scope.get(path="acme")
    credentials = models.CloudCredentials(
        scope=scope, cloud="aws", name="AWS", settings={}, secrets=""
    )
    credentials.save(force_insert=True)
    images: list[models.Image] = []

    def register(number: int) -> None:
        proof = receipt(credentials, number + 1)
        images.append(registration.register(actor, scope, proof, choices()))

    def edit(number: int) -> None:
        editing.edit(actor, images[number], choices(name=f"renamed {time.monotonic_ns()}"))

    def edit_batch(start: int) -> None:
        with models.transaction():
            for number in range(start, min(start + 50, rows)):
                edit(number)

    return {
        "registrations": rows / _seconds(register, range(rows)),
        "edits, one per transaction": rows / _seconds(edit, range(rows)),
        "edits, 50 per transaction": rows / _seconds(edit_batch, range(0, rows, 50)),
    }


def _seconds(work: Callable[[int], None], numbers: Iterable[int]) -> float:
    started = time.perf_counter()
    for number in numbers:
        work(number)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
