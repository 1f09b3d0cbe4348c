"""Back up and restore an SQLite file.

A restore fills, checks and migrates a new file beside the database. Then the new file replaces the
old file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from peewee import DatabaseError, SqliteDatabase

import models
from models import Failure
from schema.failures import SQLITE_FAILURES
from webapp.backup.checks import (
    HISTORY,
    RestoreOutcome,
    check_scalr,
    check_schema,
    check_version,
    require_unused,
)
from webapp.backup.files import BackupError, partial_file, require_kind
from webapp.database import close_all, migrate, open_database
from webapp.settings import sqlite_url

LOCK_SECONDS = 2.0
"""The maximum time in seconds that a restore waits for other programs to close the old file."""


def back_up(database: SqliteDatabase, path: Path, partial: Path) -> None:
    """Copy the database to the file `partial`, which then replaces the file at `path`.

    The copy is made in one read transaction. Others can write during the transaction, but the copy
    does not contain their changes. Raises BackupError.
    """
    file = Path(database.database)
    if path.exists() and path.samefile(file):
        raise BackupError(f"{path} is the database itself. Choose another name.")
    with _convert_errors("The database", path.parent), closing(sqlite3.connect(partial)) as copy:
        database.connection().backup(copy)
        # The backup is one file, without a -wal file beside it.
        copy.execute("PRAGMA journal_mode = delete")
        _check("The database", copy, "quick_check")


def restore(database: SqliteDatabase, path: Path, *, force: bool) -> RestoreOutcome:
    """Replace the file of the database with the backup at `path`. Raises BackupError."""
    file = Path(database.database)
    require_kind(path, "sqlite")
    if file.exists() and path.samefile(file):
        raise BackupError(f"{path} is the database itself.")
    # `old_file_lock` keeps the old file locked until the new file has replaced it.
    with (
        ExitStack() as old_file_lock,
        partial_file(file) as partial,
        _convert_errors(str(path), file.parent),
    ):
        _require_unused(database, force=force)
        _copy(path, partial)
        outcome = _migrate(database, path, partial)
        old_file_lock.enter_context(_lock_old_file(file, force=force))
    return outcome


def _require_unused(database: SqliteDatabase, *, force: bool) -> None:
    try:
        with database.connection_context():
            require_unused(database, force=force)
    except DatabaseError as error:
        if not force:
            raise BackupError(
                f"The existing database cannot be read: {error}. To replace it, add --force."
            ) from error
    finally:
        close_all(database)


def _copy(path: Path, partial: Path) -> None:
    with (
        closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(partial)) as copy,
    ):
        source.backup(copy)
        _check(str(path), copy, "integrity_check")
        check_version(path, _migrations_in(copy))


def applied_migrations(path: Path) -> list[str]:
    """Return the names of the migrations in an SQLite file. Raises BackupError."""
    # With `immutable`, SQLite reads one file and creates no files beside it.
    uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            return _migrations_in(connection)
    except sqlite3.Error as error:
        raise BackupError(f"{path} cannot be read: {error}.") from error


def _migrations_in(connection: sqlite3.Connection) -> list[str]:
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    history = f"SELECT name FROM {HISTORY}"  # noqa: S608  a constant
    return [name for (name,) in connection.execute(history)] if HISTORY in tables else []


def _check(subject: str, connection: sqlite3.Connection, pragma: str) -> None:
    (answer,) = connection.execute(f"PRAGMA {pragma}(1)").fetchone()
    if answer != "ok":
        raise BackupError(f"{subject} is damaged: {answer.splitlines()[-1]}")


def _migrate(database: SqliteDatabase, path: Path, partial: Path) -> RestoreOutcome:
    """Apply the pending migrations to the new file, check it, and count its records."""
    new_database = open_database(sqlite_url(partial))
    models.database.initialize(new_database)
    try:
        with new_database.connection_context():
            check_scalr(path)
            migrations = migrate(new_database)
            check_schema(path, new_database)
            return RestoreOutcome.of_database(migrations)
    finally:
        close_all(new_database)
        models.database.initialize(database)


@contextmanager
def _lock_old_file(file: Path, *, force: bool) -> Iterator[None]:
    """Merge the -wal file into the old file, and lock the old file.

    A -wal file that remains would damage the new file. If the merge fails and `force` is true,
    delete the -wal file instead. Raises BackupError if another program has the old file open.
    """
    if not file.exists():
        yield
        return
    with closing(sqlite3.connect(file, timeout=LOCK_SECONDS, isolation_level=None)) as connection:
        try:
            # SQLite refuses to leave WAL mode while another connection exists.
            connection.execute("PRAGMA journal_mode = delete")
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            if _failure(error) is Failure.BUSY:
                raise BackupError(
                    "Another program uses the database. Stop the application on this machine, and "
                    "run the restore again."
                ) from error
            if not force:
                raise
            for ending in ("-wal", "-shm", "-journal"):
                file.with_name(f"{file.name}{ending}").unlink(missing_ok=True)
        yield


@contextmanager
def _convert_errors(subject: str, folder: Path) -> Iterator[None]:
    """Turn an error of SQLite into a BackupError. `folder` is where the new file is written."""
    try:
        yield
    except (sqlite3.Error, DatabaseError) as error:
        reasons = {
            Failure.FULL: f"The disk of {folder} is full. Nothing was changed.",
            Failure.DAMAGED: f"{subject} is damaged: {error}.",
        }
        other_reason = f"The database failed: {error}. Nothing was changed."
        failure = _failure(error) or Failure.UNREACHABLE
        raise BackupError(reasons.get(failure, other_reason)) from error


def _failure(error: BaseException) -> Failure | None:
    name = getattr(getattr(error, "orig", error), "sqlite_errorname", "")
    return SQLITE_FAILURES.get("_".join(name.split("_")[:2]))
