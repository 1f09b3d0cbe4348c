"""Indexes are created and dropped while others write."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from peewee import IntegrityError, SqliteDatabase

import models
from models import Image
from tests.conftest import MakeImage
from webapp.database import indexes, online

DEFINITIONS = {
    "texts": "image (name_key, cloud_image_id DESC, id)",
    "numbers": "image (size_gb, revision)",
    "empty_values": "image (due_at, deprecated_on, description)",
    "booleans": "image (shared, agent_installed, scope_id, account_id)",
    "condition": "image (account_id, os_family, id) WHERE account_id IS NOT NULL AND shared",
    "expressions": "image (LOWER(description), (- id))",
}


class Others:
    """Other connections that write while this connection creates an index."""

    def __init__(self, database: str) -> None:
        self._database = database
        self.changes: list[Callable[[], object]] = []
        """The changes in the next pauses of the migration, one in each pause."""

    def write(self, sql: str = "UPDATE image SET revision = revision + 1") -> None:
        with closing(sqlite3.connect(self._database, isolation_level=None)) as connection:
            connection.execute(sql)

    def pause(self, _seconds: float) -> None:
        """Write once. This replaces `time.sleep`."""
        (self.changes.pop(0) if self.changes else self.write)()


@pytest.fixture
def sqlite(db: Flask) -> Any:
    if not isinstance(models.database.obj, SqliteDatabase):
        pytest.skip("PostgreSQL builds an index while others write.")
    return models.database.obj


@pytest.fixture
def others(sqlite: Any, monkeypatch: pytest.MonkeyPatch) -> Others:
    """Let others write in each pause. Every index is large, and a batch has two rows."""
    monkeypatch.setattr(indexes, "LARGE_INDEX", 1)
    monkeypatch.setattr(online, "FIRST_BATCH", 2)
    monkeypatch.setattr(online, "LARGEST_BATCH", 2)
    others = Others(sqlite.database)
    monkeypatch.setattr(time, "sleep", others.pause)
    return others


@pytest.fixture
def statements(sqlite: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the statements that are executed from now on."""
    statements: list[str] = []
    execute = sqlite.execute_sql

    def record(sql: str, *arguments: Any) -> Any:
        statements.append(sql)
        return execute(sql, *arguments)

    monkeypatch.setattr(sqlite, "execute_sql", record)
    return statements


def _is_intact(sqlite: Any, name: str) -> bool:
    """Return whether the index has exactly the entries that belong to the images."""
    query = "SELECT tbl_name FROM sqlite_master WHERE name = ?"
    assert sqlite.execute_sql(query, (name,)).fetchone() == ("image",)
    return bool(sqlite.execute_sql("PRAGMA integrity_check").fetchall() == [("ok",)])


def _traces(sqlite: Any) -> list[str]:
    """Return the tables and triggers that `create_index` should have dropped."""
    query = "SELECT name FROM sqlite_master WHERE name LIKE '%copies%' AND type <> 'index'"
    return [name for (name,) in sqlite.execute_sql(query)]


@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_large_index_contains_what_others_change_meanwhile(
    sqlite: Any, others: Others, make_image: MakeImage, statements: list[str], name: str
) -> None:
    first, second, *_, last_but_one, last = [make_image("acme", n).id for n in range(1, 12)]
    values = "name_key = 'ä', size_gb = 7, description = 'Ä', os_family = 'x', due_at = NULL"
    others.changes = [
        others.write,
        lambda: others.write(f"UPDATE image SET {values} WHERE id IN ({first}, {last})"),
        lambda: others.write(f"DELETE FROM image WHERE id IN ({second}, {last_but_one})"),
        lambda: others.write(f"UPDATE image SET shared = NOT shared WHERE id IN ({first}, {last})"),
        lambda: make_image("acme", 99),
    ]
    statements.clear()
    indexes.create_index(sqlite, name, DEFINITIONS[name])
    assert not others.changes
    assert [sql for sql in statements if sql.startswith("CREATE INDEX")] == [
        f"CREATE INDEX {name} ON {DEFINITIONS[name].replace('image', f'{name}_copies', 1)}"
    ], "only an empty table may get an index while others write"
    assert _is_intact(sqlite, name)
    assert not _traces(sqlite)
    sql = "SELECT tbl_name, sql FROM sqlite_master WHERE name = ?"
    created = sqlite.execute_sql(sql, (name,)).fetchone()
    others.write(
        f"INSERT INTO image ({_columns(sqlite)}) SELECT {_columns(sqlite, 'x')} FROM image"
    )
    assert _is_intact(sqlite, name)
    indexes.drop_index(sqlite, name)
    sqlite.execute_sql(f"CREATE INDEX {name} ON {DEFINITIONS[name]}")
    assert sqlite.execute_sql(sql, (name,)).fetchone() == created


def _columns(sqlite: Any, suffix: str = "") -> str:
    """Return the columns of a new image, or the values of an existing one with other IDs."""
    names = [column.name for column in sqlite.get_columns("image") if column.name != "id"]
    changed = {"cloud_image_id", "image_key"} if suffix else set()
    return ", ".join(f"{name} || '{suffix}'" if name in changed else name for name in names)


def test_an_index_is_created_at_once_if_nobody_else_writes(
    sqlite: Any,
    others: Others,
    make_image: MakeImage,
    statements: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_image("acme")
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    indexes.create_index(sqlite, "texts", DEFINITIONS["texts"])
    assert f"CREATE INDEX texts ON {DEFINITIONS['texts']}" in statements
    assert _is_intact(sqlite, "texts")


def test_a_small_index_is_created_at_once(
    sqlite: Any, others: Others, make_image: MakeImage, statements: list[str]
) -> None:
    """The condition of the index decides, and not the size of the table."""
    make_image("acme")
    indexes.create_index(sqlite, "few", "image (due_at) WHERE due_at IS NOT NULL")
    assert "CREATE INDEX few ON image (due_at) WHERE due_at IS NOT NULL" in statements
    assert _is_intact(sqlite, "few")


def test_a_unique_index_protects_the_table_from_its_first_step(
    sqlite: Any, others: Others, make_image: MakeImage
) -> None:
    ids = [make_image("acme", number).id for number in range(1, 5)]
    for number in ids:
        others.write(f"UPDATE image SET notes = 'note {number}' WHERE id = {number}")

    def repeat_a_value() -> None:
        with pytest.raises(sqlite3.IntegrityError):
            others.write(f"UPDATE image SET notes = 'note {ids[1]}' WHERE id = {ids[0]}")

    others.changes = [others.write, repeat_a_value]
    indexes.create_index(sqlite, "notes", "image (notes)", unique=True)
    assert not others.changes
    repeat_a_value()
    assert _is_intact(sqlite, "notes")


def test_rows_that_the_triggers_did_not_see_are_in_the_index(
    sqlite: Any, others: Others, make_image: MakeImage
) -> None:
    """REPLACE deletes a row without a trigger."""
    ids = [make_image("acme", number).id for number in range(1, 4)]
    columns = _columns(sqlite)
    others.changes = [
        others.write,
        lambda: others.write(
            f"REPLACE INTO image (id, {columns}) SELECT 1000, {columns} FROM image "
            f"WHERE id = {ids[0]}"
        ),
    ]
    indexes.create_index(sqlite, "texts", DEFINITIONS["texts"])
    assert not others.changes
    assert not Image.select().where(Image.id == ids[0]).exists()
    assert _is_intact(sqlite, "texts")
    assert not _traces(sqlite)


@pytest.mark.parametrize(
    ("columns", "definition"),
    [
        ('"id" INTEGER NOT NULL PRIMARY KEY, a TEXT COLLATE NOCASE', "(a)"),
        ('"id" INTEGER NOT NULL PRIMARY KEY, b TEXT, a TEXT GENERATED ALWAYS AS (b)', "(a)"),
        ('"id" INTEGER NOT NULL PRIMARY KEY, "order" TEXT', '("order")'),
        ('"id" INTEGER NOT NULL PRIMARY KEY, a TEXT', "(id)"),
        ('"id" INT NOT NULL PRIMARY KEY, a TEXT', "(a)"),
    ],
)
def test_a_table_with_other_columns_is_not_copied(
    sqlite: Any, others: Others, statements: list[str], columns: str, definition: str
) -> None:
    sqlite.execute_sql(f"CREATE TABLE other ({columns})")
    sqlite.execute_sql("INSERT INTO other (id) VALUES (1), (2)")
    indexes.create_index(sqlite, "new_index", f"other {definition}")
    assert f"CREATE INDEX new_index ON other {definition}" in statements
    assert sqlite.execute_sql("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_table_with_negative_ids_is_not_copied(
    sqlite: Any, others: Others, make_image: MakeImage
) -> None:
    """`in_batches` begins with the ID 1."""
    Image.update(id=-1).where(Image.id == make_image("acme").id).execute()
    indexes.create_index(sqlite, "texts", DEFINITIONS["texts"])
    assert _is_intact(sqlite, "texts")


def test_copies_for_another_definition_are_not_used(
    sqlite: Any, others: Others, make_image: MakeImage
) -> None:
    for number in range(1, 5):
        make_image("acme", number)
    others.changes = [others.write, _be_killed]
    with pytest.raises(SystemExit):
        indexes.create_index(sqlite, "texts", "image (cloud_image_id, name_key)")
    assert _traces(sqlite)
    indexes.create_index(sqlite, "texts", DEFINITIONS["texts"])
    assert _is_intact(sqlite, "texts")


def _be_killed() -> None:
    raise SystemExit


def test_a_value_that_occurs_twice_leaves_no_copies(
    sqlite: Any, others: Others, make_image: MakeImage
) -> None:
    for number in range(1, 5):
        make_image("acme", number)
    with pytest.raises(IntegrityError):
        indexes.create_index(sqlite, "notes", "image (notes)", unique=True)
    assert not _traces(sqlite)
    make_image("acme", 5)


@pytest.mark.parametrize("then", ["others write", "nobody else writes", "dropped"])
def test_a_migration_can_be_killed_at_each_statement(
    sqlite: Any,
    others: Others,
    make_image: MakeImage,
    monkeypatch: pytest.MonkeyPatch,
    then: str,
) -> None:
    for number in range(1, 4):
        make_image("acme", number)
    execute, remaining = sqlite.execute_sql, iter(range(0))

    def execute_or_be_killed(sql: str, *arguments: Any) -> Any:
        if next(remaining, None) is None:
            raise SystemExit
        return execute(sql, *arguments)

    for count in range(100):
        with monkeypatch.context() as context:
            context.setattr(sqlite, "execute_sql", execute_or_be_killed)
            remaining = iter(range(count))
            try:
                indexes.create_index(sqlite, "texts", DEFINITIONS["texts"])
            except SystemExit:
                pass
            else:
                break
        others.write("UPDATE image SET name_key = name_key || 'x'")
        if then == "dropped":
            indexes.drop_index(sqlite, "texts")
            assert not sqlite.execute_sql(
                "SELECT 1 FROM sqlite_master WHERE name = 'texts'"
            ).fetchone()
            continue
        with monkeypatch.context() as context:
            if then == "nobody else writes":
                context.setattr(time, "sleep", lambda _seconds: None)
            indexes.create_index(sqlite, "texts", DEFINITIONS["texts"])
        assert _is_intact(sqlite, "texts")
        assert not _traces(sqlite)
        indexes.drop_index(sqlite, "texts")
    assert 20 < count < 99
    assert _is_intact(sqlite, "texts")


def test_a_new_index_has_statistics_if_the_others_have_them(
    sqlite: Any, make_image: MakeImage
) -> None:
    """SQLite prefers an index without statistics, because it expects few rows there."""
    make_image("acme")
    indexes.create_index(sqlite, "first", "image (name_key)")
    assert not {table for table in sqlite.get_tables() if table.startswith("sqlite_stat")}
    sqlite.execute_sql("ANALYZE")
    indexes.create_index(sqlite, "second", "image (name_key, id)")
    statistics = {row[0] for row in sqlite.execute_sql("SELECT idx FROM sqlite_stat1")}
    assert {"first", "second"} <= statistics


def test_no_reader_sees_an_index_without_its_statistics(
    sqlite: Any, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_image("acme")
    sqlite.execute_sql("ANALYZE")
    seen: list[str] = []
    execute = sqlite.execute_sql

    def look_first(sql: str, *arguments: Any) -> Any:
        if sql.startswith("ANALYZE"):
            query = "SELECT count(*) FROM sqlite_master WHERE name = 'new_index'"
            with closing(sqlite3.connect(sqlite.database)) as reader:
                seen.append(f"{sql}: {reader.execute(query).fetchone()[0]}")
        return execute(sql, *arguments)

    monkeypatch.setattr(sqlite, "execute_sql", look_first)
    indexes.create_index(sqlite, "new_index", "image (name_key, id)")
    assert seen == ["ANALYZE image: 0"]


def test_a_new_index_is_not_preferred_to_the_index_of_the_sort_order(
    sqlite: Any, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 40):
        make_image("acme", number)
    sqlite.execute_sql("ANALYZE")
    monkeypatch.setattr(indexes, "ANALYSIS_LIMIT", 5)
    indexes.create_index(sqlite, "new_index", "image (shared, description, id)")
    query = "SELECT stat FROM sqlite_stat1 WHERE idx IN ('new_index', 'any_image_by_registered_at')"
    rows_per_value = [row[0].split()[1] for row in sqlite.execute_sql(query)]
    assert len(rows_per_value) == 2
    assert len(set(rows_per_value)) == 1, "SQLite would prefer the index with the smaller number"


def test_a_dropped_index_is_not_overwritten(sqlite: Any, make_image: MakeImage) -> None:
    """Writers would wait while SQLite overwrites millions of keys with zeros."""
    sqlite.execute_sql("CREATE TABLE filled (text TEXT)")
    texts = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
    sqlite.execute_sql(f"INSERT INTO filled {texts} SELECT printf('%0200d', i) FROM n")
    indexes.create_index(sqlite, "filled_text", "filled (text)")
    usual = sqlite.pragma("secure_delete")
    sqlite.pragma("wal_checkpoint(truncate)")
    indexes.drop_index(sqlite, "filled_text")
    assert Path(f"{sqlite.database}-wal").stat().st_size < 500_000
    assert sqlite.pragma("secure_delete") == usual


def test_an_index_is_sorted_in_small_pieces(sqlite: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = {name: sqlite.pragma(name) for name in indexes.SORTING_PRAGMAS}
    during: list[dict[str, int]] = []
    execute = sqlite.execute_sql

    def record_pragmas(sql: str, *arguments: Any) -> Any:
        if sql.startswith("CREATE INDEX"):
            monkeypatch.undo()
            during.append({name: sqlite.pragma(name) for name in indexes.SORTING_PRAGMAS})
        return execute(sql, *arguments)

    monkeypatch.setattr(sqlite, "execute_sql", record_pragmas)
    indexes.create_index(sqlite, "new_index", "image (description)")
    assert during == [indexes.SORTING_PRAGMAS]
    assert {name: sqlite.pragma(name) for name in indexes.SORTING_PRAGMAS} == usual
    indexes.drop_index(sqlite, "new_index")
