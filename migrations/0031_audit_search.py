"""Index the audit log by person, action, job and name, and store which job made a change.

In the indexes by action, the entries of one log with the same action are one contiguous range,
newest first. In the indexes by person, the same is true of the entries of one log with the same
person and the same action. If these indexes contained the ID, PostgreSQL could choose the primary
key instead. It would then read the whole log whenever it overestimates the number of entries of a
person or an action. So the indexes contain `-id`: the primary key cannot return entries in the
order of this expression.

The index by name contains the names of the changed records.
"""

from __future__ import annotations

from typing import Any

from peewee import Database, SqliteDatabase

from webapp.database import indexes, online

atomic = False
COLUMNS = {"job_id": "INTEGER"}
INDEXES = {
    "audit_entry_by_job": "(job_id, (- id)) WHERE job_id IS NOT NULL",
    "audit_entry_by_action": "(action, (- id))",
    "audit_entry_by_person": "(person_name, action, (- id))",
    "account_audit_entry_by_action": "(account_id, action, (- id))",
    "account_audit_entry_by_person": "(account_id, person_name, action, (- id))",
    "scope_audit_entry_by_action": "(scope_id, action, (- id))",
    "scope_audit_entry_by_person": "(scope_id, person_name, action, (- id))",
}
BY_NAME = "audit_entry_by_name"


def up(_migrator: Any, db: Database) -> None:
    online.add_columns(db, "audit_entry", COLUMNS)
    for name, columns in INDEXES.items():
        indexes.create_index(db, name, f"audit_entry {columns}")
    # PostgreSQL can use the index to find the names that begin with a given text only if the index
    # sorts names by their bytes.
    collation = "" if isinstance(db, SqliteDatabase) else ' COLLATE "C"'
    indexes.create_index(db, BY_NAME, f"audit_entry (LOWER(subject){collation})")
    online.update_statistics(db, "audit_entry")


def down(_migrator: Any, db: Database) -> None:
    for name in (*INDEXES, BY_NAME):
        indexes.drop_index(db, name)
    present = {column.name for column in db.get_columns("audit_entry")}
    names = [name for name in COLUMNS if name in present]
    online.change_table(db, *(f"ALTER TABLE audit_entry DROP COLUMN {name}" for name in names))
