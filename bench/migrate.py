"""Measure how long writers and readers wait while the schema is migrated.

    python -m bench.migrate URL [--checkout FOLDER] [--limit SECONDS]

The database is a copy of an installation with an old schema. Five writers change images in it, as
the old version of the application does. Two readers read the first rows of a list. Writers and
readers pause for a moment after each transaction. They begin some time before the migration, so
that the benchmark can compare their transactions before and during the migration. With `--limit`,
the benchmark kills a migration that takes longer than this number of seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from cryptography.fernet import Fernet

from bench.measure import percentiles
from tests.served import ROOT, python_of

WRITERS, READERS = 5, 2
PAUSE_SECONDS = 0.01
QUIET_SECONDS = 30.0
"""How long the clients work before the migration or the backup begins."""
CHANGE = (
    "UPDATE image SET description = 'Changed', revision = revision + 1 WHERE id = {0}",
    (
        "INSERT INTO audit_entry (at, scope_id, scope_label, person_name, action, subject, record, "
        "revision, changes) SELECT registered_at, scope_id, '', 'Bench', 'image.edit', name, "
        "'image:{0}', revision, '{{}}' FROM image WHERE id = {0}"
    ),
)
"""The statements of a transaction that changes the image with the record ID {0}."""
LIST = (
    "SELECT id, name, cloud_image_id, location, registered_at FROM image "
    "WHERE scope_id = (SELECT scope_id FROM image WHERE id = {0}) AND shared = {1} "
    "ORDER BY registered_at DESC, id DESC LIMIT 50"
)


class Transactions:
    """The transactions of some clients: when they began, and how long they took."""

    def __init__(self) -> None:
        self.times: list[tuple[float, float]] = []
        self.errors: list[str] = []

    def longest(self, since: float, until: float) -> list[tuple[float, float]]:
        """Return the five longest transactions that overlap a period, the longest first."""
        return sorted(self._between(since, until), key=lambda each: -each[1])[:5]

    def figures(self, since: float, until: float) -> dict[str, float]:
        """Return percentiles and the maximum of the times in a period, in milliseconds."""
        seconds = [each[1] for each in self._between(since, until)]
        names = ("p50", "p95", "p99", "longest")
        values = (*percentiles(seconds), max(seconds))
        return {name: round(1000 * value, 1) for name, value in zip(names, values, strict=True)}

    def _between(self, since: float, until: float) -> list[tuple[float, float]]:
        return [
            (begun, seconds)
            for begun, seconds in self.times
            if begun < until and begun + seconds > since
        ]


def _connect(url: str) -> Callable[[str], None]:
    """Return a function that executes SQL over a new connection."""
    if urlsplit(url).scheme == "sqlite":
        file = sqlite3.connect(
            urlsplit(url).path, timeout=600, isolation_level=None, check_same_thread=False
        )
        file.execute("PRAGMA synchronous = full")

        def execute_in_file(sql: str) -> None:
            file.execute(sql).fetchall()

        return execute_in_file
    server = psycopg.connect(url, autocommit=True)

    def execute(sql: str) -> None:
        cursor = server.execute(sql.encode())
        if cursor.description:
            cursor.fetchall()

    return execute


def _run(
    url: str, statements: Sequence[str], images: int, done: Transactions, ended: threading.Event
) -> None:
    """Execute the statements again and again, for random images, until `ended` is set."""
    execute = _connect(url)
    chance = random.Random()  # noqa: S311  not a secret
    while not ended.is_set():
        number, shared = chance.randint(1, images), chance.choice(("true", "false"))
        begun = time.monotonic()
        try:
            for sql in statements:
                execute(sql.format(number, shared))
        except (sqlite3.Error, psycopg.Error) as error:
            done.errors.append(str(error))
            with suppress(sqlite3.Error, psycopg.Error):
                execute("ROLLBACK")
        done.times.append((begun, time.monotonic() - begun))
        time.sleep(PAUSE_SECONDS)


def _count(url: str) -> int:
    query = "SELECT max(id) FROM image"
    if urlsplit(url).scheme == "sqlite":
        with closing(sqlite3.connect(urlsplit(url).path)) as file:
            return int(file.execute(query).fetchone()[0])
    with psycopg.connect(url) as server:
        row = server.execute(query).fetchone()
        assert row is not None
        return int(row[0])


@dataclass
class Load:
    """The transactions of all clients, which use the images with record IDs from 1 to `images`."""

    images: int
    writes: Transactions = field(default_factory=Transactions)
    reads: Transactions = field(default_factory=Transactions)
    start: float = 0.0
    """When the clients began."""
    quiet_until: float = 0.0
    """When QUIET_SECONDS were over, and the migration or the backup began."""

    def figures(self, end: float) -> dict[str, object]:
        """Return how long the clients waited before `quiet_until`, and from then to `end`."""
        return {
            "seconds": round(end - self.quiet_until, 1),
            "changes": len(self.writes.times),
            "errors": [*self.writes.errors[:3], *self.reads.errors[:3]],
            "writers_before_ms": self.writes.figures(self.start, self.quiet_until),
            "writers_during_ms": self.writes.figures(self.quiet_until, end),
            "readers_before_ms": self.reads.figures(self.start, self.quiet_until),
            "readers_during_ms": self.reads.figures(self.quiet_until, end),
        }


@contextmanager
def clients(url: str) -> Iterator[Load]:
    """Let five writers and two readers work while the context is active.

    The `with` body starts after QUIET_SECONDS.
    """
    load, ended = Load(_count(url)), threading.Event()
    begin = "BEGIN IMMEDIATE" if urlsplit(url).scheme == "sqlite" else "BEGIN"
    threads = [
        threading.Thread(target=_run, args=(url, statements, load.images, done, ended))
        for number, statements, done in (
            (WRITERS, (begin, *CHANGE, "COMMIT"), load.writes),
            (READERS, (LIST,), load.reads),
        )
        for _ in range(number)
    ]
    load.start = time.monotonic()
    for thread in threads:
        thread.start()
    time.sleep(QUIET_SECONDS)
    load.quiet_until = time.monotonic()
    try:
        yield load
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def measure(url: str, checkout: Path, limit: float | None = None) -> dict[str, object]:
    """Let a checkout migrate the database, and return how long the clients waited."""
    with clients(url) as load:
        output = _migrate(url, checkout, limit)
        end = time.monotonic()
    longest = load.writes.longest(load.quiet_until, end)
    return {
        "images": load.images,
        "migration": output,
        **load.figures(end),
        "longest_writes": [
            {"at": round(at - load.quiet_until, 1), "seconds": round(seconds, 2)}
            for at, seconds in longest
        ],
    }


def _migrate(url: str, checkout: Path, limit: float | None) -> str:
    environ = {
        **os.environ,
        "DATABASE_URL": url,
        "SECRET_KEY": "measurements only: 0123456789abcdef",
        "CREDENTIALS_KEYS": Fernet.generate_key().decode(),
    }
    command = [python_of(checkout), "-m", "flask", "--app", "webapp", "migrate"]
    try:
        done = subprocess.run(
            command,
            env=environ,
            cwd=checkout,
            capture_output=True,
            text=True,
            check=False,
            timeout=limit,
        )
    except subprocess.TimeoutExpired:
        return "killed"
    return done.stdout.strip() or done.stderr[-2000:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="a database with an old schema; it will be changed")
    parser.add_argument(
        "--checkout", type=Path, default=ROOT, help="the checkout that contains the migrations"
    )
    parser.add_argument(
        "--limit", type=float, help="kill the migration after this number of seconds"
    )
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.url, arguments.checkout, arguments.limit), indent=2))


if __name__ == "__main__":
    main()
