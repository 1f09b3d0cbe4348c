"""Steps of migrations that run while the application is in use.

Such a step delays requests only for a moment. The exception is SQLite: nobody can write while it
creates an index of a large table.

A migration that uses these steps sets `atomic = False`. If it is killed, its next run starts from
the beginning, so each step may run twice. If `where` of `in_batches` selects only the rows that
still have to change, the next run skips the batches that are finished.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from peewee import Database, OperationalError, SqliteDatabase

BATCH_SECONDS = 0.05
"""How long the transaction of one batch should take on SQLite, where all other writers wait."""
POSTGRESQL_BATCH_SECONDS = 0.3
"""How long the transaction of one batch should take on PostgreSQL.

On PostgreSQL, another writer waits only if it changes a row of the batch.
"""
FIRST_BATCH = 50
"""The number of rows in the first batch."""
LARGEST_BATCH = 5_000
"""The maximum number of rows in a batch."""
IDS_PER_SEARCH = 20_000
"""The maximum number of IDs that one statement searches. A long statement would let SQLite's -wal
file grow."""
SHORTEST_PAUSE = 0.1
"""The minimum number of seconds between two batches."""
PAUSE_FACTOR = 5
"""On SQLite, the pause after a batch is at least this many times as long as the batch.

A writer that waits for SQLite tries again every 0.1 seconds, and another writer may take the lock
first each time. Therefore, longer pauses help the writer more than shorter batches do.
"""
LOCK_TIMEOUT = "500ms"
"""How long a change of a table waits for transactions that use the table. Meanwhile, transactions
that begin to use the table wait for the change."""
RETRY_SECONDS = 1.0
SORTING_PRAGMAS = {"cache_size": -2_000, "temp_store": 1, "threads": 4}
"""The pragmas while SQLite creates an index.

SQLite sorts the keys in pieces of the size of its cache. With these pragmas, the pieces fit into
the cache of the processor, are stored in files and are sorted by several threads. This takes half
the time.
"""
FREEING_PRAGMAS = {"secure_delete": 0}
"""The pragmas while SQLite drops an index.

Debian's SQLite overwrites deleted content with zeros. For an index of a million rows, SQLite would
write 80 MB while other writers wait. At first, the zeros would hide nothing, because the table
still contains the same values. If rows of the table are deleted later, the freed pages of the index
may still contain values of these rows, until SQLite uses the pages again.
"""
ANALYSIS_LIMIT = 1_000
"""The number of rows that SQLite reads for the statistics of an index, as its documentation
recommends. Reading all rows would take seconds."""
ATTEMPTS = 120
"""`change_table` tries at most this many times to lock a table, with RETRY_SECONDS in between."""


def add_columns(db: Database, table: str, columns: Mapping[str, str]) -> None:
    """Add columns with their SQL types. A default must be a constant, so that no row changes."""
    present = {column.name for column in db.get_columns(table)}
    for name, kind in columns.items():
        if name not in present:
            change_table(db, f"ALTER TABLE {table} ADD COLUMN {name} {kind}")


def change_table(db: Database, *statements: str) -> None:
    """Execute short statements that lock a table, in one transaction.

    On PostgreSQL, the statements may have to wait for a long transaction, and everybody else would
    then wait for the statements. So the statements give up after LOCK_TIMEOUT, and are tried again
    later.
    """
    for attempt in range(ATTEMPTS):
        try:
            with write_transaction(db):
                if not isinstance(db, SqliteDatabase):
                    db.execute_sql(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
                for sql in statements:
                    db.execute_sql(sql)
        except OperationalError as error:
            is_locked = getattr(getattr(error, "orig", None), "sqlstate", "") == "55P03"
            if not is_locked or attempt == ATTEMPTS - 1:
                raise
            time.sleep(RETRY_SECONDS)
        else:
            return


def create_index(db: Database, name: str, definition: str, *, unique: bool = False) -> None:
    """Create an index. `definition` is the SQL after ON.

    PostgreSQL builds the index while others write. On SQLite, writers wait.
    """
    kind = "UNIQUE INDEX" if unique else "INDEX"
    if isinstance(db, SqliteDatabase):
        # Read the table first, so that it is in the cache while writers wait.
        table = definition.split(maxsplit=1)[0]
        db.execute_sql(f"SELECT count(*) FROM {table} NOT INDEXED").fetchone()  # noqa: S608
        with _pragmas(db, {**SORTING_PRAGMAS, "analysis_limit": ANALYSIS_LIMIT}):
            start = time.monotonic()
            with write_transaction(db):
                db.execute_sql(f"CREATE {kind} IF NOT EXISTS {name} ON {definition}")
                _analyze_indexes(db, table)
            duration = time.monotonic() - start
        if duration > SHORTEST_PAUSE:
            time.sleep(duration)  # Let others write before the next step.
        return
    invalid = "SELECT 1 FROM pg_index WHERE indexrelid = to_regclass(%s) AND NOT indisvalid"
    if db.execute_sql(invalid, (name,)).fetchone():
        drop_index(db, name)  # An earlier attempt failed.
    db.execute_sql(f"CREATE {kind} CONCURRENTLY IF NOT EXISTS {name} ON {definition}")


def _analyze_indexes(db: SqliteDatabase, table: str) -> None:
    """Update the statistics of the table's indexes if an operator let SQLite collect statistics.

    Without statistics, SQLite would expect fewer rows in the new index than in the other indexes,
    and would prefer the new index. With ANALYSIS_LIMIT, the numbers are small, so the other indexes
    must be analyzed with the same limit. Call this in the transaction that creates the index, so
    that no reader sees the index without its statistics.
    """
    if db.execute_sql("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_stat1'").fetchone():
        db.execute_sql(f"ANALYZE {table}")


@contextmanager
def _pragmas(db: SqliteDatabase, values: Mapping[str, int]) -> Iterator[None]:
    """Set pragmas of the connection to `values` while the context is active."""
    before = {name: db.pragma(name) for name in values}
    try:
        for name, value in values.items():
            db.pragma(name, value)
        yield
    finally:
        for name, value in before.items():
            # SQLite reports the mode "fast" as 2, but would read the number 2 as 1.
            db.pragma(name, "fast" if (name, value) == ("secure_delete", 2) else value)


def drop_index(db: Database, name: str) -> None:
    if isinstance(db, SqliteDatabase):
        with _pragmas(db, FREEING_PRAGMAS):
            db.execute_sql(f"DROP INDEX IF EXISTS {name}")
        return
    db.execute_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")


def update_statistics(db: Database, table: str) -> None:
    """Make PostgreSQL update its statistics about the table now, instead of at some later time.

    Call this function after creating an index of an expression. Without statistics of the
    expression, PostgreSQL could choose slow plans.
    """
    if not isinstance(db, SqliteDatabase):
        db.execute_sql(f"ANALYZE {table}")


def in_batches(
    db: Database,
    table: str,
    change: Callable[[Sequence[int]], None],
    *,
    where: str = "true",
    params: Sequence[Any] = (),
) -> None:
    """Call `change` with the IDs of each batch of rows. Each call has its own transaction.

    Only rows that match the SQL condition `where` are in the batches. This function searches for
    the rows before the transaction begins, so nobody waits for the search. The faster the database,
    the larger the batches. Other writers use the pauses between the batches. On SQLite, a pause is
    longer than its batch.
    """
    last, size = 0, FIRST_BATCH
    seconds = BATCH_SECONDS if isinstance(db, SqliteDatabase) else POSTGRESQL_BATCH_SECONDS
    while last < (newest := _newest_id(db, table)):
        end = min(last + IDS_PER_SEARCH, newest)
        found = f"SELECT id FROM {table} WHERE id > {last} AND id <= {end} AND ({where})"  # noqa: S608
        query = f"{found} ORDER BY id LIMIT {size}"
        ids = [number for (number,) in db.execute_sql(query, tuple(params)).fetchall()]
        last = ids[-1] if len(ids) == size else end
        if not ids and end == newest:
            return  # Others may insert rows all the time, but new rows need no change.
        if not ids:
            continue
        with write_transaction(db):
            start = time.monotonic()  # The wait for other writers does not count.
            change(ids)
        duration = time.monotonic() - start
        factor = min(2.0, max(0.25, seconds / max(duration, 0.001)))
        size = int(min(LARGEST_BATCH, max(20, size * factor)))
        pause = PAUSE_FACTOR * duration if isinstance(db, SqliteDatabase) else 0
        time.sleep(max(pause, SHORTEST_PAUSE))


def _newest_id(db: Database, table: str) -> int:
    query = f"SELECT coalesce(max(id), 0) FROM {table}"  # noqa: S608  our own names
    return int(db.execute_sql(query).fetchone()[0])


def among(ids: Sequence[int]) -> str:
    """Return the SQL condition for the rows with these IDs."""
    return f"id IN ({', '.join(map(str, ids))})"


@contextmanager
def write_transaction(db: Any) -> Iterator[None]:
    """Begin a transaction that can write. On SQLite, lock the database immediately.

    Without this lock, SQLite may refuse the first change of a transaction that has already read.
    """
    with db.atomic("IMMEDIATE") if isinstance(db, SqliteDatabase) else db.atomic():
        yield
