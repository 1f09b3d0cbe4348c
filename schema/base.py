"""The database handle, transactions, prepared queries, and the base class of all tables.

It must not know any table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


@contextmanager
def open_connection() -> Iterator[None]:
    """Open a connection for the body, unless this thread has one, which then stays open."""
    opened = database.connect(reuse_if_open=True)
    try:
        yield
    finally:
        if opened and not database.is_closed():
            database.close()


def transaction() -> Any:
    """Return a context manager for a transaction that writes.

    SQLite takes its write lock at the start, so that two writers wait for each other. A
    transaction that starts as a reader would fail at its first write instead.
    """
    if is_sqlite():
        return database.atomic("IMMEDIATE")
    return database.atomic()


class Prepared:
    """A query whose SQL Peewee writes only once, for queries that every page sends.

    Peewee takes longer to write a query than the database takes to answer it.
    """

    def __init__(self, write: Callable[[SQL], Any]) -> None:
        """`write` receives the placeholder for each parameter, and returns the query."""
        self._write = write
        self._written: dict[str, tuple[Any, str]] = {}

    def __call__(self, *params: Any) -> list[Any]:
        """Return the rows for these parameters, in the order of their placeholders."""
        placeholder = database.param
        if placeholder not in self._written:
            query = self._write(SQL(placeholder))
            sql, other_params = query.sql()
            if other_params:
                raise ValueError("A prepared query holds a value that is not a placeholder.")
            self._written[placeholder] = query, sql
        query, sql = self._written[placeholder]
        return list(query._get_cursor_wrapper(database.execute_sql(sql, params)))  # noqa: SLF001  Peewee's only way
