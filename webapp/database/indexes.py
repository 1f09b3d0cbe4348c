"""Create and drop indexes while the application is in use.

PostgreSQL builds an index while others write. SQLite builds an index in one transaction, and nobody
else can write during this time: one to two seconds for a million rows. So if others write to the
database, a large index is created in these steps:

1. Create a table for copies of the indexed columns, and create the index for this empty table.
   From then on, triggers repeat every change in the copies.
2. Copy the rows in batches. SQLite adds the copies to the index.
3. Compare the copies with the rows. If they differ, create the index in one transaction.
4. Make the index belong to the original table. An entry of an index consists of the values of the
   columns and the ID of the row, and both are the same in the two tables. Therefore, this step only
   changes the row of the index in the schema table, as SQLite's documentation describes it for
   changes that do not affect the content of the file:
   https://www.sqlite.org/lang_altertable.html#otheralter
5. Drop the copies.

If a migration is killed during these steps, its next run continues with the batches that are
missing. If nobody else writes then, it creates the index in one transaction.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property

from peewee import Database, IntegrityError, OperationalError, SqliteDatabase

from webapp.database import online

LARGE_INDEX = 100_000
"""The number of rows from which an index is created in batches if others write. SQLite creates
smaller indexes in about a tenth of a second."""
QUIET_SECONDS = 2.0
"""If nobody else writes for this long, a large index is created in one transaction too.

One transaction is much faster than batches. For example, nobody else writes while the application
is stopped.
"""
SORTING_PRAGMAS = {"cache_size": -2_000, "temp_store": 1, "threads": 4}
"""The pragmas while SQLite creates an index in one transaction.

SQLite sorts the keys in pieces of the size of its cache. With these pragmas, the pieces fit into
the cache of the processor, are stored in files and are sorted by several threads. This takes half
the time.
"""
COPYING_PRAGMAS = {"cache_size": -64_000, "wal_autocheckpoint": 10_000}
"""The pragmas while rows are copied, in KiB and in pages.

Each batch changes pages in all parts of the index. With a larger cache and fewer checkpoints by
this connection, SQLite reads and writes each page less often.
"""
COPYING_PAUSE_FACTOR = 8
"""The pause after a batch of copies is at least this many times as long as the batch.

With a shorter pause, a writer sometimes waited for a second: each batch delays all writers, and
then they also wait for each other.
"""
COPIED_TABLE = re.compile(r'"id" INTEGER NOT NULL PRIMARY KEY(?! DESC)')
"""The primary key of tables that can be copied: the ID of a row is also its row ID."""
NOT_COPIED = re.compile(r"\b(COLLATE|GENERATED|STRICT)\b", re.IGNORECASE)
"""If the definition of a table contains one of these words, the table cannot be copied. So its
indexes are created in one transaction."""
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


def create_index(db: Database, name: str, definition: str, *, unique: bool = False) -> None:
    """Create an index. `definition` is the SQL after ON.

    While this function runs, nobody may change an ID or replace rows with REPLACE. Raises
    IntegrityError if a unique index would contain a value twice.
    """
    kind = "UNIQUE INDEX" if unique else "INDEX"
    if isinstance(db, SqliteDatabase):
        _SqliteIndex(db, kind, name, *definition.split(maxsplit=1)).create()
        return
    invalid = "SELECT 1 FROM pg_index WHERE indexrelid = to_regclass(%s) AND NOT indisvalid"
    if db.execute_sql(invalid, (name,)).fetchone():
        drop_index(db, name)  # An earlier attempt failed.
    db.execute_sql(f"CREATE {kind} CONCURRENTLY IF NOT EXISTS {name} ON {definition}")


def drop_index(db: Database, name: str) -> None:
    if not isinstance(db, SqliteDatabase):
        db.execute_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        return
    _read_index(db, name)
    with _pragmas(db, FREEING_PRAGMAS), online.write_transaction(db):
        db.execute_sql(f"DROP INDEX IF EXISTS {name}")
        _drop_copies(db, name)


def _read_index(db: SqliteDatabase, name: str) -> None:
    """Read a whole index, so that it is in the cache when the index is dropped.

    To drop the index, SQLite reads it again, while other writers wait.
    """
    query = "SELECT tbl_name, sql FROM sqlite_master WHERE type = 'index' AND name = ?"
    if found := db.execute_sql(query, (name,)).fetchone():
        table, sql = found
        condition = sql.partition(" WHERE ")[2] or "true"
        # SQLite would read another index for count(*).
        read = f"SELECT sum(1) FROM {table} INDEXED BY {name} WHERE {condition}"
        with suppress(OperationalError):  # SQLite cannot use the index for this condition.
            db.execute_sql(read).fetchone()


@dataclass(frozen=True)
class _SqliteIndex:
    """A new index of an SQLite database."""

    db: SqliteDatabase
    kind: str
    """INDEX or UNIQUE INDEX."""
    name: str
    table: str
    columns: str
    """The SQL after the table: the columns or expressions, and the condition of the index."""

    def create(self) -> None:
        if self._owner() == self.table:
            self._discard_copies()  # An earlier run may have been killed before it did this.
        elif self._is_large() and self._can_be_copied() and self._others_write():
            self._create_with_copies()
        else:
            self._create_at_once()

    def _discard_copies(self) -> None:
        with _pragmas(self.db, FREEING_PRAGMAS), online.write_transaction(self.db):
            _drop_copies(self.db, self.name)

    def _owner(self) -> str:
        """Return the name of the table to which the index belongs, or '' if there is no index."""
        query = "SELECT tbl_name FROM sqlite_master WHERE type = 'index' AND name = ?"
        found = self.db.execute_sql(query, (self.name,)).fetchone()
        return str(found[0]) if found else ""

    def _is_large(self) -> bool:
        condition = self.columns.partition(" WHERE ")[2] or "true"
        rows = f"SELECT 1 FROM {self.table} NOT INDEXED WHERE {condition} LIMIT {LARGE_INDEX}"
        count = self.db.execute_sql(f"SELECT count(*) FROM ({rows})").fetchone()[0]
        return bool(count == LARGE_INDEX)

    def _can_be_copied(self) -> bool:
        """Return whether the index of the copies would be equal to the index of the table."""
        query = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?"
        sql = self.db.execute_sql(query, (self.table,)).fetchone()[0]
        smallest = self.db.execute_sql(f"SELECT min(id) FROM {self.table}").fetchone()[0]
        is_quoted = any(mark in self.columns for mark in '"`[')
        has_copied_key = COPIED_TABLE.search(sql) and not NOT_COPIED.search(sql)
        return bool(has_copied_key and self._types and smallest > 0 and not is_quoted)

    def _others_write(self) -> bool:
        """Wait for QUIET_SECONDS, and return whether other connections changed the database."""
        before = self.db.pragma("data_version")
        time.sleep(QUIET_SECONDS)
        return bool(self.db.pragma("data_version") != before)

    def _create_with_copies(self) -> None:
        try:
            with _pragmas(self.db, COPYING_PRAGMAS):
                self._create_for_copies()
                self._copy_rows()
        except IntegrityError:
            self._discard_copies()
            raise
        if self._has_same_rows():
            self._move_to_table()
            self._discard_copies()
        else:
            self._create_at_once()

    def _create_at_once(self) -> None:
        # Read the table first, so that it is in the cache while writers wait.
        self.db.execute_sql(f"SELECT count(*) FROM {self.table} NOT INDEXED").fetchone()
        pragmas = {**SORTING_PRAGMAS, **FREEING_PRAGMAS, "analysis_limit": ANALYSIS_LIMIT}
        with _pragmas(self.db, pragmas):
            start = time.monotonic()
            with online.write_transaction(self.db):
                _drop_copies(self.db, self.name)
                self.db.execute_sql(self._sql(self.table))
                _analyze_indexes(self.db, self.table)
            duration = time.monotonic() - start
        if duration > online.SHORTEST_PAUSE:
            time.sleep(duration)  # Let others write before the next step.

    def _sql(self, table: str) -> str:
        return f"CREATE {self.kind} {self.name} ON {table} {self.columns}"

    @cached_property
    def _types(self) -> dict[str, str]:
        """The columns that the index uses, and their types."""
        return {
            column.name: column.data_type
            for column in self.db.get_columns(self.table)
            if column.name != "id" and re.search(rf"\b{column.name}\b", self.columns)
        }

    @property
    def _column_names(self) -> str:
        return ", ".join(self._types)

    @property
    def _copied_columns(self) -> str:
        """The columns of the table with the copies."""
        return ", ".join(("id", *self._types))

    def _create_for_copies(self) -> None:
        """Create the table of the copies, its index, and the triggers that repeat changes."""
        copies = _copies(self.name)
        if self._is_prepared():
            return  # An earlier run was killed.
        types = "".join(f", {name} {kind}" for name, kind in self._types.items())
        # Another trigger may have changed the row again, so NEW may contain former values.
        row = f"FROM {self.table} WHERE id = NEW.id"
        repeat = {
            "INSERT": f"INSERT INTO {copies} SELECT {self._copied_columns} {row}",
            f"UPDATE OF {self._column_names}": (
                f"UPDATE {copies} SET ({self._column_names}) = (SELECT {self._column_names} {row}) "
                "WHERE id = NEW.id"
            ),
            "DELETE": f"DELETE FROM {copies} WHERE id = OLD.id",
        }
        self._discard_copies()  # An earlier run may have made copies for another definition.
        online.change_table(
            self.db,
            f"CREATE TABLE {copies} (id INTEGER PRIMARY KEY{types})",
            self._sql(copies),
            *(
                f"CREATE TRIGGER {trigger} AFTER {change} ON {self.table} BEGIN {sql}; END"
                for trigger, (change, sql) in zip(_triggers(copies), repeat.items(), strict=True)
            ),
        )

    def _is_prepared(self) -> bool:
        """Return whether the copies have this index and all triggers."""
        query = (
            "SELECT count(*) FROM sqlite_master WHERE (type = 'index' AND name = ? AND sql = ?) "
            "OR (type = 'trigger' AND tbl_name = ? AND name IN (?, ?, ?))"
        )
        copies = _copies(self.name)
        values = (self.name, self._sql(copies), self.table, *_triggers(copies))
        return bool(self.db.execute_sql(query, values).fetchone()[0] == 1 + len(_triggers(copies)))

    def _copy_rows(self) -> None:
        copies = _copies(self.name)
        is_missing = f"id NOT IN (SELECT id FROM {copies})"

        def copy(ids: Sequence[int]) -> None:
            self.db.execute_sql(
                f"INSERT INTO {copies} SELECT {self._copied_columns} FROM {self.table} "
                f"WHERE {online.among(ids)} AND {is_missing}"
            )

        online.in_batches(
            self.db, self.table, copy, where=is_missing, pause_factor=COPYING_PAUSE_FACTOR
        )

    def _has_same_rows(self) -> bool:
        """Return whether the copies are equal to the rows of the table.

        They could differ if a program changed the table without the triggers. For example, REPLACE
        deletes rows without a trigger.
        """
        tables = (self.table, _copies(self.name))
        newest = max(online.newest_id(self.db, table) for table in tables)
        for last in range(0, newest, online.IDS_PER_SEARCH):
            ids = f"id > {last} AND id <= {last + online.IDS_PER_SEARCH}"
            rows, copies = (
                f"SELECT {self._copied_columns} FROM {table} WHERE {ids}" for table in tables
            )
            query = f"SELECT EXISTS ({rows} EXCEPT {copies}) OR EXISTS ({copies} EXCEPT {rows})"
            if self.db.execute_sql(query).fetchone()[0]:
                return False
        return True

    def _move_to_table(self) -> None:
        with (
            _pragmas(self.db, {"analysis_limit": ANALYSIS_LIMIT}),
            online.write_transaction(self.db),
        ):
            self.db.execute_sql("PRAGMA writable_schema = ON")
            try:
                change = "UPDATE sqlite_master SET tbl_name = ?, sql = ? "
                values = (self.table, self._sql(self.table), self.name)
                self.db.execute_sql(f"{change} WHERE type = 'index' AND name = ?", values)
            finally:
                # Read the schema again, and protect it again.
                self.db.execute_sql("PRAGMA writable_schema = RESET")
            # These statements change the version of the schema, so that all connections read the
            # schema again. If they came before RESET, RESET would make this connection forget that
            # the transaction changed the schema. A rollback would then not discard the schema that
            # the connection has in memory.
            for trigger in _triggers(_copies(self.name)):
                self.db.execute_sql(f"DROP TRIGGER {trigger}")
            _analyze_indexes(self.db, self.table)


def _copies(index: str) -> str:
    """Return the name of the table with the copies for an index."""
    return f"{index}_copies"


def _triggers(copies: str) -> list[str]:
    return [f"{copies}_{change}" for change in ("insert", "update", "delete")]


def _drop_copies(db: SqliteDatabase, index: str) -> None:
    """Drop the copies for an index and their triggers. Call this in a transaction."""
    copies = _copies(index)
    for trigger in _triggers(copies):
        db.execute_sql(f"DROP TRIGGER IF EXISTS {trigger}")
    db.execute_sql(f"DROP TABLE IF EXISTS {copies}")


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
