"""Classify errors of the database driver. Peewee stores the driver's error in `orig`."""

from __future__ import annotations

from enum import Enum

from peewee import DatabaseError, IntegrityError, InterfaceError, OperationalError
from playhouse.pool import MaxConnectionsExceeded


class Failure(Enum):
    """Why the database could not execute a statement, although the statement is valid."""

    BUSY = "busy"
    """The statement waited too long for a lock or took too long, or all connections are in use."""
    UNREACHABLE = "unreachable"
    """The server does not answer or closed the connection, or the file cannot be opened."""
    FULL = "full"
    """The disk is full or has failed."""
    READ_ONLY = "read-only"
    DAMAGED = "damaged"
    """The file is not a database, or parts of it have been overwritten."""


SQLITE_FAILURES = {
    "SQLITE_BUSY": Failure.BUSY,
    "SQLITE_LOCKED": Failure.BUSY,
    "SQLITE_INTERRUPT": Failure.BUSY,
    "SQLITE_NOMEM": Failure.BUSY,
    "SQLITE_PROTOCOL": Failure.BUSY,
    "SQLITE_CANTOPEN": Failure.UNREACHABLE,
    "SQLITE_PERM": Failure.UNREACHABLE,
    "SQLITE_FULL": Failure.FULL,
    "SQLITE_IOERR": Failure.FULL,
    "SQLITE_READONLY": Failure.READ_ONLY,
    "SQLITE_CORRUPT": Failure.DAMAGED,
    "SQLITE_NOTADB": Failure.DAMAGED,
}
"""Failures by the first two parts of the error's name, for example `SQLITE_BUSY`."""
SQLSTATE_FAILURES = {
    "08": Failure.UNREACHABLE,  # connection exceptions
    "25006": Failure.READ_ONLY,  # read_only_sql_transaction
    "25P03": Failure.UNREACHABLE,  # idle_in_transaction_session_timeout
    "28": Failure.UNREACHABLE,  # invalid authorization
    "3D000": Failure.UNREACHABLE,  # invalid_catalog_name: no such database
    "40001": Failure.BUSY,  # serialization_failure
    "40P01": Failure.BUSY,  # deadlock_detected
    "42501": Failure.READ_ONLY,  # insufficient_privilege, also for files that cannot be written
    "53": Failure.BUSY,  # insufficient resources, such as connections
    "53100": Failure.FULL,  # disk_full
    "55P03": Failure.BUSY,  # lock_not_available
    "57": Failure.UNREACHABLE,  # operator intervention, such as a restart
    "57014": Failure.BUSY,  # query_canceled
    "58": Failure.FULL,  # system errors, such as io_error
    "XX001": Failure.DAMAGED,  # data_corrupted
    "XX002": Failure.DAMAGED,  # index_corrupted
}
"""Failures by SQLSTATE, or by its class, which is the first two characters."""


class RecordGone(Exception):
    """A record cannot be saved, because it refers to a record that another transaction deleted."""


class OutcomeUnknown(OperationalError):
    """The connection was lost during a commit, so the change may or may not have been saved."""

    def __init__(self, error: OperationalError) -> None:
        super().__init__(*error.args)
        self.orig = getattr(error, "orig", None)


def is_missing_reference(error: IntegrityError) -> bool:
    """Return whether the error means that a record refers to another record that does not exist."""
    if _sqlstate(error) is not None:
        return _sqlstate(error) == "23503"
    return "foreign key" in str(error).lower()


def is_transient(error: BaseException) -> bool:
    """Return whether the same transaction may succeed if it is tried again."""
    return failure_of(error) not in {None, Failure.DAMAGED}


def failure_of(error: BaseException) -> Failure | None:
    """Return why the database could not execute a valid statement.

    Return None for all other errors, such as a broken constraint or invalid SQL.
    """
    if isinstance(error, MaxConnectionsExceeded):
        return Failure.BUSY
    if not isinstance(error, DatabaseError | InterfaceError):
        return None
    failure = _failure_of_driver(error)
    if failure is None and isinstance(error, OperationalError):
        # After some failures, SQLite has no savepoint to roll back to. The rollback then raises a
        # second error, and the context of the second error leads to the first.
        first = error.__context__.__context__ if error.__context__ else None
        return _failure_of_driver(first) if isinstance(first, DatabaseError) else None
    return failure


def _failure_of_driver(error: DatabaseError | InterfaceError) -> Failure | None:
    driver_error = getattr(error, "orig", None)
    name = getattr(driver_error, "sqlite_errorname", None)
    if name is not None:
        # The name of an extended error, such as SQLITE_BUSY_SNAPSHOT, begins with the name of the
        # basic error, such as SQLITE_BUSY.
        return SQLITE_FAILURES.get("_".join(str(name).split("_")[:2]))
    sqlstate = _sqlstate(error)
    if sqlstate is None:
        # The driver itself noticed that the connection is closed, or could not open one.
        may_be_about_connection = isinstance(error, OperationalError | InterfaceError)
        is_from_postgresql = hasattr(driver_error, "sqlstate")
        return Failure.UNREACHABLE if may_be_about_connection and is_from_postgresql else None
    return SQLSTATE_FAILURES.get(sqlstate) or SQLSTATE_FAILURES.get(sqlstate[:2])


def _sqlstate(error: BaseException) -> str | None:
    sqlstate: str | None = getattr(getattr(error, "orig", None), "sqlstate", None)
    return sqlstate
