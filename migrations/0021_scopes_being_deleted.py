"""Mark scopes that are being deleted."""

from __future__ import annotations

from typing import Any

from peewee import Database, SqliteDatabase

from webapp.database import online

atomic = False


def up(_migrator: Any, db: Database) -> None:
    kind = "DATETIME" if isinstance(db, SqliteDatabase) else "TIMESTAMP"
    online.add_columns(db, "scope", {"deleted_at": kind})


def down(migrator: Any, _db: Database) -> None:
    migrator.migrate(migrator.drop_column("scope", "deleted_at"))
