"""Steps of migrations that run while people work: nobody waits for a step for long.

A migration that uses these steps sets `atomic = False`. If it is killed, its next run begins again,
so each step may run twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from peewee import Database, OperationalError, SqliteDatabase

BATCH_SECONDS = 0.1
"""How long the transaction of one batch should take."""
FIRST_BATCH, LARGEST_BATCH = 200, 20_000
LOCK_TIMEOUT = "500ms"
"""How long a change of a table waits for others, who wait behind it meanwhile."""
RETRY_SECONDS = 1.0
ATTEMPTS = 120


def add_columns(db: Database, table: str, columns: Mapping[str, str]) -> None:
    """Add columns with their SQL types. A default must be a constant, so that no row changes."""
    present = {column.name for column in db.get_columns(table)}
    for name, kind in columns.items():
        if name not in present:
            change_table(db, f"ALTER TABLE {table} ADD COLUMN {name} {kind}")


def change_table(db: Database, sql: str) -> None:
    """Execute a short statement that locks a table.

    While it waits for a long transaction, everybody else would wait for it. Therefore it gives up
    soon and tries again later.
    """
    if isinstance(db, SqliteDatabase):
        db.execute_sql(sql)
        return
    for attempt in range(ATTEMPTS):
        try:
            with db.atomic():
                db.execute_sql(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
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

    PostgreSQL builds it beside the writers. SQLite makes writers wait meanwhile.
    """
    kind = "UNIQUE INDEX" if unique else "INDEX"
    if isinstance(db, SqliteDatabase):
        db.execute_sql(f"CREATE {kind} IF NOT EXISTS {name} ON {definition}")
        return
    invalid = "SELECT 1 FROM pg_index WHERE indexrelid = to_regclass(%s) AND NOT indisvalid"
    if db.execute_sql(invalid, (name,)).fetchone():
        drop_index(db, name)  # An earlier attempt failed.
    db.execute_sql(f"CREATE {kind} CONCURRENTLY IF NOT EXISTS {name} ON {definition}")


def drop_index(db: Database, name: str) -> None:
    concurrently = "" if isinstance(db, SqliteDatabase) else "CONCURRENTLY "
    db.execute_sql(f"DROP INDEX {concurrently}IF EXISTS {name}")


def in_batches(db: Database, table: str, change: Callable[[int, int], None]) -> None:
    """Call `change` with the first and the last ID of each batch of rows, in its own transaction.

    The size of a batch follows the speed of the database. Others work in the pauses.
    """
    last, size = 0, FIRST_BATCH
    while True:
        query = f"SELECT max(id) FROM (SELECT id FROM {table} WHERE id > {last} ORDER BY id LIMIT {size}) AS batch"  # noqa: E501, S608  our own names
        (end,) = db.execute_sql(query).fetchone()
        if end is None:
            return
        begun = time.monotonic()
        with write_transaction(db):
            change(last + 1, end)
        spent = time.monotonic() - begun
        last = end
        factor = min(2.0, max(0.25, BATCH_SECONDS / max(spent, 0.001)))
        size = int(min(LARGEST_BATCH, max(20, size * factor)))
        time.sleep(min(spent, BATCH_SECONDS))


@contextmanager
def write_transaction(db: Any) -> Iterator[None]:
    """Begin a transaction as a writer, so that SQLite need not refuse its first change."""
    with db.atomic("IMMEDIATE") if isinstance(db, SqliteDatabase) else db.atomic():
        yield
