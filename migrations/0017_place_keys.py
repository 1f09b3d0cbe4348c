"""Compare locations and compute resources without regard to case and other details of spelling.

Before, two people who registered the same image at the same moment could both succeed, if one wrote
`RegionOne` and the other `regionone`. Such records are merged by the rules of `0007_image_keys`.

If `derived_revision` is equal to `revision`, all columns that are computed from other columns are
correct. Older versions of the application increment only `revision`. If they register or change
images during or after the migration, `webapp.images.catching_up` finds these images, because the
two numbers differ.

The unique index is created before the keys are filled. At this time, the index is empty, so SQLite
makes writers wait only briefly. The index then refuses duplicates while the keys are filled.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from peewee import SQL, Database, SqliteDatabase, fn

from webapp.database import indexes, load_migration, online

atomic = False

OLD_INDEX = "image_scope_id_cloud_location_image_key_compute_resource"
OLD_UNIQUE = "scope_id, cloud, location, image_key, compute_resource"
NEW_INDEX = "image_identity"
NEW_UNIQUE = "scope_id, cloud, location_key, image_key, compute_resource_key"
MAX_PARAMETERS = 1_000
"""The maximum number of IDs in one query."""
PLACES = ("location", "compute_resource")
COLUMNS = {
    "location_key": "VARCHAR(255)",
    "compute_resource_key": "VARCHAR(255)",
    "derived_revision": "INTEGER NOT NULL DEFAULT 0",
}
UNDERIVED, UNDERIVED_INDEX = "derived_revision <> revision", "image_underived"


def up(_migrator: Any, db: Database) -> None:
    online.add_columns(db, "image", COLUMNS)
    indexes.create_index(
        db, NEW_INDEX, f"image ({NEW_UNIQUE}) WHERE location_key IS NOT NULL", unique=True
    )
    due_dates, merging = load_migration("0016_due_at"), _Merging(db)

    def fill(ids: Sequence[int]) -> None:
        ids = _lock(db, ids)
        if ids:
            merging.merge_duplicates(ids)
            due_dates.fill_images(db, ids)
            _fill_keys(db, ids)

    online.in_batches(db, "image", fill, where=UNDERIVED)
    indexes.create_index(db, UNDERIVED_INDEX, f"image (derived_revision) WHERE {UNDERIVED}")
    indexes.drop_index(db, OLD_INDEX)


def merge_duplicates(db: Database, ids: Sequence[int]) -> None:
    """Merge each of these images with the images that have the same identity.

    Call this function in a transaction.
    """
    _Merging(db).merge_duplicates(ids)


def down(migrator: Any, db: Database) -> None:
    for name in (NEW_INDEX, UNDERIVED_INDEX):
        indexes.drop_index(db, name)
    migrator.migrate(*(migrator.drop_column("image", name) for name in COLUMNS))
    db.execute_sql(f"CREATE UNIQUE INDEX {OLD_INDEX} ON image ({OLD_UNIQUE})")


def _lock(db: Database, ids: Sequence[int]) -> list[int]:
    """Lock images until the transaction ends, and return the IDs of the locked images.

    Images that somebody else is changing are left to `webapp.images.catching_up`.
    """
    if isinstance(db, SqliteDatabase):
        return list(ids)
    query = f"SELECT id FROM image WHERE {online.among(ids)} FOR UPDATE SKIP LOCKED"  # noqa: S608
    return [number for (number,) in db.execute_sql(query).fetchall()]


def _fill_keys(db: Database, ids: Sequence[int]) -> None:
    """Fill the keys. Python corrects the few keys that SQL can't compute."""
    condition = online.among(ids)
    assignments = ", ".join(f"{place}_key = lower({place})" for place in PLACES)
    db.execute_sql(
        f"UPDATE image SET {assignments}, derived_revision = revision WHERE {condition}"  # noqa: S608  constants and numbers
    )
    for place in PLACES:
        query = f"SELECT DISTINCT {place}, {place}_key FROM image WHERE {condition}"  # noqa: S608
        for name, key in db.execute_sql(query).fetchall():
            if key != _place_key(name):
                db.execute_sql(
                    f"UPDATE image SET {place}_key = {db.param} "  # noqa: S608
                    f"WHERE {condition} AND {place} = {db.param}",
                    (_place_key(name), name),
                )


def _place_key(name: str) -> str:
    visible = (each for each in unquote(name) if unicodedata.category(each)[0] != "C")
    key = unicodedata.normalize("NFC", "".join(visible)).lower()
    return re.sub("/+", "/", key).strip(" /")[:255]


class _Merging:
    """Merges images that have the same identity."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._rules = load_migration("0007_image_keys")
        self._texts = load_migration("0014_normalized_texts")
        self._tables = self._rules._tables(db)  # noqa: SLF001

    def merge_duplicates(self, ids: Sequence[int]) -> None:
        image = self._tables[0]
        groups = defaultdict(list)
        suspects = self._suspects(ids)
        for number in range(0, len(suspects), MAX_PARAMETERS):
            chunk = suspects[number : number + MAX_PARAMETERS]
            for each in list(image.select().where(image.id.in_(chunk))):
                places = _place_key(each.location), _place_key(each.compute_resource)
                groups[(each.scope_id, each.cloud, each.image_key, *places)].append(each.id)
        for same in groups.values():
            if len(same) > 1:
                self._merge(same)

    def _suspects(self, ids: Sequence[int]) -> list[int]:
        """Return the IDs of images that may be duplicates: some of `ids`, and IDs of other images.

        Two images may be duplicates if they have the same scope, cloud and cloud image ID, even if
        their locations or compute resources differ. The plus sign in the query makes the database
        use the index of cloud image IDs.
        """
        query = (
            "SELECT one.id, other.id FROM image AS one JOIN image AS other "  # noqa: S608
            "ON other.cloud = one.cloud AND other.image_key = one.image_key "
            "AND +other.scope_id = one.scope_id AND other.id <> one.id "
            f"WHERE one.{online.among(ids)}"
        )
        pairs = self._db.execute_sql(query).fetchall()
        return sorted({number for pair in pairs for number in pair})

    def _merge(self, ids: Sequence[int]) -> None:
        image, _deleted, entry, bar = self._tables
        query = image.select().where(image.id.in_(ids))
        if not isinstance(self._db, SqliteDatabase):
            query = query.for_update()
        # The oldest image that was read from its cloud stays. If there is none, the oldest stays.
        records = sorted(query, key=lambda each: (each.state == "unknown", each.id))
        if len(records) < 2:
            return  # Somebody else has deleted the other images meanwhile.
        survivor, *others = records
        due = image.select(fn.MIN(SQL("due_at"))).where(image.id.in_(ids)).scalar()
        for other in others:
            self._rules._merge(image, entry, bar, survivor, other)  # noqa: SLF001
        words = f"{survivor.name}\n{survivor.cloud_image_id}\n{survivor.description}"
        survivor.search_text = self._texts._with_short_words(  # noqa: SLF001
            self._texts._comparable(words).lower()  # noqa: SLF001
        )
        survivor.save()
        # The earliest due date may be too early. If so, the application corrects it on that day.
        self._db.execute_sql(
            f"UPDATE image SET due_at = {self._db.param} WHERE id = {self._db.param}",  # noqa: S608
            (due, survivor.id),
        )
