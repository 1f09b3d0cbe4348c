"""Store which scopes require a second factor, and who used one at an identity provider.

Also store a digest of the previous token of a session. This token stays valid for a moment.
"""

from __future__ import annotations

from typing import Any

from peewee import Database, SqliteDatabase

from webapp.database import indexes, online

atomic = False
FLAG = "BOOLEAN NOT NULL DEFAULT FALSE"
INDEXES = {
    "scope_requires_factor": "scope (parent_id) WHERE requires_factor",
    "sign_in_session_previous_digest": (
        "sign_in_session (previous_digest) WHERE previous_digest IS NOT NULL"
    ),
}


def up(_migrator: Any, db: Database) -> None:
    for table, columns in _columns(db).items():
        online.add_columns(db, table, columns)
    for name, definition in INDEXES.items():
        indexes.create_index(db, name, definition)


def down(_migrator: Any, db: Database) -> None:
    for name in INDEXES:
        indexes.drop_index(db, name)
    for table, columns in _columns(db).items():
        present = {column.name for column in db.get_columns(table)}
        for name in columns:
            if name in present:
                online.change_table(db, f"ALTER TABLE {table} DROP COLUMN {name}")


def _columns(db: Database) -> dict[str, dict[str, str]]:
    """Return the new columns of each table, with their SQL types."""
    instant = "DATETIME" if isinstance(db, SqliteDatabase) else "TIMESTAMP"
    return {
        "scope": {"requires_factor": FLAG},
        "identity": {"used_factor": FLAG},
        "sign_in_session": {
            "used_factor": FLAG,
            "previous_digest": "VARCHAR(64)",
            "rotated_at": instant,
        },
    }
