"""Compare locations and compute resources without regard to case and other spelling.

Before, two people who registered the same image at the same moment could both succeed, if one wrote
`RegionOne` and the other `regionone`. Such records are merged by the rules of `0007_image_keys`.
"""

from __future__ import annotations

import importlib.util
import re
import unicodedata
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote

from peewee import SQL, Database, IntegrityError, SqliteDatabase, fn

from webapp.database import online

atomic = False
ATTEMPTS = 5

OLD_INDEX = "image_scope_id_cloud_location_image_key_compute_resource"
OLD_UNIQUE = "scope_id, cloud, location, image_key, compute_resource"
NEW_INDEX = "image_identity"
NEW_UNIQUE = "scope_id, cloud, location_key, image_key, compute_resource_key"
PLACES = ("location", "compute_resource")


def up(_migrator: Any, db: Database) -> None:
    kind = "VARCHAR(255) NOT NULL DEFAULT ''"
    online.add_columns(db, "image", {f"{place}_key": kind for place in PLACES})
    _fill_keys(db)
    for attempt in range(ATTEMPTS):
        _merge_duplicates(db)
        try:
            online.create_index(db, NEW_INDEX, f"image ({NEW_UNIQUE})", unique=True)
        except IntegrityError:
            # Somebody has registered a duplicate meanwhile.
            if attempt == ATTEMPTS - 1:
                raise
            _fill_keys(db)
        else:
            break
    online.drop_index(db, OLD_INDEX)


def down(migrator: Any, db: Database) -> None:
    db.execute_sql(f"DROP INDEX {NEW_INDEX}")
    migrator.migrate(*(migrator.drop_column("image", f"{place}_key") for place in PLACES))
    db.execute_sql(f"CREATE UNIQUE INDEX {OLD_INDEX} ON image ({OLD_UNIQUE})")


def _fill_keys(db: Database) -> None:
    """Fill both columns. Python corrects the few keys that SQL can't compute."""
    assignments = ", ".join(f"{place}_key = lower({place})" for place in PLACES)
    changed = " OR ".join(f"{place}_key <> lower({place})" for place in PLACES)

    def fill(first: int, last: int) -> None:
        db.execute_sql(
            f"UPDATE image SET {assignments} "  # noqa: S608  constants and numbers
            f"WHERE id BETWEEN {first} AND {last} AND ({changed})"
        )

    online.in_batches(db, "image", fill)
    parameter = _parameter(db)
    for place in PLACES:
        pairs = db.execute_sql(f"SELECT DISTINCT {place}, {place}_key FROM image").fetchall()  # noqa: S608
        for name, key in pairs:
            if key != _place_key(name):
                db.execute_sql(
                    f"UPDATE image SET {place}_key = {parameter} WHERE {place} = {parameter}",  # noqa: S608
                    (_place_key(name), name),
                )


def _place_key(name: str) -> str:
    visible = (each for each in unquote(name) if unicodedata.category(each)[0] != "C")
    key = unicodedata.normalize("NFC", "".join(visible)).lower()
    return re.sub("/+", "/", key).strip(" /")[:255]


def _merge_duplicates(db: Database) -> None:
    merging = _migration("0007_image_keys")
    texts = _migration("0014_normalized_texts")
    image, _deleted, entry, bar = merging._tables(db)  # noqa: SLF001
    columns = [SQL(name) for name in NEW_UNIQUE.split(", ")]
    repeated = image.select(*columns).group_by(*columns).having(fn.COUNT(image.id) > 1)
    for identity in list(repeated.tuples()):
        with online.write_transaction(db):
            same = [column == value for column, value in zip(columns, identity, strict=True)]
            records = list(image.select().where(*same).order_by(image.state == "unknown", image.id))
            survivor, *others = records
            due = image.select(fn.MIN(SQL("due_at"))).where(*same).scalar()
            for other in others:
                merging._merge(image, entry, bar, survivor, other)  # noqa: SLF001
            words = f"{survivor.name}\n{survivor.cloud_image_id}\n{survivor.description}"
            survivor.search_text = texts._with_short_words(texts._comparable(words).lower())  # noqa: SLF001
            survivor.save()
            # The earliest due date may be too early. Then the application corrects it on that day.
            db.execute_sql(
                f"UPDATE image SET due_at = {_parameter(db)} WHERE id = {_parameter(db)}",  # noqa: S608
                (due, survivor.id),
            )


def _parameter(db: Database) -> str:
    return "?" if isinstance(db, SqliteDatabase) else "%s"


def _migration(name: str) -> ModuleType:
    """Return another migration, which never changes."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None  # noqa: S101, PT018  for mypy
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
