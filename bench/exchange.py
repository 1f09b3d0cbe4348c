"""Measure the time and the memory of an export, and the time of an import.

    python -m bench.exchange --database sqlite|postgresql [--images 100000] [--url URL]

The application runs under gunicorn with two workers. The export contains the images that the
largest account sees, which are about half of all images. With `--url`, the benchmark exports from
an existing fleet, which is a database that `bench.fleet` created, and imports nothing.
"""

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
from bench.measure import sign_in
from models import Job
from tests import served
from tests.postgresql import cluster
from webapp.database import close_all, open_database

LINES = 1_000
EXPORT_PATH, IMPORT_PATH = f"/account/{fleet.LARGE_ACCOUNT}", f"/account/{fleet.SMALL_ACCOUNT}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--images", type=int, default=100_000, help="size of the fleet")
    parser.add_argument("--url", help="URL of an existing fleet")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.url:
            _measure(arguments.url, folder, imports=False)
            return
        with _new_database(arguments.database, folder) as url:
            fleet.create_fleet(url, arguments.images)
            _measure(url, folder, imports=True)


@contextmanager
def _new_database(kind: str, folder: Path) -> Iterator[str]:
    """Yield the URL of an empty database."""
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
        session = sign_in(server.url, fleet.SCALR_ADMIN)
        for file_format in ("csv", "json"):
            _export(session, server, file_format)
        if imports:
            database = open_database(url)
            models.database.initialize(database)
            with closing(session):
                _import(session, server.url, "new")
                _import(session, server.url, "the same file again")
            close_all(database)


def _export(session: requests.Session, server: served.Server, file_format: str) -> None:
    before_mb, memory = _private_mb(server.pid), _Memory(server.pid)
    began = time.perf_counter()
    rows = size = 0
    export_url = f"{server.url}{EXPORT_PATH}/images/export.{file_format}"
    with memory, session.get(export_url, stream=True, timeout=60) as response:
        for piece in response.iter_content(256 * 1024):
            rows, size = rows + piece.count(b"\n"), size + len(piece)
    seconds, megabytes = time.perf_counter() - began, size / 2**20
    print(
        f"export as {file_format}: {rows:,} lines, {megabytes:.0f} MB in {seconds:.1f} s "
        f"({rows / seconds:,.0f} lines/s, {megabytes / seconds:.1f} MB/s); memory of the app "
        f"{before_mb:.0f} MB before, {memory.maximum:.0f} MB at most"
    )


class _Memory:
    """Records the maximum memory of a process, in MB, while a `with` block runs."""

    def __init__(self, pid: int) -> None:
        self._pid, self._stopped = pid, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.maximum = 0.0

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_error: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(0.25):
            self.maximum = max(self.maximum, _private_mb(self._pid))


def _private_mb(pid: int) -> float:
    """Return the anonymous memory of a process and its descendants, in MB.

    Pages of mapped files do not count, for example those of an SQLite database, because the kernel
    can reclaim these pages.
    """
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    private = next(int(line.split()[1]) for line in lines if line.startswith("Pss_Anon:"))
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return private / 1024 + sum(_private_mb(int(child)) for child in children)


def _import(session: requests.Session, url: str, label: str) -> None:
    """Plan and apply the import of a file with LINES lines."""
    began = time.perf_counter()
    plan = _send(session, f"{url}{IMPORT_PATH}/images/import", text=_csv_text(), how="unverified")
    planned = time.perf_counter()
    _send(session, plan)
    job_id = int(plan.rpartition("/")[2])
    while Job.get_by_id(job_id).state != "done":
        time.sleep(0.05)
    done = time.perf_counter()
    print(
        f"import of {LINES:,} lines ({label}): {planned - began:.1f} s to plan, "
        f"{done - planned:.1f} s to apply"
    )


def _send(session: requests.Session, form_url: str, **fields: str) -> str:
    """Submit a form, and return the URL to which the response redirects."""
    form = session.get(form_url, timeout=60).text
    token = form.partition('name="csrf_token" value="')[2].partition('"')[0]
    data = {"csrf_token": token, **fields}
    response = session.post(form_url, data=data, timeout=60, allow_redirects=False)
    assert response.status_code == 303, response.status_code
    return form_url[: form_url.index("/", 8)] + response.headers["Location"]


def _csv_text() -> str:
    lines = (f"aws,us-east-1,ami-{number:017x},ubuntu-24.04-{number}" for number in range(LINES))
    return "cloud,location,cloud_image_id,name\n" + "\n".join(lines)


if __name__ == "__main__":
    main()
