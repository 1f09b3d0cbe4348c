"""Add indexes by cloud and cloud image ID, and by operating system and name.

In a list of many images, the matches of a search can all be near the end. In the new indexes, the
images of a list that have the same cloud, or the same OS family, are next to each other. So a
search for a cloud or an OS family does not read other images.
"""

from __future__ import annotations

from typing import Any

from peewee import Database

from webapp.database import indexes

atomic = False
IS_FILLED = "account_id IS NOT NULL"
BY_ID = "cloud, cloud_image_id, id"
BY_NAME = "os_family, name_key, id"
INDEXES = {
    "image_by_cloud_cloud_image_id": f"image (scope_id, shared, {BY_ID})",
    "account_image_by_cloud_cloud_image_id": (
        f"image (account_id, shared, {BY_ID}) WHERE {IS_FILLED}"
    ),
    "any_image_by_cloud_cloud_image_id": f"image (shared, {BY_ID}) WHERE {IS_FILLED}",
    "image_by_os_family_name_key": f"image (scope_id, shared, {BY_NAME})",
    "account_image_by_os_family_name_key": (
        f"image (account_id, shared, {BY_NAME}) WHERE {IS_FILLED}"
    ),
    "any_image_by_os_family_name_key": f"image (shared, {BY_NAME}) WHERE {IS_FILLED}",
}
FORMER_INDEXES = {
    "image_by_cloud_image_id": "image (scope_id, shared, cloud_image_id, id)",
    "account_image_by_cloud_image_id": (
        f"image (account_id, shared, cloud_image_id, id) WHERE {IS_FILLED}"
    ),
    "any_image_by_cloud_image_id": f"image (shared, cloud_image_id, id) WHERE {IS_FILLED}",
}


def up(_migrator: Any, db: Database) -> None:
    _replace(db, INDEXES, FORMER_INDEXES)


def down(_migrator: Any, db: Database) -> None:
    _replace(db, FORMER_INDEXES, INDEXES)


def _replace(db: Database, new: dict[str, str], old: dict[str, str]) -> None:
    for name, definition in new.items():
        indexes.create_index(db, name, definition)
    for name in old:
        indexes.drop_index(db, name)
