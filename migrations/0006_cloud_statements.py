"""Correct the stored details of images that were read from their cloud.

Before, the registry made up names for Azure images that have no name in Azure. Also, the notes
about deprecated images did not contain a date.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from peewee import CharField, Database, IntegerField, JSONField, Model

_MANAGED_IMAGE = re.compile(r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/[^/]+/images/.+")
_NOT_USABLE = "New instances can’t be created from"
STATEMENTS = (
    (
        "The owner has deprecated this image.",
        "This image has been deprecated {since}.",
        "deprecated",
    ),
    (
        "The publisher has deprecated this image.",
        "This image has been deprecated {since}.",
        "deprecated",
    ),
    (
        f"The owner has marked this image as obsolete. {_NOT_USABLE} it.",
        f"This image has been obsolete {{since}}. {_NOT_USABLE} this image.",
        "obsolete",
    ),
    (
        f"The owner has marked this image as deleted. {_NOT_USABLE} it.",
        f"This image has been marked as deleted {{since}}. {_NOT_USABLE} this image.",
        "deleted",
    ),
)
"""The old beginning of a note, the new beginning, and the name of the date in the new beginning."""
CHUNK_SIZE = 5_000


def up(_migrator: Any, db: Database) -> None:
    class Base(Model):
        class Meta:
            database = db
            legacy_table_names = False

    class Image(Base):
        id = IntegerField(primary_key=True)
        cloud = CharField(max_length=32)
        cloud_image_id = CharField(max_length=512)
        details = JSONField()

    class DeletedImage(Base):
        id = IntegerField(primary_key=True)
        record = JSONField()

    for image in _in_chunks(Image, Image.cloud.in_(["aws", "azure", "gce"])):
        details = _corrected(image.cloud, image.cloud_image_id, image.details)
        if details != image.details:
            Image.update(details=details).where(Image.id == image.id).execute()
    for deleted in _in_chunks(DeletedImage):
        columns = deleted.record["columns"]
        details = _corrected(columns["cloud"], columns["cloud_image_id"], columns["details"])
        if details != columns["details"]:
            columns["details"] = details
            DeletedImage.update(record=deleted.record).where(
                DeletedImage.id == deleted.id
            ).execute()


def down(_migrator: Any, _db: Database) -> None:
    """Change nothing: the corrected details are valid for the earlier version too."""


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


def _corrected(cloud: str, image_id: str, details: dict[str, Any]) -> dict[str, Any]:
    corrected = {**details, "state_note": _statement(details)}
    if cloud == "azure" and not _MANAGED_IMAGE.fullmatch(image_id):
        corrected["name"] = ""
    return corrected


def _statement(details: dict[str, Any]) -> str:
    note = str(details["state_note"])
    dates = {fact["key"]: fact["value"] for fact in details["facts"]}
    dates["deprecated"] = details["deprecated"]
    for old, new, name in STATEMENTS:
        if note.startswith(old):
            return new.format(since=_since(dates.get(name))) + note.removeprefix(old)
    return note


def _since(value: str | None) -> str:
    instant = datetime.fromisoformat(value) if value else None
    if instant and instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    if instant is None or instant > datetime.now(UTC):
        return "since an unknown date"
    return f"since {instant.astimezone(UTC):%Y-%m-%d}"
