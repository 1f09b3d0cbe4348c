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
        # Without this setting, PostgreSQL reads the whole table, because the table is so small.
        cursor.execute("SET enable_seqscan = off")
        cursor.execute(f"EXPLAIN {sql}", params)
        plan = "\n".join(row[0] for row in cursor.fetchall())
        cursor.execute("RESET enable_seqscan")
        return plan
