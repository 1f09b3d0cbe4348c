"""Compare cloud image IDs without regard to case, and merge records of the same cloud image.

Before, an image could be registered twice in one scope: Azure ignores the case of its IDs, and an
imported file could contain `US-EAST-1` as the region, or a zone such as `us-east-1a`. If several
records are merged, the record that was read from its cloud survives. If several of them were read,
the oldest of these survives. If none was read, the oldest record survives. The surviving record
gets the values that only another record has, and an audit entry lists the values that were dropped.
`docs/upgrade.md` explains the rules.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from peewee import (
    AutoField,
    BooleanField,
    CharField,
    Database,
    DateField,
    DateTimeField,
    IntegerField,
    JSONField,
    Model,
    SqliteDatabase,
    TextField,
    fn,
)

log = logging.getLogger(__name__)

OLD_UNIQUE = "scope_id, cloud, location, cloud_image_id, compute_resource"
NEW_UNIQUE = "scope_id, cloud, location, image_key, compute_resource"
OLD_INDEXES = {
    "image_scope_id_cloud_location_cloud_image_id_compute_resource": OLD_UNIQUE,
    "image_cloud_cloud_image_id": "cloud, cloud_image_id",
}
NEW_INDEXES = {
    "image_scope_id_cloud_location_image_key_compute_resource": NEW_UNIQUE,
    "image_cloud_image_key": "cloud, image_key",
}
REGION = re.compile(
    r"([a-z]{2,6}(?:-[a-z]{2,12}){1,3}-[0-9]{1,2})"
    r"(?:[a-z]|(?:-[a-z0-9]{2,12}){1,3}-[0-9]{1,2}[a-z]?)?"
)
"""A region of AWS, alone or at the beginning of the name of a zone."""
SEVERITY = ("active", "deprecated", "retired")
FILLED_FROM_OTHER = (
    "description",
    "size_gb",
    "architecture",
    "status_reason",
    "successor_id",
    "deprecated_on",
    "retired_on",
)
"""Columns whose empty value is replaced by the value of the other record."""
LOGGED = (
    "cloud_image_id",
    "name",
    "os_family",
    "os_version",
    "size_gb",
    "agent_installed",
    "shared",
    "description",
    "architecture",
    "state",
    "status",
    "deprecated_on",
    "retired_on",
    "status_reason",
    "successor_id",
    "credentials_name",
    "registered_by_name",
    "registered_at",
)
"""Columns that are listed in the audit entry of a merge if the merge drops or changes a value."""


def up(_migrator: Any, db: Database) -> None:
    db.execute_sql("ALTER TABLE image ADD COLUMN image_key VARCHAR(512) NOT NULL DEFAULT ''")
    _drop_indexes(db, OLD_INDEXES)
    _fill_keys(db)
    tables = _tables(db)
    _correct_aws_locations(*tables[:2])
    _merge_duplicates(*tables)
    _create_indexes(db, NEW_INDEXES)


def down(migrator: Any, db: Database) -> None:
    _drop_indexes(db, NEW_INDEXES)
    migrator.migrate(migrator.drop_column("image", "image_key"))
    _create_indexes(db, OLD_INDEXES)


def _drop_indexes(db: Database, indexes: Iterable[str]) -> None:
    for name in indexes:
        db.execute_sql(f"DROP INDEX {name}")


def _create_indexes(db: Database, indexes: dict[str, str]) -> None:
    for name, columns in indexes.items():
        unique = "UNIQUE " if columns in {OLD_UNIQUE, NEW_UNIQUE} else ""
        db.execute_sql(f"CREATE {unique}INDEX {name} ON image ({columns})")


def _fill_keys(db: Database) -> None:
    """Fill `image_key`. Python converts the few IDs that are not ASCII, as in the application."""
    db.execute_sql("UPDATE image SET image_key = lower(cloud_image_id)")
    sqlite = isinstance(db, SqliteDatabase)
    other = "GLOB '*[^ -~]*'" if sqlite else "~ '[^ -~]'"
    rows = db.execute_sql(f"SELECT id, cloud_image_id FROM image WHERE cloud_image_id {other}")  # noqa: S608
    placeholder = "?" if sqlite else "%s"
    for image_id, cloud_image_id in rows.fetchall():
        update = f"UPDATE image SET image_key = {placeholder} WHERE id = {placeholder}"  # noqa: S608
        db.execute_sql(update, (cloud_image_id.lower(), image_id))


def _tables(db: Database) -> tuple[type[Model], ...]:
    class Base(Model):
        class Meta:
            database = db
            legacy_table_names = False

    class Image(Base):
        id = IntegerField(primary_key=True)
        scope_id = IntegerField()
        cloud = CharField(max_length=32)
        location = CharField(max_length=128)
        cloud_image_id = CharField(max_length=512)
        image_key = CharField(max_length=512)
        compute_resource = CharField(max_length=255)
        name = CharField(max_length=255)
        os_family = CharField(max_length=64)
        os_version = CharField(max_length=64)
        size_gb = IntegerField(null=True)
        size_key = IntegerField()
        agent_installed = BooleanField()
        shared = BooleanField()
        description = TextField()
        architecture = CharField(max_length=32)
        state = CharField(max_length=16)
        credentials_id = IntegerField(null=True)
        credentials_name = CharField(max_length=64)
        registered_by_name = CharField(max_length=254)
        registered_at = DateTimeField()
        status = CharField(max_length=16)
        deprecated_on = DateField(null=True)
        retired_on = DateField(null=True)
        status_reason = CharField(max_length=255)
        successor_id = IntegerField(null=True)
        search_text = TextField()
        revision = IntegerField()

    class DeletedImage(Base):
        id = IntegerField(primary_key=True)
        record = JSONField()

    class AuditEntry(Base):
        id = AutoField()
        at = DateTimeField()
        scope_id = IntegerField(null=True)
        scope_label = CharField(max_length=160)
        person_name = CharField(max_length=254)
        action = CharField(max_length=48)
        subject = CharField(max_length=255)
        record = CharField(max_length=48)
        revision = IntegerField(null=True)
        changes = JSONField()

    class BookmarkBar(Base):
        id = IntegerField(primary_key=True)
        items = JSONField()

    return Image, DeletedImage, AuditEntry, BookmarkBar


def _correct_aws_locations(image: Any, deleted_image: Any) -> None:
    of_aws = image.cloud == "aws"
    for (location,) in list(image.select(image.location).where(of_aws).distinct().tuples()):
        region = _aws_region(location)
        if region != location:
            same = of_aws & (image.location == location)
            image.update(location=region).where(same).execute()
    for deleted in list(deleted_image.select()):
        columns = deleted.record["columns"]
        if columns["cloud"] == "aws" and _aws_region(columns["location"]) != columns["location"]:
            columns["location"] = _aws_region(columns["location"])
            same = deleted_image.id == deleted.id
            deleted_image.update(record=deleted.record).where(same).execute()


def _aws_region(location: str) -> str:
    lower = location.strip().lower()
    region = REGION.fullmatch(lower)
    return region[1] if region else lower


def _merge_duplicates(image: Any, _deleted_image: Any, entry: Any, bar: Any) -> None:
    columns = [getattr(image, name) for name in NEW_UNIQUE.split(", ")]
    repeated = image.select(*columns).group_by(*columns).having(fn.COUNT(image.id) > 1)
    for identity in list(repeated.tuples()):
        same = [column == value for column, value in zip(columns, identity, strict=True)]
        records = list(image.select().where(*same).order_by(image.state == "unknown", image.id))
        survivor, *others = records
        for other in others:
            _merge(image, entry, bar, survivor, other)


def _merge(image: Any, entry: Any, bar: Any, survivor: Any, other: Any) -> None:
    """Delete `other`, after `survivor` has received the values that only `other` has."""
    before = {name: getattr(survivor, name) for name in LOGGED}
    _take_over(survivor, other)
    image.update(successor_id=survivor.id).where(image.successor_id == other.id).execute()
    if _leads_to(image, survivor.successor_id, {survivor.id, other.id}):
        survivor.successor_id = None
    survivor.revision += 1
    survivor.save()
    _move_references(entry, bar, f"image:{other.id}", f"image:{survivor.id}")
    changes = {
        name: [_as_json(getattr(other, name)), _as_json(getattr(survivor, name))]
        for name in LOGGED
        if getattr(other, name) != getattr(survivor, name)
        or before[name] != getattr(survivor, name)
    }
    label = entry.select(entry.scope_label).where(entry.scope_id == survivor.scope_id).scalar()
    entry.insert(
        at=datetime.now(UTC).replace(tzinfo=None),
        scope_id=survivor.scope_id,
        scope_label=label or "",
        person_name="Upgrade",
        action="image.merge",
        subject=survivor.name,
        record=f"image:{survivor.id}",
        revision=survivor.revision,
        changes=changes,
    ).execute()
    image.delete().where(image.id == other.id).execute()
    log.warning(
        "image %s (%s) was the same cloud image as image %s (%s) and was merged into it",
        other.id,
        other.cloud_image_id,
        survivor.id,
        survivor.cloud_image_id,
    )


def _take_over(survivor: Any, other: Any) -> None:
    dates = {}
    for name in ("deprecated_on", "retired_on"):
        days = [day for day in (getattr(survivor, name), getattr(other, name)) if day]
        dates[name] = min(days, default=None)
    for name in FILLED_FROM_OTHER:
        if getattr(survivor, name) in {None, ""}:
            setattr(survivor, name, getattr(other, name))
    if survivor.credentials_id is None and other.credentials_id is not None:
        survivor.credentials_id = other.credentials_id
        survivor.credentials_name = other.credentials_name
    deprecated, retired = dates["deprecated_on"], dates["retired_on"]
    survivor.deprecated_on = None if deprecated and retired and deprecated > retired else deprecated
    survivor.retired_on = retired
    survivor.status = max(survivor.status, other.status, key=SEVERITY.index)
    survivor.shared = survivor.shared or other.shared
    survivor.size_key = survivor.size_gb or 0
    text = f"{survivor.name}\n{survivor.cloud_image_id}\n{survivor.description}"
    survivor.search_text = text.lower()


def _leads_to(image: Any, successor_id: int | None, targets: set[int]) -> bool:
    """Return whether the chain of successors that begins with `successor_id` contains a target."""
    seen: set[int] = set()
    while successor_id is not None and successor_id not in seen:
        if successor_id in targets:
            return True
        seen.add(successor_id)
        query = image.select(image.successor_id).where(image.id == successor_id)
        successor_id = query.scalar()
    return False


def _move_references(entry: Any, bar: Any, old: str, new: str) -> None:
    """Move the log entries and the bookmarks of the record `old` to the record `new`.

    The log entries lose their revisions, because these are revisions of the old record. If the
    database has seals, the log entries stay as they are, because any change of a sealed entry
    counts as a manipulation. The database can have seals if `webapp.images.catching_up` caused the
    call, to merge images that an older version stored during an upgrade.
    """
    if not entry._meta.database.table_exists("audit_seal"):  # noqa: SLF001  documented by peewee
        entry.update(record=new, revision=None).where(entry.record == old).execute()
    old_path, new_path = (text.replace("image:", "images/") for text in (old, new))
    for row in list(bar.select()):
        items = [
            {**item, "path": new_path} if item.get("path") == old_path else item
            for item in row.items
        ]
        if items != row.items:
            bar.update(items=items).where(bar.id == row.id).execute()


def _as_json(value: Any) -> Any:
    return value if value is None or isinstance(value, (bool, int, str)) else value.isoformat()
