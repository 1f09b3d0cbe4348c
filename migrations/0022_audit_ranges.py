"""Add indexes in which the audit log of each scope is one contiguous range.

`account_id` is the account that an entry belongs to, even if the entry is about an environment. IDs
of scopes are never reused, so the column needs no foreign key. A trigger fills the column, because
an older version of the application may still write entries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from peewee import Database, SqliteDatabase

from webapp.database import indexes, online

atomic = False
INDEXES = {
    "audit_entry_account_id_id": "account_id, id",
    "audit_entry_scope_id_id": "scope_id, id",
    "audit_entry_record_id": "record, id",
}
OLD_INDEXES = {
    "audit_entry_scope_id_at": "scope_id, at",
    "audit_entry_record_at": "record, at",
}
ACCOUNT = "(SELECT CASE level WHEN 'account' THEN id ELSE parent_id END FROM scope"
"""The beginning of a subquery for the ID of a scope's account. The condition for the scope follows.

For the Scalr scope, the result is NULL, because this scope has no parent.
"""
TRIGGER = "audit_entry_account"


def up(_migrator: Any, db: Database) -> None:
    online.add_columns(db, "audit_entry", {"account_id": "INTEGER"})
    online.change_table(db, *_trigger(db))
    _fill_old_entries(db)
    for name, columns in INDEXES.items():
        indexes.create_index(db, name, f"audit_entry ({columns})")
    for name in OLD_INDEXES:
        indexes.drop_index(db, name)


def down(_migrator: Any, db: Database) -> None:
    for name, columns in OLD_INDEXES.items():
        indexes.create_index(db, name, f"audit_entry ({columns})")
    for name in INDEXES:
        indexes.drop_index(db, name)
    if isinstance(db, SqliteDatabase):
        statements = [f"DROP TRIGGER IF EXISTS {TRIGGER}"]
    else:
        statements = [f"DROP FUNCTION IF EXISTS {TRIGGER}() CASCADE"]
    if "account_id" in {column.name for column in db.get_columns("audit_entry")}:
        statements.append("ALTER TABLE audit_entry DROP COLUMN account_id")
    online.change_table(db, *statements)


def _trigger(db: Database) -> tuple[str, ...]:
    """Return the statements that create the trigger, which may already exist."""
    fill = f"{ACCOUNT} WHERE id = NEW.scope_id)"
    if isinstance(db, SqliteDatabase):
        create = (
            f"CREATE TRIGGER IF NOT EXISTS {TRIGGER} AFTER INSERT ON audit_entry "  # noqa: S608
            "WHEN NEW.scope_id IS NOT NULL BEGIN "
            f"UPDATE audit_entry SET account_id = {fill} WHERE id = NEW.id; END"
        )
        return (create,)
    function = (
        f"CREATE OR REPLACE FUNCTION {TRIGGER}() RETURNS trigger AS $$ BEGIN "
        f"NEW.account_id := {fill}; RETURN NEW; END $$ LANGUAGE plpgsql"
    )
    create = (
        f"CREATE TRIGGER {TRIGGER} BEFORE INSERT ON audit_entry "
        f"FOR EACH ROW WHEN (NEW.scope_id IS NOT NULL) EXECUTE FUNCTION {TRIGGER}()"
    )
    return function, f"DROP TRIGGER IF EXISTS {TRIGGER} ON audit_entry", create


def _fill_old_entries(db: Database) -> None:
    def fill(ids: Sequence[int]) -> None:
        db.execute_sql(
            f"UPDATE audit_entry SET account_id = {ACCOUNT} WHERE id = audit_entry.scope_id) "  # noqa: S608
            f"WHERE {online.among(ids)}"
        )

    online.in_batches(db, "audit_entry", fill, where="scope_id IS NOT NULL AND account_id IS NULL")
