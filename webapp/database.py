"""Open the database at a URL, and migrate its schema."""

from __future__ import annotations

import fcntl
import logging
import select
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, request
from peewee import Database, SqliteDatabase
from playhouse.db_url import connect, register_database
from playhouse.migrations import Runner
from playhouse.pool import PooledDatabase, PooledPostgresqlDatabase

import models
from models import Level, Scope, transaction
from webapp.settings import SettingsError

log = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent.parent / "migrations"
MAPPED_BYTES = 2**31 - 2**16
"""How many bytes of the file SQLite maps into memory: its maximum. Mapped pages are not copied."""
MIGRATION_LOCK = 7_305_842
"""ID of the advisory lock for migrations. The number is arbitrary."""


def open_database(url: str) -> Database:
    """Return the database at `url`, with a pool of connections.

    The URL is `sqlite:///file` or `postgresql://user:password@host/name`. Raises SettingsError for
    any other kind of URL.
    """
    scheme = urlsplit(url).scheme
    if scheme == "sqlite":
        # The pool keeps the file open, because opening a file and reading its schema takes longer
        # than most requests.
        database: Database = connect(
            url.replace("sqlite:", "sqlite+pool:", 1),
            pragmas={
                "journal_mode": "wal",
                "foreign_keys": 1,
                "synchronous": "normal",
                "case_sensitive_like": 0,
                "busy_timeout": 10_000,
                "cache_size": -16_000,
                "mmap_size": MAPPED_BYTES,
                "temp_store": "memory",
            },
            max_connections=64,
            check_same_thread=False,
            timeout=10,
        )
        if database.database != ":memory:":
            Path(database.database).parent.mkdir(parents=True, exist_ok=True)
        return database
    if scheme in {"postgresql", "postgres"}:
        return connect(
            url.replace(f"{scheme}:", f"{scheme}+pool:", 1),
            unquote_user=True,
            unquote_password=True,
            max_connections=32,
            timeout=10,
            # PostgreSQL must plan each query for its values. One value may match a thousand times
            # as many images as another, so one plan for all values would be wrong for most values.
            options="-c plan_cache_mode=force_custom_plan",
        )
    raise SettingsError("DATABASE_URL must begin with sqlite:/// or postgresql://.")


class PostgresqlPool(PooledPostgresqlDatabase):
    """A pool that recognizes a lost connection without a query.

    Peewee's own pool sends a query before each use of a connection, which adds a round trip to
    every page. This pool only asks the operating system whether the connection has data to read. An
    idle connection has no data to read, unless the server has closed it or is about to close it.
    """

    def _is_closed(self, connection: Any) -> bool:
        if connection.closed:
            return True
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        if not poll.poll(0):
            return False
        self._close_raw(connection)
        return True


register_database(PostgresqlPool, "postgresql+pool", "postgres+pool")


def close_all(database: Database) -> None:
    """Close this thread's connection and the idle connections of the pool."""
    if not database.is_closed():
        database.close()
    if isinstance(database, PooledDatabase):
        database.close_all()


def init_app(app: Flask) -> None:
    """Open a connection before each request, except for static files, and release it afterwards."""

    @app.before_request
    def _connect() -> None:
        if request.endpoint != "static":
            models.database.connect(reuse_if_open=True)

    @app.teardown_request
    def _close(_error: BaseException | None) -> None:
        if not models.database.is_closed():
            models.database.close()


def pending_migrations(database: Database) -> list[str]:
    """Return the names of the migrations that have not been applied."""
    migrations = Runner(database, str(MIGRATIONS)).status()
    return [migration.name for migration in migrations if not migration.applied]


def migrate(database: Database) -> list[str]:
    """Apply the pending migrations and return their names. If Scalr is missing, create it."""
    with _migration_lock(database):
        applied: list[str] = Runner(database, str(MIGRATIONS)).up()
        with transaction():
            if Scope.at("") is None:
                Scope.create(level=Level.SCALR, path="", name="Scalr")
    for name in applied:
        log.info("applied migration %s", name)
    return applied


@contextmanager
def _migration_lock(database: Database) -> Iterator[None]:
    """Make processes that start together migrate one after the other.

    For PostgreSQL, take an advisory lock. For SQLite, lock a file beside the database. The lock of
    the SQLite database itself would be too late: a migration takes it after the pending migrations
    have been read.
    """
    if isinstance(database, SqliteDatabase):
        with Path(f"{database.database}.migrating").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        return
    database.execute_sql("SELECT pg_advisory_lock(%s)", (MIGRATION_LOCK,))
    try:
        yield
    finally:
        database.execute_sql("SELECT pg_advisory_unlock(%s)", (MIGRATION_LOCK,))
