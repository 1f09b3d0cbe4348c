"""Add the notes of images."""

from __future__ import annotations

from typing import Any

from peewee import Database

from webapp.database import online

atomic = False
COLUMNS = {"notes": "TEXT NOT NULL DEFAULT ''"}


def up(_migrator: Any, db: Database) -> None:
    online.add_columns(db, "image", COLUMNS)


def down(_migrator: Any, db: Database) -> None:
    present = {column.name for column in db.get_columns("image")}
    names = [name for name in COLUMNS if name in present]
    online.change_table(db, *(f"ALTER TABLE image DROP COLUMN {name}" for name in names))
