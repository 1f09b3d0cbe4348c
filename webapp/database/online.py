"""Steps of migrations that run while the application is in use.

Such a step delays requests only for a moment. The steps for indexes are in `indexes`.

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
"""The maximum number of IDs that one statement searches.

While a long statement reads from SQLite, the -wal file grows. The next writer would then have to
copy all of it to the database, which can take a second.
"""
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
    pause_factor: int = PAUSE_FACTOR,
) -> None:
    """Call `change` with the IDs of each batch of rows. Each call has its own transaction.

    Only rows that match the SQL condition `where` are in the batches. This function searches for
    the rows before the transaction begins, so nobody waits for the search. The faster the database,
    the larger the batches. Other writers use the pauses between the batches. On SQLite, a pause is
    at least `pause_factor` times as long as its batch.
    """
    last, size = 0, FIRST_BATCH
    seconds = BATCH_SECONDS if isinstance(db, SqliteDatabase) else POSTGRESQL_BATCH_SECONDS
    while last < (newest := newest_id(db, table)):
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
        pause = pause_factor * duration if isinstance(db, SqliteDatabase) else 0
        time.sleep(max(pause, SHORTEST_PAUSE))


def newest_id(db: Database, table: str) -> int:
    """Return the largest ID in a table, or 0 if the table is empty."""
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
