"""The database handle, transactions, prepared queries, and the base class of all tables.

This module must not know any table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from peewee import (
    SQL,
    DatabaseProxy,
    DataError,
    IntegerField,
    IntegrityError,
    InterfaceError,
    InternalError,
    Model,
    OperationalError,
    SqliteDatabase,
)
from playhouse.pool import MaxConnectionsExceeded

from schema.failures import RecordGone, is_missing_reference

database = DatabaseProxy()

DATABASE_FAILURES = (OperationalError, InterfaceError, InternalError, MaxConnectionsExceeded)
"""The errors that mean that the database could not execute a statement.

`schema.failures.failure_of` returns the reason. `schema.failures.is_transient` returns whether
another attempt may succeed.
"""
DATABASE_REFUSALS = (IntegrityError, DataError)
"""The errors for a broken constraint. PostgreSQL reports a text that is too long as a DataError."""


class Table(Model):
    """The base class of all tables.

    Only `migrations/` creates tables. If a longer index begins with the column of a foreign key,
    the foreign key has no index of its own.
    """

    class Meta:
        database = database
        legacy_table_names = False


class RecordChanged(Exception):
    """Another transaction has changed or deleted the record since it was read."""

    def __init__(self, record: EditedTable) -> None:
        super().__init__(f"{record.reference} is no longer at revision {record.revision}")


class EditedTable(Table):
    """The base class of tables whose records people edit.

    Every update increments `revision`, so a revision identifies one version of the record.
    """

    id: int
    revision = IntegerField(default=1)

    @property
    def reference(self) -> str:
        """Return a text that identifies the record among all tables, such as 'image:12'."""
        return f"{self._meta.table_name}:{self.id}"

    def save(self, force_insert: bool = False, only: Any = None) -> Any:
        """Insert the record, or update it if the database still has the revision that was read.

        Raises RecordChanged if the database has another revision, or no such record.
        """
        if force_insert or self.id is None:
            return super().save(force_insert=force_insert, only=only)
        table = type(self)
        names = self.__data__ if only is None else [getattr(field, "name", field) for field in only]
        values = {name: self.__data__[name] for name in names if name != "id"}
        same_revision = (table.id == self.id) & (table.revision == self.revision)
        if table.update_all(**values).where(same_revision).execute() != 1:
            raise RecordChanged(self)
        self.revision += 1
        return 1

    @classmethod
    def update_all(cls, **values: Any) -> Any:
        """Return an UPDATE query for any number of records, which increments their revisions."""
        return cls.update({**values, "revision": cls.revision + 1})

    def reload(self, *, lock: bool = False) -> bool:
        """Read the values from the database again. Return False if the record is deleted.

        If `lock` is true, no other transaction can change the record until the current transaction
        ends. On SQLite, every `transaction` locks the whole database instead.
        """
        query = type(self).select().where(type(self).id == self.id)
        if lock and not is_sqlite():
            query = query.for_update()
        stored = query.get_or_none()
        if stored is None:
            return False
        for name, value in stored.__data__.items():
            setattr(self, name, value)
        return True


def is_sqlite() -> bool:
    """Return whether the database is SQLite. Otherwise, it is PostgreSQL."""
    return isinstance(database.obj, SqliteDatabase)


def database_clock() -> Any:
    """Return the SQL expression for the database's time, in seconds since 1970.

    On PostgreSQL, this is the time of the statement, not of the start of its transaction.
    """
    if is_sqlite():
        return SQL("((julianday('now') - 2440587.5) * 86400.0)")
    return SQL("extract(epoch FROM clock_timestamp())::double precision")


def delete_chunk(table: type[Table], condition: Any, size: int = 500) -> bool:
    """Delete at most `size` rows that meet `condition`. Return whether more such rows may exist.

    Deleting all rows with one statement would make other writers wait.
    """
    key: Any = table._meta.primary_key  # noqa: SLF001
    chunk = table.select(key).where(condition).limit(size)
    return bool(table.delete().where(key.in_(chunk)).execute() == size)


@contextmanager
def open_connection() -> Iterator[None]:
    """Open a connection for the body of the `with` statement.

    If this thread already has a connection, the body uses that connection, which stays open.
    """
    opened = database.connect(reuse_if_open=True)
    try:
        yield
    finally:
        if opened and not database.is_closed():
            database.close()


@contextmanager
def released_connection() -> Iterator[None]:
    """Return this thread's connection to the pool for the body of the `with` statement.

    Use this while the thread waits for something else, because there are more threads than
    connections. Inside a transaction, the connection stays open.
    """
    if database.is_closed() or database.in_transaction():
        yield
        return
    database.close()
    try:
        yield
    finally:
        database.connect(reuse_if_open=True)


@contextmanager
def transaction() -> Iterator[None]:
    """Run the `with` body in a transaction that writes.

    On SQLite, the transaction takes the write lock at its start, so that a second writer waits. A
    transaction that starts by reading would fail at its first write if another transaction has
    written since then. Raises RecordGone if the body saves a reference to a deleted record.
    """
    try:
        with database.atomic("IMMEDIATE") if is_sqlite() else database.atomic():
            yield
    except IntegrityError as error:
        if is_missing_reference(error):
            raise RecordGone from error
        raise


class Prepared:
    """A query whose SQL Peewee generates only once. Use it for queries that every page sends.

    Peewee takes longer to generate the SQL than the database takes to execute it.
    """

    def __init__(self, build_query: Callable[[SQL], Any]) -> None:
        """Store the function that builds the query.

        `build_query` receives the database's placeholder and uses it for every parameter.
        """
        self._build_query = build_query
        self._queries: dict[str, tuple[Any, str]] = {}
        """The query and its SQL, by placeholder."""

    def __call__(self, *params: Any) -> list[Any]:
        """Return the rows. `params` have the same order as the placeholders in the query."""
        placeholder = database.param
        if placeholder not in self._queries:
            query = self._build_query(SQL(placeholder))
            sql, other_params = query.sql()
            if other_params:
                raise ValueError("A prepared query contains a value that is not a placeholder.")
            self._queries[placeholder] = query, sql
        query, sql = self._queries[placeholder]
        return list(query._get_cursor_wrapper(database.execute_sql(sql, params)))  # noqa: SLF001  Peewee's only way
