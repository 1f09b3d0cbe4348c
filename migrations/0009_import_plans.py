"""Delete planned imports, and stop running imports, because the rows of a plan have a new form.

Nothing of a planned import has been imported yet. The jobs of finished imports stay.
"""

from __future__ import annotations

from typing import Any

from peewee import Database


def up(_migrator: Any, db: Database) -> None:
    db.execute_sql(
        "DELETE FROM job_row WHERE job_id IN (SELECT id FROM job WHERE state = 'planned' "
        "AND action IN ('import', 'import-look-up'))"
    )
    db.execute_sql(
        "DELETE FROM job WHERE state = 'planned' AND action IN ('import', 'import-look-up')"
    )
    db.execute_sql(
        "UPDATE job SET state = 'stopped' WHERE state = 'running' "
        "AND action IN ('import', 'import-look-up')"
    )
    db.execute_sql("UPDATE job SET action = 'import' WHERE action = 'import-look-up'")


def down(_migrator: Any, db: Database) -> None:
    db.execute_sql(
        "DELETE FROM job_row WHERE job_id IN (SELECT id FROM job WHERE action = 'import-read' "
        "OR (state = 'planned' AND action = 'import'))"
    )
    db.execute_sql(
        "DELETE FROM job WHERE action = 'import-read' OR (state = 'planned' AND action = 'import')"
    )
