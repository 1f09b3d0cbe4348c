"""Let the audit log of every scope be read from one range of an index.

`account_id` is the account that an entry belongs to, also if the entry is about an environment. IDs
of scopes are never reused, so the column needs no foreign key. A trigger fills the column, because
an older version of the application may still write entries.

The migration runs while other processes read and write: it fills old entries in batches, and
PostgreSQL creates the indexes concurrently. If it is interrupted, it can be run again.
"""

from __future__ import annotations

from typing import Any

from peewee import Database, SqliteDatabase

atomic = False
BATCH = 10_000
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
"""The account of a scope, without the condition. Scalr has no parent and so no account."""
TRIGGER = "audit_entry_account"


def up(_migrator: Any, db: Database) -> None:
    with db.atomic():
        if "account_id" not in {column.name for column in db.get_columns("audit_entry")}:
            db.execute_sql("ALTER TABLE audit_entry ADD COLUMN account_id INTEGER")
            _create_trigger(db)
    _fill_old_entries(db)
    _create_indexes(db, INDEXES)
    _drop_indexes(db, OLD_INDEXES)


def down(_migrator: Any, db: Database) -> None:
    _create_indexes(db, OLD_INDEXES)
    _drop_indexes(db, INDEXES)
    with db.atomic():
        if isinstance(db, SqliteDatabase):
            db.execute_sql(f"DROP TRIGGER {TRIGGER}")
        else:
            db.execute_sql(f"DROP TRIGGER {TRIGGER} ON audit_entry")
            db.execute_sql(f"DROP FUNCTION {TRIGGER}()")
        db.execute_sql("ALTER TABLE audit_entry DROP COLUMN account_id")


def _create_trigger(db: Database) -> None:
    if isinstance(db, SqliteDatabase):
        db.execute_sql(
            f"CREATE TRIGGER {TRIGGER} AFTER INSERT ON audit_entry "  # noqa: S608  constants
            "WHEN NEW.scope_id IS NOT NULL BEGIN "
            f"UPDATE audit_entry SET account_id = {ACCOUNT} WHERE id = NEW.scope_id) "
            "WHERE id = NEW.id; END"
        )
        return
    db.execute_sql(
        f"CREATE FUNCTION {TRIGGER}() RETURNS trigger AS $$ BEGIN "
        f"NEW.account_id := {ACCOUNT} WHERE id = NEW.scope_id); "
        "RETURN NEW; END $$ LANGUAGE plpgsql"
    )
    db.execute_sql(
        f"CREATE TRIGGER {TRIGGER} BEFORE INSERT ON audit_entry "
        f"FOR EACH ROW WHEN (NEW.scope_id IS NOT NULL) EXECUTE FUNCTION {TRIGGER}()"
    )


def _fill_old_entries(db: Database) -> None:
    (last,) = db.execute_sql("SELECT coalesce(max(id), 0) FROM audit_entry").fetchone()
    for start in range(0, last, BATCH):
        # Each statement is a transaction, so other writers wait only for one batch.
        db.execute_sql(
            f"UPDATE audit_entry SET account_id = {ACCOUNT} WHERE id = audit_entry.scope_id) "  # noqa: S608
            f"WHERE id > {start} AND id <= {start + BATCH} "
            "AND scope_id IS NOT NULL AND account_id IS NULL"
        )


def _create_indexes(db: Database, indexes: dict[str, str]) -> None:
    # After an interruption, PostgreSQL has an invalid index with the name.
    _drop_indexes(db, indexes)
    concurrently = "" if isinstance(db, SqliteDatabase) else "CONCURRENTLY"
    for name, columns in indexes.items():
        db.execute_sql(f"CREATE INDEX {concurrently} {name} ON audit_entry ({columns})")


def _drop_indexes(db: Database, indexes: dict[str, str]) -> None:
    concurrently = "" if isinstance(db, SqliteDatabase) else "CONCURRENTLY"
    for name in indexes:
        db.execute_sql(f"DROP INDEX {concurrently} IF EXISTS {name}")
