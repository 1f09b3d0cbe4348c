"""Back up a database while five writers change images, restore the backup, and compare the rows.

    python -m bench.backup [--images 100000] [--database sqlite|postgresql]

A writer increments the revision of an image and adds an audit entry in one transaction. A backup is
consistent if both of these statements are true for the restored database:

- For each image, the revision was incremented once for each entry that the writers added.
- Each row is equal to the row with the same key in the source, apart from the columns that the
  writers change, and from the audit entry of the restore.

Then the benchmark makes a second backup without writers. The database that is restored from this
backup must have the same rows as the source, apart from two audit entries: the entry of the backup
is only in the source, and the entry of the restore is only in the restored database.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from bench import fleet
from bench.migrate import clients
from models import TABLES
from tests.database.servers import postgresql_server
from tests.served import ROOT, app_environ, python_of

SETTINGS = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
CHANGED_BY_WRITERS = ("description", "revision")
BROKEN = """
    SELECT count(*) FROM image LEFT JOIN (
        SELECT record, count(*) AS entries, max(revision) AS newest FROM audit_entry
        WHERE person_name = 'Bench' GROUP BY record
    ) AS written ON written.record = 'image:' || image.id
    WHERE image.revision <> 1 + coalesce(written.entries, 0)
    OR image.revision <> coalesce(written.newest, 1)
"""
"""The SQL that counts the images whose revision does not match their audit entries."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with _databases(arguments.database, folder) as (source, busy, idle):
            fleet.create_fleet(source, arguments.images)
            print(json.dumps(measure(folder, source, busy, idle), indent=2))


@contextmanager
def _databases(kind: str, folder: Path) -> Iterator[tuple[str, str, str]]:
    """Yield the URLs of the source and of two empty databases."""
    if kind == "sqlite":
        yield (
            f"sqlite:///{folder}/source.db",
            f"sqlite:///{folder}/busy.db",
            f"sqlite:///{folder}/idle.db",
        )
        return
    with postgresql_server(SETTINGS) as server:
        names = ("source", "busy", "idle")
        with psycopg.connect(server.url, autocommit=True) as connection:
            for name in names:
                connection.execute(f"CREATE DATABASE {name}".encode())
        parts = urlsplit(server.url)
        source, busy, idle = (parts._replace(path=f"/{name}").geturl() for name in names)
        yield source, busy, idle


def measure(folder: Path, source: str, busy: str, idle: str) -> dict[str, object]:
    """Back up `source` with and without writers, restore both backups, and return the figures.

    The backup with writers is restored to `busy`, and the backup without writers to `idle`.
    """
    environ = app_environ(folder)
    first, second = folder / "busy.backup", folder / "idle.backup"
    with clients(source) as load:
        _flask(environ, source, "backup", first)
        end = time.monotonic()
    restored = _flask(environ, busy, "restore", first)
    quiet = _flask(environ, source, "backup", second)
    _flask(environ, idle, "restore", second)
    ((broken,),) = _rows(busy, BROKEN)
    common = _digests(source, CHANGED_BY_WRITERS)
    with_writers = _digests(busy, CHANGED_BY_WRITERS)
    return {
        "images": load.images,
        "backup_mb": round(first.stat().st_size / 2**20, 1),
        **load.figures(end),
        "restore_seconds": restored,
        "quiet_backup_seconds": quiet,
        "rows": len(with_writers),
        "inconsistent_images": broken,
        "different_rows_with_writers": len(with_writers - common),
        "rows_without_writers": len(common),
        "different_rows_without_writers": len(_digests(source) ^ _digests(idle)),
    }


def _flask(environ: Mapping[str, str], url: str, command: str, file: Path) -> float:
    """Run a command, and return how many seconds it took."""
    arguments = [python_of(ROOT), "-m", "flask", "--app", "webapp", command, str(file)]
    begun = time.monotonic()
    subprocess.run(
        arguments, env={**environ, "DATABASE_URL": url}, cwd=ROOT, check=True, capture_output=True
    )
    return round(time.monotonic() - begun, 1)


def _rows(url: str, sql: str) -> Iterator[tuple[Any, ...]]:
    if urlsplit(url).scheme == "sqlite":
        with closing(sqlite3.connect(urlsplit(url).path)) as file:
            yield from file.execute(sql)
        return
    with psycopg.connect(url) as server, server.cursor("rows") as cursor:
        yield from cursor.execute(sql.encode())


def _digests(url: str, without: Collection[str] = ()) -> set[tuple[Any, ...]]:
    """Return the table, the key and a digest of each row.

    The digests of images do not contain the columns `without`.
    """
    digests = set()
    for model in TABLES:
        meta: Any = model._meta  # noqa: SLF001
        columns = [name for name in meta.columns if meta.name != "image" or name not in without]
        names = ", ".join([meta.get_primary_keys()[0].column_name, *columns])
        for row in _rows(url, f"SELECT {names} FROM {meta.table_name}"):  # noqa: S608  our own names
            digest = hashlib.blake2b(repr(row).encode(), digest_size=16).digest()
            digests.add((meta.table_name, row[0], digest))
    return digests


if __name__ == "__main__":
    main()
