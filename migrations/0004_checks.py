"""Add a state for images that were never read from their cloud, and store failed checks.

Before, such an image was marked as not verified, but its state was "available".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from peewee import BooleanField, CharField, Database, IntegerField, JSONField, Model, SqliteDatabase

COLUMNS = {
    "check_failed_at": "TIMESTAMP",
    "check_error": "TEXT NOT NULL DEFAULT ''",
}

CHUNK_SIZE = 5_000


def up(_migrator: Any, db: Database) -> None:
    for name, kind in COLUMNS.items():
        db.execute_sql(f"ALTER TABLE image ADD COLUMN {name} {_kind(db, kind)}")
    _change_state(db, "unknown")


def down(migrator: Any, db: Database) -> None:
    _change_state(db, "available")
    migrator.migrate(*(migrator.drop_column("image", name) for name in COLUMNS))


def _kind(db: Database, kind: str) -> str:
    return kind.replace("TIMESTAMP", "DATETIME") if isinstance(db, SqliteDatabase) else kind


def _change_state(db: Database, state: str) -> None:
    """Set the state of the images that were never read, including deleted images."""

    class Base(Model):
        class Meta:
            database = db
            legacy_table_names = False

    class Image(Base):
        id = IntegerField(primary_key=True)
        state = CharField(max_length=16)
        verified = BooleanField()
        details = JSONField()

    class DeletedImage(Base):
        id = IntegerField(primary_key=True)
        record = JSONField()

    for image in _in_chunks(Image, ~Image.verified):
        details = {**image.details, "state": state, "state_note": ""}
        Image.update(state=state, details=details).where(Image.id == image.id).execute()
    for deleted in _in_chunks(DeletedImage):
        columns = deleted.record["columns"]
        if columns.get("verified", columns["state"] != "unknown"):
            continue
        columns["state"] = columns["details"]["state"] = state
        columns["verified"] = False
        DeletedImage.update(record=deleted.record).where(DeletedImage.id == deleted.id).execute()


def _in_chunks(table: Any, *conditions: Any) -> Iterator[Any]:
    """Yield the rows of a table. Read them in chunks, because all rows would need much memory."""
    last_id = 0
    while True:
        query = table.select().where(table.id > last_id, *conditions)
        rows = list(query.order_by(table.id).limit(CHUNK_SIZE))
        yield from rows
        if len(rows) < CHUNK_SIZE:
            return
        last_id = rows[-1].id
