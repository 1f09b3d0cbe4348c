"""Count in each row of a job how many processes have ended while they worked on the row."""

from __future__ import annotations

from typing import Any

from peewee import Database

from webapp.database import online

atomic = False


def up(_migrator: Any, db: Database) -> None:
    online.add_columns(db, "job_row", {"lost_leases": "INTEGER NOT NULL DEFAULT 0"})


def down(migrator: Any, _db: Database) -> None:
    migrator.migrate(migrator.drop_column("job_row", "lost_leases"))
