"""Migrate the schema of a database."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peewee import Database, SqliteDatabase
from playhouse.migrations import Migration, Runner

from models import Level, Scope, transaction
from webapp.database.private_files import create_private_file
from webapp.database.waiting import UNLIMITED, long_statements

MIGRATIONS = Path(__file__).parent.parent.parent / "migrations"
MIGRATION_LOCK = 7_305_842
"""ID of the advisory lock for migrations. The number is arbitrary."""
TRY_LOCK = f"SELECT pg_try_advisory_xact_lock({MIGRATION_LOCK})"
"""This statement has no parameters and must not be prepared: after a statement that has parameters
or is prepared, PostgreSQL keeps its snapshot open. `_migration_lock` explains why a process that
waits must not hold a snapshot."""
LOCK_PAUSE = 0.2
"""The seconds after which a process that waits for the lock tries again."""


def pending_migrations(database: Database) -> list[str]:
    """Return the names of the migrations that have not been applied."""
    migrations = Runner(database, str(MIGRATIONS)).status()
    return [migration.name for migration in migrations if not migration.applied]


def migrate(database: Database) -> list[str]:
    """Apply the pending migrations and return their names. Create the Scalr scope if missing."""
    with long_statements(UNLIMITED), _migration_lock(database):
        applied: list[str] = Runner(database, str(MIGRATIONS)).up()
        with transaction():
            if Scope.at("") is None:
                Scope.create(level=Level.SCALR, path="", name="Scalr")
    return applied


def load_migration(name: str) -> Any:
    """Return the module of a migration."""
    return Migration(0, name, str(MIGRATIONS / f"{name}.py"), None).load()


@contextmanager
def _migration_lock(database: Any) -> Iterator[None]:
    """Make processes that start together migrate one after the other.

    For SQLite, lock a file beside the database. The lock of the SQLite database itself would be too
    late: a migration takes it after the pending migrations have been read. For PostgreSQL, a second
    connection holds an advisory lock until its transaction ends. A lock that belongs to a session
    would not work with PgBouncer, which shares the sessions of the server between its clients.
    """
    if isinstance(database, SqliteDatabase):
        path = Path(f"{database.database}.migrating")
        create_private_file(path)
        with path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        return
    with database.open_separate_connection() as connection, connection.transaction():
        connection.execute("SET LOCAL statement_timeout = 0")
        connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        # In the process that has the lock, CREATE INDEX CONCURRENTLY waits until no transaction has
        # an older snapshot. A statement that waits for the lock would have an older snapshot, and
        # both processes would wait forever. So this process tries again and again, with statements
        # that do not wait.
        while not connection.execute(TRY_LOCK, prepare=False).fetchone()[0]:
            time.sleep(LOCK_PAUSE)
        with database.without_server_limits():
            yield
