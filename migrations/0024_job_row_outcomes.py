"""Index the rows of a job by outcome, so that a page of a large job does not read all its rows."""

from __future__ import annotations

from typing import Any

from peewee import Database

from webapp.database import indexes

atomic = False
INDEX = "job_row_outcome"


def up(_migrator: Any, db: Database) -> None:
    indexes.create_index(db, INDEX, "job_row (job_id, outcome, position)")


def down(_migrator: Any, db: Database) -> None:
    db.execute_sql(f"DROP INDEX {INDEX}")
