"""Store why a job was stopped, and since when it has been failing."""

from __future__ import annotations

from typing import Any

from peewee import Database, SqliteDatabase

from webapp.database import online

atomic = False


def up(_migrator: Any, db: Database) -> None:
    instant = "DATETIME" if isinstance(db, SqliteDatabase) else "TIMESTAMP"
    online.add_columns(
        db, "job", {"stop_reason": "TEXT NOT NULL DEFAULT ''", "failing_since": instant}
    )


def down(_migrator: Any, db: Database) -> None:
    present = {column.name for column in db.get_columns("job")}
    names = [name for name in ("stop_reason", "failing_since") if name in present]
    online.change_table(db, *(f"ALTER TABLE job DROP COLUMN {name}" for name in names))
