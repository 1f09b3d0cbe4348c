"""Replace two indexes, so that the images whose status is due to change are found fast.

With the old indexes, the query also read all images whose status had already changed long ago.
"""

from __future__ import annotations

from typing import Any

from peewee import Database

BEFORE = {"image_deprecated_on": "deprecated_on", "image_retired_on": "retired_on"}
AFTER = {
    "image_status_deprecated_on": "status, deprecated_on",
    "image_status_retired_on": "status, retired_on",
}


def up(_migrator: Any, db: Database) -> None:
    _replace(db, BEFORE, AFTER)


def down(_migrator: Any, db: Database) -> None:
    _replace(db, AFTER, BEFORE)


def _replace(db: Database, old: dict[str, str], new: dict[str, str]) -> None:
    for name in old:
        db.execute_sql(f"DROP INDEX {name}")
    for name, columns in new.items():
        db.execute_sql(f"CREATE INDEX {name} ON image ({columns})")
