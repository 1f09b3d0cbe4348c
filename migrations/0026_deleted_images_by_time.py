"""Index the deleted images of a scope by the time of their deletion."""

from __future__ import annotations

from typing import Any

from peewee import Database

from webapp.database import indexes

atomic = False
INDEX = "deleted_image_scope_id_deleted_at"


def up(_migrator: Any, db: Database) -> None:
    indexes.create_index(db, INDEX, "deleted_image (scope_id, deleted_at)")


def down(_migrator: Any, db: Database) -> None:
    db.execute_sql(f"DROP INDEX {INDEX}")
