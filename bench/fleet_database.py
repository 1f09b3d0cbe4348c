"""Provide a database with a fleet (see `bench.fleet`), which is new or kept by an earlier run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from bench import fleet
from tests.postgresql import cluster

KINDS = ("sqlite", "postgresql")
SERVER_SETTINGS = {
    "shared_buffers": "1GB",
    "random_page_cost": "1.1",
    "effective_cache_size": "4GB",
}
"""Usual settings for a PostgreSQL server with fast disks."""
DURABLE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
"""Settings that PostgreSQL has by default, and that the tests turn off."""


def server_url() -> str:
    """Return the URL of the PostgreSQL server on which databases can be kept, or ''."""
    return os.environ.get("TEST_DATABASE_URL", "")


@contextmanager
def open_fleet(
    kind: str,
    folder: Path,
    images: int,
    *,
    keep: bool = False,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[str]:
    """Yield the URL of a database that contains a fleet. `kind` is an item of KINDS.

    An SQLite database is a file in `folder`. A PostgreSQL database is on the server that
    TEST_DATABASE_URL names, or else on a new server with SERVER_SETTINGS and `settings`. If
    `keep` is true, a complete fleet of an earlier run is used again, and the database is not
    deleted afterwards.
    """
    if kind == "sqlite":
        yield _sqlite_fleet(folder, images, keep=keep)
        return
    with cluster({**SERVER_SETTINGS, **settings}) as server:
        name = f"fleet_{images}"
        url = urlsplit(server)._replace(path=f"/{name}").geturl()
        if not (keep and _exists(server, name) and fleet.is_complete(url, images)):
            _drop(server, name)
            _execute(server, "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'", name)
            fleet.create_fleet(url, images)
        try:
            yield url
        finally:
            if not keep:
                _drop(server, name)


def _sqlite_fleet(folder: Path, images: int, *, keep: bool) -> str:
    file = folder.absolute() / "registry.db"
    url = f"sqlite:///{file}"
    if not (keep and file.exists() and fleet.is_complete(url, images)):
        for leftover in folder.glob("registry.db*"):
            leftover.unlink()
        fleet.create_fleet(url, images)
    return url


def _exists(server: str, name: str) -> bool:
    with psycopg.connect(server) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
        return found.fetchone() is not None


def _drop(server: str, name: str) -> None:
    _execute(server, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


def _execute(server: str, statement: str, name: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(sql.Identifier(name)))
