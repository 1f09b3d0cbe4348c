"""How long it takes to export what is registered and to import a file, and in how much memory.

    python -m bench.exchange --database sqlite|postgresql [--images 100000] [--url URL]

The whole app answers, under gunicorn with two workers, over a socket. What is exported is all that
the account with the most images sees, something less than half of them. With `--url` a database
that `bench.fleet` made is read, and nothing is imported into it."""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import requests

import models
from bench import fleet
from bench.measure import signed_in
from models import Job
from tests import served
from tests.postgresql import cluster
from webapp.database import close_all, open_database

LINES = 1_000
EXPORTED, IMPORTED = f"/account/{fleet.LARGE}", f"/account/{fleet.SMALL}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--images", type=int, default=100_000, help="registered in all")
    parser.add_argument("--url", help="of a database that is made already")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given.url:
            _measure(given.url, folder, imports=False)
            return
        with _new_database(given.database, folder) as url:
            fleet.make(url, given.images)
            _measure(url, folder, imports=True)


@contextmanager
def _new_database(kind: str, folder: Path) -> Iterator[str]:
    """Yields the URL of an empty one."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'registry.db'}"
        return
    with cluster() as server:
        name = f"exchange_{uuid.uuid4().hex}"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
            try:
                yield f"{server.removesuffix(urlsplit(server).path)}/{name}"
            finally:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _measure(url: str, folder: Path, *, imports: bool) -> None:
    environ = {**served.app_environ(folder), "DATABASE_URL": url}
    with served.serve_app(environ, folder / "log", workers=2) as server:
        session = signed_in(server.url, fleet.SCALR_ADMIN)
        for ending in ("csv", "json"):
            _export(session, server, ending)
        if imports:
            database = open_database(url)
            models.database.initialize(database)
            with closing(session):
                _import(session, server.url, "new")
                _import(session, server.url, "the same again")
            close_all(database)


def _export(session: requests.Session, server: served.Server, ending: str) -> None:
    before, memory = _own_mb(server.pid), _Memory(server.pid)
    began = time.perf_counter()
    rows = size = 0
    address = f"{server.url}{EXPORTED}/images/export.{ending}"
    with memory, session.get(address, stream=True, timeout=60) as answer:
        for piece in answer.iter_content(256 * 1024):
            rows, size = rows + piece.count(b"\n"), size + len(piece)
    seconds, megabytes = time.perf_counter() - began, size / 2**20
    print(
        f"export as {ending}: {rows:,} lines, {megabytes:.0f} MB in {seconds:.1f} s "
        f"({rows / seconds:,.0f} lines/s, {megabytes / seconds:.1f} MB/s); memory of the app "
        f"{before:.0f} MB before, {memory.most:.0f} MB at the most"
    )


class _Memory:
    """The most memory that a process held while this was open, in MB."""

    def __init__(self, pid: int) -> None:
        self._pid, self._over = pid, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.most = 0.0

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.25):
            self.most = max(self.most, _own_mb(self._pid))


def _own_mb(pid: int) -> float:
    """The memory of a process and its descendants that no file stands behind: the database's, which
    SQLite maps, is the system's to take back."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    own = next(int(line.split()[1]) for line in lines if line.startswith("Pss_Anon:"))
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own / 1024 + sum(_own_mb(int(child)) for child in children)


def _import(session: requests.Session, url: str, what: str) -> None:
    """Read and plan a file of LINES, and do what it says."""
    began = time.perf_counter()
    plan = _send(session, f"{url}{IMPORTED}/images/import", text=_text(), how="unverified")
    planned = time.perf_counter()
    _send(session, plan)
    number = int(plan.rpartition("/")[2])
    while Job.get_by_id(number).state != "done":
        time.sleep(0.05)
    done = time.perf_counter()
    print(
        f"import of {LINES:,} lines ({what}): {planned - began:.1f} s to plan, "
        f"{done - planned:.1f} s to apply"
    )


def _send(session: requests.Session, address: str, **fields: str) -> str:
    """Send a form; returns the address that it leads to."""
    form = session.get(address, timeout=60).text
    token = form.partition('name="csrf_token" value="')[2].partition('"')[0]
    data = {"csrf_token": token, **fields}
    answer = session.post(address, data=data, timeout=60, allow_redirects=False)
    assert answer.status_code == 303, answer.status_code
    return address[: address.index("/", 8)] + answer.headers["Location"]


def _text() -> str:
    lines = (f"aws,us-east-1,ami-{number:017x},ubuntu-24.04-{number}" for number in range(LINES))
    return "cloud,location,cloud_image_id,name\n" + "\n".join(lines)


if __name__ == "__main__":
    main()
