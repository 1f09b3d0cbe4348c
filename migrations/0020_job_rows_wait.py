"""Store in each row of a job which process works on the row, and when to try the row again.

The columns have defaults, so a process of the old version continues the jobs that it has started.
"""

from __future__ import annotations

from typing import Any

from peewee import Database

from webapp.database import indexes, online

atomic = False
COLUMNS = {
    "attempts": "INTEGER NOT NULL DEFAULT 0",
    "waits": "INTEGER NOT NULL DEFAULT 0",
    "not_before": "DOUBLE PRECISION NOT NULL DEFAULT 0",
    "lease_token": "VARCHAR(32) NOT NULL DEFAULT ''",
    "credentials_id": "INTEGER",
}
INDEXES = {
    "job_row_unprocessed": "job_row (job_id, not_before, position) WHERE outcome = ''",
    "job_running": "job (person_id, id) WHERE state = 'running'",
}


def up(_migrator: Any, db: Database) -> None:
    online.add_columns(db, "job_row", COLUMNS)
    for name, definition in INDEXES.items():
        indexes.create_index(db, name, definition)


def down(migrator: Any, db: Database) -> None:
    for name in INDEXES:
        db.execute_sql(f"DROP INDEX {name}")
    migrator.migrate(*(migrator.drop_column("job_row", name) for name in COLUMNS))
