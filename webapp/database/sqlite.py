"""Connections to an SQLite file."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from peewee import OperationalError, SqliteDatabase
from playhouse.pool import PooledSqliteDatabase

from models import Failure, failure_of
from webapp.database import outages
from webapp.database.outages import PAUSE_SECONDS, Breaker
from webapp.database.pool import Pool
from webapp.database.private_files import create_private_file
from webapp.database.waiting import statement_seconds

LOCK_SECONDS = 10.0
"""The maximum time in seconds that a job or command waits for a lock.

A request waits at most `waiting.REQUEST_SECONDS`.
"""
SHORT_LOCK_SECONDS = 0.25
"""The seconds that most threads wait for a lock while another program holds it for long.

See `SqlitePool.begin`.
"""


class FileConnection(sqlite3.Connection):
    """A connection that stores the identity of the SQLite file that it has opened."""

    file_id: tuple[int, int] | None = None


class SqlitePool(Pool, PooledSqliteDatabase):
    """Connections to an SQLite file."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._has_opened = False
        self._lock_breaker = Breaker(None, PAUSE_SECONDS, LOCK_SECONDS)

    def _connect(self) -> Any:
        connection = super()._connect()
        _wait_for_locks(connection, _lock_seconds())
        return connection

    def _open(self) -> Any:
        if self._has_opened and self._file_id() is None:
            # Without this error, SQLite would create an empty file.
            error = sqlite3.OperationalError("the database file is missing")
            error.sqlite_errorname = "SQLITE_CANTOPEN"
            raise error
        if self.database != ":memory:":
            with suppress(OSError):  # If this fails, SQLite fails too, with a better message.
                create_private_file(Path(self.database))
        connection = cast(Any, SqliteDatabase)._connect(self)  # noqa: SLF001  without the pool
        connection.file_id = self._file_id()
        self._has_opened = True
        outages.UNREACHABLE.record_success()
        return connection

    def _file_id(self) -> tuple[int, int] | None:
        """Return the device and inode of the database file, or None if the file is missing."""
        if self.database == ":memory:":
            return (0, 0)
        try:
            status = Path(self.database).stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _is_closed(self, connection: Any) -> bool:
        """Return whether the file was deleted or replaced after the connection opened it.

        If so, close the connection, because later changes would be saved in the old file, and lost.
        """
        if connection.file_id == self._file_id():
            return False
        self._close_raw(connection)
        return True

    def begin(self, lock_type: str | None = None) -> None:
        """Begin a transaction.

        If a thread did not get the lock in time, another program probably holds the lock for long.
        Until a transaction succeeds, at most one thread at a time waits for the lock as usual. All
        other threads wait only for SHORT_LOCK_SECONDS, so that waiting requests do not occupy all
        threads.
        """
        if not self._lock_breaker.may_call():
            _wait_for_locks(self.connection(), min(_lock_seconds(), SHORT_LOCK_SECONDS))
        try:
            super().begin(lock_type)
        except OperationalError as error:
            if failure_of(error) is Failure.BUSY:
                self._lock_breaker.record_failure(error)
            raise

    def commit(self) -> None:
        super().commit()
        self._lock_breaker.record_success()

    def rollback(self) -> None:
        """Roll back, unless SQLite has already done this, for example because the disk is full."""
        if not self._state.closed and not self._state.conn.in_transaction:
            return
        super().rollback()


def _lock_seconds() -> float:
    return min(statement_seconds(), LOCK_SECONDS)


def _wait_for_locks(connection: Any, seconds: float) -> None:
    connection.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")
