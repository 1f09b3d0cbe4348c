"""The database handle, transactions, prepared queries, and the base class of all tables.

This module must not know any table.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from peewee import (
    SQL,
    DatabaseProxy,
    DataError,
    Function,
    IntegerField,
    IntegrityError,
    InterfaceError,
    InternalError,
    JSONField,
    Model,
    Node,
    OperationalError,
    SqliteDatabase,
    Value,
    fn,
)
from playhouse.pool import MaxConnectionsExceeded

from schema.failures import RecordGone, is_missing_reference

database = DatabaseProxy()

DATABASE_FAILURES = (OperationalError, InterfaceError, InternalError, MaxConnectionsExceeded)
"""The classes of errors for statements that the database could not execute.

`schema.failures.failure_of` returns the reason, or None if the statement itself is wrong.
`schema.failures.is_transient` returns whether another attempt may succeed.
"""
DATABASE_REFUSALS = (IntegrityError, DataError)
"""The classes of errors for a broken constraint.

PostgreSQL raises DataError for a text that is too long for its column.
"""


class Table(Model):
    """The base class of all tables.

    Only `migrations/` creates tables. A foreign key may have `index=False` only if it needs no
    index of its own: either its column is the first column of a longer index, or no query searches
    by its column. An example of the second case is `created_by`.
    """

    class Meta:
        database = database
        legacy_table_names = False

    def save(self, force_insert: bool = False, only: Any = None) -> Any:
        """Insert the record, or update it, as Peewee does.

        Peewee itself would generate the SQL again for each record. For most INSERT statements, this
        method reuses the SQL of an earlier INSERT with the same columns.
        """
        record: Any = self  # The type stubs of Peewee lack what this method needs.
        meta, values = record._meta, record.__data__.copy()  # noqa: SLF001
        record._populate_unsaved_relations(values)  # noqa: SLF001
        gets_id = meta.auto_increment and record.get_id() is None
        if gets_id:
            values.pop(meta.primary_key.name, None)
        is_insert = only is None and (force_insert or record.get_id() is None)
        # If a column with a default has no value, Peewee adds the default to the SQL. The default
        # may differ from record to record, so this SQL cannot be used again.
        has_defaults = {field.name for field in meta.defaults} <= values.keys()
        has_expressions = any(isinstance(value, Node) for value in values.values())
        if not is_insert or not has_defaults or has_expressions:
            return super().save(force_insert=force_insert, only=only)
        sql, params = _insert_of(type(self), tuple(values), is_sqlite())
        cursor = database.execute_sql(sql, _bind(params, values))
        if gets_id:
            record._pk = cursor.lastrowid if is_sqlite() else cursor.fetchone()[0]  # noqa: SLF001
        record._dirty.clear()  # noqa: SLF001
        return 1


class RecordChanged(Exception):
    """Another transaction has changed or deleted the record since it was read."""

    def __init__(self, record: EditedTable) -> None:
        super().__init__(f"{record.reference} is no longer at revision {record.revision}")


class EditedTable(Table):
    """The base class of tables whose records people edit.

    Each change of a record with `save` or `update_all` increments its `revision`. So a revision
    identifies one version of the values that people can edit.
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
        names = self.__data__ if only is None else [getattr(field, "name", field) for field in only]
        values = {name: self.__data__[name] for name in names if name not in {"id", "revision"}}
        sql, params = _update_of(type(self), tuple(values), is_sqlite())
        values |= {"id": self.id, "revision": self.revision}
        if database.execute_sql(sql, _bind(params, values)).rowcount != 1:
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
        sql = _select_by_id(type(self), lock and not is_sqlite(), database.param)
        row = database.execute_sql(sql, (self.id,)).fetchone()
        if row is None:
            return False
        for field, value in zip(self._meta.sorted_fields, row, strict=True):
            setattr(self, field.name, field.python_value(value))
        return True


def fetch_tuples(query: Any) -> list[tuple[Any, ...]]:
    """Return the rows of a query, with the values as the database returns them.

    Use this function for very many rows, because Peewee takes longer to convert the values than the
    database takes to find them.
    """
    rows: list[tuple[Any, ...]] = database.execute_sql(*query.sql()).fetchall()
    return rows


def is_sqlite() -> bool:
    """Return whether the database is SQLite. Otherwise, it is PostgreSQL."""
    return isinstance(database.obj, SqliteDatabase)


def database_clock() -> Any:
    """Return the SQL expression for the database's time, in seconds since 1970.

    On PostgreSQL, this is the time at which the database evaluates the expression, not the time at
    which the transaction started.
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
    """Give this thread's connection back to the pool during the body of the `with` statement.

    Use this while the thread waits for something other than the database, because there can be more
    threads than connections. Inside a transaction, the connection stays open.
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

    On SQLite, the transaction takes the write lock at its start, so that a second writer waits.
    Without the lock, a transaction that reads first would fail at its first write if another
    transaction wrote in between.

    Raises RecordGone if the body saves a reference to a deleted record.
    """
    calls = _postponed_calls.calls
    first = len(calls)
    _postponed_calls.depth += 1
    try:
        with database.atomic("IMMEDIATE") if is_sqlite() else database.atomic():
            yield
    except BaseException as error:
        del calls[first:]
        if isinstance(error, IntegrityError) and is_missing_reference(error):
            raise RecordGone from error
        raise
    finally:
        _postponed_calls.depth -= 1
    if not _postponed_calls.depth:
        _postponed_calls.calls = []
        for call in calls:
            call()


def after_commit(call: Callable[[], None]) -> None:
    """Call a function after the current transaction has committed.

    Without a transaction, the function is called immediately. If the body of the current
    `transaction`, or of one around it, raises an error, the function is not called.
    """
    if _postponed_calls.depth:
        _postponed_calls.calls.append(call)
    else:
        call()


class _PostponedCalls(threading.local):
    """The calls that wait for the end of this thread's transaction."""

    def __init__(self) -> None:
        self.depth = 0
        self.calls: list[Callable[[], None]] = []


_postponed_calls = _PostponedCalls()


class Prepared:
    """A query for which Peewee generates SQL only once. Use it for queries that are sent often.

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


@lru_cache(maxsize=64)
def _select_by_id(table: type[EditedTable], lock: bool, placeholder: str) -> str:
    """Return the SQL that selects all columns of one record and, with `lock`, locks the record."""
    query = table.select().where(table.id == SQL(placeholder))
    sql: str = (query.for_update() if lock else query).sql()[0]
    return sql


class PreparedWrite:
    """An UPDATE for which Peewee generates SQL only once. Use it for statements that jobs repeat.

    `build_query` receives a placeholder for each field in `names`, by the name of the field.
    """

    def __init__(
        self,
        table: type[Table],
        names: Iterable[str],
        build_query: Callable[[Mapping[str, Any]], Any],
    ) -> None:
        self._table, self._names, self._build_query = table, tuple(names), build_query
        self._statements: dict[bool, tuple[str, list[Any]]] = {}

    def __call__(self, values: Mapping[str, Any]) -> int:
        """Execute the statement with the values of the fields. Return how many rows changed."""
        kind = is_sqlite()
        if kind not in self._statements:
            query = self._build_query(_placeholders(self._table, self._names))
            self._statements[kind] = query.sql()
        sql, params = self._statements[kind]
        return int(database.execute_sql(sql, _bind(params, values)).rowcount)


class _Parameter:
    """A placeholder for the value of a field, among the parameters of a statement."""

    def __init__(self, field: Any) -> None:
        self.field = field


def _placeholders(table: type[Table], names: Iterable[str]) -> dict[str, Any]:
    placeholders = {}
    for name in names:
        field = table._meta.fields[name]  # noqa: SLF001  Peewee has no other way
        value = Value(_Parameter(field), converter=False)
        is_json = isinstance(field, JSONField) and is_sqlite()
        placeholders[name] = fn.json(value) if is_json else value
    return placeholders


def _bind(params: Iterable[Any], values: Mapping[str, Any]) -> list[Any]:
    """Return the parameters of a statement. `values` has the value of each field by name."""
    bound_params = []
    for param in params:
        if isinstance(param, _Parameter):
            db_value: Any = param.field.db_value(values[param.field.name])
            # On SQLite, Peewee wraps JSON in a call of `json()`. The statement already contains
            # this call, so only the argument of the call is a parameter.
            is_call = isinstance(db_value, Function) and db_value.arguments
            bound_params.append(db_value.arguments[0] if is_call else db_value)
        else:
            bound_params.append(param)
    return bound_params


@lru_cache(maxsize=128)
def _insert_of(
    table: type[Table], names: tuple[str, ...], _is_sqlite: bool
) -> tuple[str, list[Any]]:
    """Return the SQL of an INSERT with these columns, and its parameters for `_bind`."""
    statement: tuple[str, list[Any]] = table.insert(**_placeholders(table, names)).sql()
    return statement


@lru_cache(maxsize=128)
def _update_of(
    table: type[EditedTable], names: tuple[str, ...], _is_sqlite: bool
) -> tuple[str, list[Any]]:
    """Return the SQL of an UPDATE of one record at one revision, and its parameters."""
    key = _placeholders(table, ("id", "revision"))
    same_revision = (table.id == key["id"]) & (table.revision == key["revision"])
    query = table.update_all(**_placeholders(table, names)).where(same_revision)
    statement: tuple[str, list[Any]] = query.sql()
    return statement
