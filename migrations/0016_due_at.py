"""Add two columns for the dates of images: `due_at` and `deprecation_announced_for`.

`due_at` is the next time at which the status or the state of the image changes.
`deprecation_announced_for` is the announced time at which the state of the image changes from
"available" to "deprecated". The index on `due_at` replaces the two indexes on the dates of the life
cycle. `0017_place_keys` changes every image anyway, so it also fills the two columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time
from typing import Any

from peewee import (
    SQL,
    CharField,
    Database,
    DateField,
    DateTimeField,
    IntegerField,
    JSONField,
    Model,
    SqliteDatabase,
)

from webapp.database import indexes, online

atomic = False
COLUMNS = ("deprecation_announced_for", "due_at")
OLD_INDEXES = {
    "image_status_deprecated_on": "status, deprecated_on",
    "image_status_retired_on": "status, retired_on",
}
CHUNK_SIZE = 5_000
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def up(_migrator: Any, db: Database) -> None:
    kind = "DATETIME" if isinstance(db, SqliteDatabase) else "TIMESTAMP"
    online.add_columns(db, "image", dict.fromkeys(COLUMNS, kind))
    _fill_deleted(db)
    indexes.create_index(db, "image_due_at", "image (due_at) WHERE due_at IS NOT NULL")
    for name in OLD_INDEXES:
        indexes.drop_index(db, name)


def down(migrator: Any, db: Database) -> None:
    db.execute_sql("DROP INDEX image_due_at")
    for name, columns in OLD_INDEXES.items():
        db.execute_sql(f"CREATE INDEX {name} ON image ({columns})")
    migrator.migrate(*(migrator.drop_column("image", name) for name in COLUMNS))
    _, deleted_image = _tables(db)
    for deleted in _in_chunks(deleted_image):
        if deleted.record["columns"].pop("deprecation_announced_for", ""):
            _save_record(deleted)


def _tables(db: Database) -> tuple[Any, Any]:
    class Base(Model):
        class Meta:
            database = db
            legacy_table_names = False

    class Image(Base):
        id = IntegerField(primary_key=True)
        cloud = CharField(max_length=32)
        cloud_image_id = CharField(max_length=512)
        state = CharField(max_length=16)
        details = JSONField()
        status = CharField(max_length=16)
        deprecated_on = DateField(null=True)
        retired_on = DateField(null=True)
        deprecation_announced_for = DateTimeField(null=True)
        due_at = DateTimeField(null=True)

    class DeletedImage(Base):
        id = IntegerField(primary_key=True)
        record = JSONField()

    return Image, DeletedImage


def fill_images(db: Database, ids: Sequence[int]) -> None:
    """Fill the new columns of these images. `0017_place_keys` calls this function."""
    image_table, _ = _tables(db)
    query = image_table.select().where(image_table.id.in_(ids), _may_be_due(db, image_table))
    for image in list(query):
        announced = announced_in(image.cloud, image.cloud_image_id, image.details)
        due = _due(image, announced)
        if due:
            values = {"deprecation_announced_for": announced, "due_at": due}
            image_table.update(values).where(image_table.id == image.id).execute()


def _may_be_due(db: Database, image: Any) -> Any:
    """Return the condition for images with dates, in their life cycle or in their details."""
    has_dates = image.deprecated_on.is_null(False) | image.retired_on.is_null(False)
    sqlite = isinstance(db, SqliteDatabase)
    deprecated = "json_extract(details, '$.deprecated')" if sqlite else "details ->> 'deprecated'"
    text = image.details.cast("text")
    in_facts = (image.cloud == "gce") & (text.contains("obsolete") | text.contains("deleted"))
    is_announced = SQL(f"{deprecated} IS NOT NULL") | in_facts
    return has_dates | ((image.state == "available") & is_announced)


def _fill_deleted(db: Database) -> None:
    _, deleted_image = _tables(db)

    def fill(ids: Sequence[int]) -> None:
        for deleted in list(deleted_image.select().where(deleted_image.id.in_(ids))):
            columns = deleted.record["columns"]
            announced = announced_in(
                columns["cloud"], columns["cloud_image_id"], columns["details"]
            )
            if announced:
                columns["deprecation_announced_for"] = announced.replace(tzinfo=UTC).isoformat()
                _save_record(deleted)

    online.in_batches(db, "deleted_image", fill)


def _save_record(deleted: Any) -> None:
    table = type(deleted)
    table.update(record=deleted.record).where(table.id == deleted.id).execute()


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


def announced_in(cloud: str, image_id: str, details: dict[str, Any]) -> datetime | None:
    """Return when the state of an image changes from "available" to "deprecated", or None.

    None means that no such time was announced, or that the image is not available. The time is a
    naive datetime in UTC. For an image of Google Compute Engine, it is the earliest of the dates at
    which the image becomes deprecated, becomes obsolete or is marked as deleted.
    """
    if details.get("state") != "available":
        return None
    dates = [
        match.group()
        for fact in details["facts"]
        if cloud == "gce" and fact["key"] in {"obsolete", "deleted"}
        if (match := _DAY.search(fact["value"]))
    ]
    # For a Marketplace image of Azure, the date counts only if the publisher plans a deprecation.
    is_marketplace = cloud == "azure" and not image_id.startswith("/")
    if details["deprecated"] and (not is_marketplace or "plans to" in details["state_note"]):
        dates.append(details["deprecated"])
    return min(map(_parse, dates), default=None)


def _parse(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    return instant.astimezone(UTC).replace(tzinfo=None) if instant.tzinfo else instant


def _due(image: Any, announced: datetime | None) -> datetime | None:
    days = {
        "active": (image.deprecated_on, image.retired_on),
        "deprecated": (image.retired_on,),
    }.get(image.status, ())
    instants = [datetime.combine(day, time()) for day in days if day]
    return min((*instants, announced) if announced else instants, default=None)
