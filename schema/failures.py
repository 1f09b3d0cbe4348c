"""Classify errors of the database driver. Peewee stores the driver's error in `orig`."""

from __future__ import annotations

from typing import Any

from peewee import IntegrityError, InterfaceError, OperationalError
from playhouse.pool import MaxConnectionsExceeded

TRANSIENT_SQLSTATES = frozenset(
    {
        "40001",  # serialization_failure
        "40P01",  # deadlock_detected
        "53300",  # too_many_connections
        "55P03",  # lock_not_available
        "57P01",  # admin_shutdown
        "57P02",  # crash_shutdown
        "57P03",  # cannot_connect_now
    }
)
CONNECTION_SQLSTATES = "08"
"""The first characters of all codes that mean a lost connection."""
TRANSIENT_SQLITE = frozenset({"SQLITE_BUSY", "SQLITE_LOCKED"})


class RecordGone(Exception):
    """A record cannot be saved, because it refers to a record that was deleted meanwhile."""


def is_missing_reference(error: IntegrityError) -> bool:
    """Return whether the error means that a record refers to another record that does not exist."""
    if _sqlstate(error) is not None:
        return _sqlstate(error) == "23503"
    return "foreign key" in str(error).lower()


def is_transient(error: BaseException) -> bool:
    """Return whether the same transaction may succeed if it is tried again."""
    if isinstance(error, MaxConnectionsExceeded):
        return True
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    name = getattr(_driver_error(error), "sqlite_errorname", None)
    if name is not None:
        return any(str(name).startswith(transient) for transient in TRANSIENT_SQLITE)
    sqlstate = _sqlstate(error)
    if sqlstate is None:
        # The driver itself noticed that the connection is closed, or could not open one.
        return hasattr(_driver_error(error), "sqlstate")
    return sqlstate in TRANSIENT_SQLSTATES or sqlstate.startswith(CONNECTION_SQLSTATES)


def _driver_error(error: BaseException) -> Any:
    return getattr(error, "orig", None)


def _sqlstate(error: BaseException) -> str | None:
    sqlstate: str | None = getattr(_driver_error(error), "sqlstate", None)
    return sqlstate
