"""The database handle, transactions, prepared queries, and the base class of all tables.

Knows Peewee and nothing else of ours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from peewee import SQL, DatabaseProxy, DataError, IntegrityError, Model, SqliteDatabase

database = DatabaseProxy()

DATABASE_REFUSALS = (IntegrityError, DataError)
"""A broken constraint. PostgreSQL reports a text that is too long as a data error."""


class Table(Model):
    """The base class of all tables.

    `migrations/` creates the tables; these classes never do. A foreign key has no index of its own
    where a longer index begins with the same column.
    """

    class Meta:
        database = database
        legacy_table_names = False


def is_sqlite() -> bool:
    """Return whether the database is SQLite; the other possibility is PostgreSQL."""
    return isinstance(database.obj, SqliteDatabase)


def transaction() -> Any:
    """A writing transaction. SQLite takes its write lock at the start, so that two writers wait
    for each other; one that starts as a reader would fail at its first write instead."""
    if is_sqlite():
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
