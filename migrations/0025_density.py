"""Store the row height that a person chose for the Images page."""

from __future__ import annotations

from typing import Any

from peewee import Database

from webapp.database import online

atomic = False
DENSITY = "VARCHAR(16) NOT NULL DEFAULT 'comfortable' CHECK (density IN ('comfortable', 'compact'))"


def up(_migrator: Any, db: Database) -> None:
    online.add_columns(db, "person", {"density": DENSITY})


def down(migrator: Any, _db: Database) -> None:
    migrator.migrate(migrator.drop_column("person", "density"))
