"""Let admins disable and remove people, and store when a person last signed in.

Audit entries also get the e-mail address that the person had at the time. Entries of older versions
have none.
"""

from __future__ import annotations

from typing import Any

from peewee import Database, SqliteDatabase

from webapp.database import online

atomic = False
TIMES = ("disabled_at", "removed_at", "signed_in_at")


def up(_migrator: Any, db: Database) -> None:
    instant = "DATETIME" if isinstance(db, SqliteDatabase) else "TIMESTAMP"
    online.add_columns(db, "person", dict.fromkeys(TIMES, instant))
    online.add_columns(db, "audit_entry", {"person_email": "VARCHAR(254) NOT NULL DEFAULT ''"})
    # There are few people and few sessions, so this takes one short transaction.
    online.change_table(
        db,
        "UPDATE person SET signed_in_at = (SELECT max(created_at) FROM sign_in_session AS session "
        "WHERE session.person_id = person.id) WHERE signed_in_at IS NULL",
    )


def down(_migrator: Any, db: Database) -> None:
    for table, names in (("person", TIMES), ("audit_entry", ("person_email",))):
        present = {column.name for column in db.get_columns(table)}
        dropped = [name for name in names if name in present]
        online.change_table(db, *(f"ALTER TABLE {table} DROP COLUMN {name}" for name in dropped))
