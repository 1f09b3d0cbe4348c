"""Store when the person of a session last proved who they are."""

from __future__ import annotations

from typing import Any

from peewee import Database, SqliteDatabase

from webapp.database import online

atomic = False


def up(_migrator: Any, db: Database) -> None:
    instant = "DATETIME" if isinstance(db, SqliteDatabase) else "TIMESTAMP"
    online.add_columns(db, "sign_in_session", {"confirmed_at": instant})


def down(_migrator: Any, db: Database) -> None:
    if "confirmed_at" in {column.name for column in db.get_columns("sign_in_session")}:
        online.change_table(db, "ALTER TABLE sign_in_session DROP COLUMN confirmed_at")
