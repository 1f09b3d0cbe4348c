"""Measure how long writers wait while the schema is migrated.

Five writers change images, as the old version of the application does, in a copy of an installation
with an old schema: `python -m bench.migrate URL`. Writers pause for a moment between two changes.
The longest change before the migration shows how much of the time is due to other load.
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
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from cryptography.fernet import Fernet

from tests.served import ROOT, python_of

WRITERS = 5
PAUSE_SECONDS = 0.01
QUIET_SECONDS = 10.0
CHANGE = (
    "UPDATE image SET description = 'Changed', revision = revision + 1 WHERE id = {0}",
    (
        "INSERT INTO audit_entry (at, scope_id, scope_label, person_name, action, subject, record, "
        "revision, changes) SELECT registered_at, scope_id, '', 'Bench', 'image.edit', name, "
        "'image:{0}', revision, '{{}}' FROM image WHERE id = {0}"
    ),
)


class Stalls:
    """The longest changes: when they began, and how long they took."""

    def __init__(self) -> None:
        self.changes: list[tuple[float, float]] = []
        self.errors: list[str] = []
        self.ended = threading.Event()

    def longest(self, since: float, until: float) -> list[tuple[float, float]]:
        """Return the five longest changes that overlap a period, the longest first."""
        overlapping = [
            (begun, seconds)
            for begun, seconds in self.changes
            if begun < until and begun + seconds > since
        ]
        return sorted(overlapping, key=lambda change: -change[1])[:5]


def _change_of(url: str) -> Callable[[int], None]:
    """Return a function that changes an image over a connection of its own."""
    if urlsplit(url).scheme == "sqlite":
        file = sqlite3.connect(
            urlsplit(url).path, timeout=600, isolation_level=None, check_same_thread=False
        )
        file.execute("PRAGMA synchronous = full")

        def change_file(number: int) -> None:
            file.execute("BEGIN IMMEDIATE")
            for sql in CHANGE:
                file.execute(sql.format(number))
            file.execute("COMMIT")

        return change_file
    server = psycopg.connect(url, autocommit=True)

    def change_server(number: int) -> None:
        with server.transaction():
            for sql in CHANGE:
                server.execute(sql.format(number).encode())

    return change_server


def _write(url: str, images: int, stalls: Stalls) -> None:
    change = _change_of(url)
    chance = random.Random()  # noqa: S311  not a secret
    while not stalls.ended.is_set():
        begun = time.monotonic()
        try:
            change(chance.randint(1, images))
        except (sqlite3.Error, psycopg.Error) as error:
            stalls.errors.append(str(error))
        stalls.changes.append((begun, time.monotonic() - begun))
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


def measure(url: str, checkout: Path) -> dict[str, object]:
    """Migrate the database with a checkout, and return how long the writers waited."""
    images, stalls = _count(url), Stalls()
    writers = [threading.Thread(target=_write, args=(url, images, stalls)) for _ in range(WRITERS)]
    for writer in writers:
        writer.start()
    start = time.monotonic()
    time.sleep(QUIET_SECONDS)
    environ = {
        **os.environ,
        "DATABASE_URL": url,
        "SECRET_KEY": "measurements only: 0123456789abcdef",
        "CREDENTIALS_KEYS": Fernet.generate_key().decode(),
    }
    begun = time.monotonic()
    command = [python_of(checkout), "-m", "flask", "--app", "webapp", "migrate"]
    done = subprocess.run(
        command, env=environ, cwd=checkout, capture_output=True, text=True, check=False
    )
    ended = time.monotonic()
    stalls.ended.set()
    for writer in writers:
        writer.join()
    return {
        "images": images,
        "migration": done.stdout.strip() or done.stderr[-2000:],
        "seconds": round(ended - begun, 1),
        "changes": len(stalls.changes),
        "errors": stalls.errors[:3],
        "longest_before": [round(seconds, 2) for _, seconds in stalls.longest(start, begun)],
        "longest_during": [
            {"at": round(at - begun, 1), "seconds": round(seconds, 2)}
            for at, seconds in stalls.longest(begun, ended)
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="a database with an old schema; it will be changed")
    parser.add_argument("--checkout", type=Path, default=ROOT, help="whose migrations to apply")
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.url, arguments.checkout), indent=2))


if __name__ == "__main__":
    main()
