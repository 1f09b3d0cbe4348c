"""What the tables in `models.py` are made of: the database, its transactions and prepared queries,
instants, and the fixed words that a column may hold. Knows Peewee and nothing else."""

from __future__ import annotations

import enum
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

from peewee import SQL, DatabaseProxy, DataError, DateTimeField, IntegrityError, SqliteDatabase

database = DatabaseProxy()

DATABASE_REFUSALS = (IntegrityError, DataError)
"""A broken constraint; PostgreSQL calls a text that is too long an error of data."""


def transaction() -> Any:
    """A writing transaction. SQLite takes its write lock at the start, so that two writers wait
    for each other; one that starts as a reader would fail at its first write instead."""
    if isinstance(database.obj, SqliteDatabase):
        return database.atomic("IMMEDIATE")
    return database.atomic()


class Prepared:
    """A query whose SQL is written once, for what every page asks: Peewee takes longer to write one
    than the database takes to answer it."""

    def __init__(self, write: Callable[[SQL], Any]) -> None:
        """`write` gets the mark that stands for each of the values, and gives the query."""
        self._write = write
        self._written: dict[str, tuple[Any, str]] = {}

    def __call__(self, *values: Any) -> list[Any]:
        """What the query finds with these values, which are in its order and as the driver takes
        them."""
        mark = database.param
        if mark not in self._written:
            query = self._write(SQL(mark))
            sql, others = query.sql()
            if others:
                raise ValueError("A value stands in it that is no mark.")
            self._written[mark] = query, sql
        query, sql = self._written[mark]
        return list(query._get_cursor_wrapper(database.execute_sql(sql, values)))  # noqa: SLF001  Peewee's only way


def now() -> datetime:
    """The present instant, in UTC, in whole seconds: nothing here happens faster than a person
    clicks, and whole seconds read the same on every database."""
    return datetime.now(UTC).replace(microsecond=0)


def today() -> date:
    """The present day, in UTC."""
    return now().date()


class InstantField(DateTimeField):
    """An instant: stored in UTC without a zone, given and taken as an aware datetime."""

    def db_value(self, value: datetime | None) -> Any:
        if value is None:
            return None
        stored = value.astimezone(UTC).replace(tzinfo=None)
        return super().db_value(stored)  # type: ignore[no-untyped-call]

    def python_value(self, value: Any) -> datetime | None:
        return None if value is None else as_instant(value)


def as_instant(stored: Any) -> datetime:
    """An instant as it was stored. SQLite gives text, which Peewee would take longer to read."""
    naive = datetime.fromisoformat(stored) if isinstance(stored, str) else stored
    aware: datetime = naive.replace(tzinfo=UTC)
    return aware


class Level(enum.StrEnum):
    """The three levels of scope, from the top."""

    SCALR = "scalr"
    ACCOUNT = "account"
    ENVIRONMENT = "environment"

    @property
    def below(self) -> Level | None:
        """The level of the scopes directly below one of this level."""
        return {Level.SCALR: Level.ACCOUNT, Level.ACCOUNT: Level.ENVIRONMENT}.get(self)


class Role(enum.StrEnum):
    """What a person is at a scope, and so at every scope below it. From the least up."""

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        return list(Role).index(self)


class LifeCycle(enum.StrEnum):
    """How far an image is in its life, as its owner says."""

    ACTIVE = "active"
    DEPRECATED = "deprecated"
    """Still usable; whoever looks for an image is pointed elsewhere."""
    RETIRED = "retired"
    """Not to be used any more."""
