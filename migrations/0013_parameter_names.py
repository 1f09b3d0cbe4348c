"""Compare references to parameters, such as `resolve:ssm:/golden/Web`, with regard to case.

Parameters whose names differ only in case are different parameters.
"""

from __future__ import annotations

from typing import Any

from peewee import Database


def up(_migrator: Any, db: Database) -> None:
    db.execute_sql(
        "UPDATE image SET image_key = cloud_image_id"
        " WHERE SUBSTR(cloud_image_id, 1, 8) = 'resolve:' AND image_key <> cloud_image_id"
    )


def down(_migrator: Any, _db: Database) -> None:
    """Leave the keys as they are: in lower case, they might no longer be unique."""
