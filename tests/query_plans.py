"""Ask the database how it executes a statement."""

from __future__ import annotations

from typing import Any

from peewee import SqliteDatabase

import models


def plan_of(sql: str, params: Any) -> str:
    """Return the plan of a statement, as text for people."""
    database = models.database.obj
    if isinstance(database, SqliteDatabase):
        rows = database.connection().execute(f"EXPLAIN QUERY PLAN {sql}", params or ())
        return "\n".join(row[3] for row in rows)
    with database.connection().cursor() as cursor:
        # Without these settings, PostgreSQL reads and sorts the whole table, because the table is
        # so small. With them, the plan has a scan or a sort only if no index can replace it.
        settings = ("enable_seqscan", "enable_sort")
        for name in settings:
            cursor.execute(f"SET {name} = off")
        cursor.execute(f"EXPLAIN {sql}", params)
        plan = "\n".join(row[0] for row in cursor.fetchall())
        for name in settings:
            cursor.execute(f"RESET {name}")
        return plan
