"""Open the database at a URL, migrate its schema, and track its outages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from flask import Flask
from peewee import Database, PeeweeException
from playhouse.pool import PooledDatabase

import models
from models import Failure, failure_of
from webapp.database import outages
from webapp.database.migrating import MIGRATIONS, load_migration, migrate, pending_migrations
from webapp.database.opening import open_database, parse_postgresql, require_tls
from webapp.database.outages import first_line
from webapp.database.waiting import BACKGROUND_SECONDS, REQUEST_SECONDS, limit_statements
from webapp.settings import SettingsError

__all__ = [
    "MIGRATIONS",
    "close_all",
    "connection_for_command",
    "init_app",
    "load_migration",
    "migrate",
    "open_database",
    "parse_postgresql",
    "pending_migrations",
    "record_failure",
    "require_tls",
]


def close_all(database: Database) -> None:
    """Close this thread's connection and the idle connections of the pool."""
    if not database.is_closed():
        database.close()
    if isinstance(database, PooledDatabase):
        database.close_all()


def init_app(app: Flask) -> None:
    """Open a connection before each request and release it afterwards."""

    @app.before_request
    def _connect() -> None:
        limit_statements(REQUEST_SECONDS)
        models.database.connect(reuse_if_open=True)

    @app.teardown_request
    def _close(_error: BaseException | None) -> None:
        limit_statements(BACKGROUND_SECONDS)
        if not models.database.is_closed():
            models.database.close()


def record_failure(error: BaseException) -> Failure | None:
    """Record a failure of the database and return its reason. For any other error, return None.

    Log the beginning of an outage. Also close this thread's connection and the idle connections,
    unless the database is only busy. The connections may be lost, or the file may have been
    read-only when they were opened.
    """
    failure = failure_of(error)
    if failure is None:
        return None
    outages.database_failed(failure, error)
    if failure is not Failure.BUSY:
        with suppress(PeeweeException):
            models.database.obj.manual_close()
        models.database.obj.close_idle()
    return failure


@contextmanager
def connection_for_command() -> Iterator[None]:
    """Open a connection for a command. Raises SettingsError if the database fails."""
    outages.log.disabled = True  # The message of SettingsError is enough.
    problem = "The database at DATABASE_URL cannot be opened"
    try:
        models.database.connect(reuse_if_open=True)
        problem = "The database failed, so the command did not finish"
        yield
    except PeeweeException as error:
        if failure_of(error) is None:
            raise
        raise SettingsError(f"{problem}: {first_line(error)}") from error
    finally:
        outages.log.disabled = False
        with suppress(PeeweeException):
            models.database.close()
