"""Compute the derived columns of images that an older version has registered or changed.

Derived columns are computed from other columns: see `schema.images.DERIVED_COLUMNS`. During an
upgrade, servers of the old and the new version use the same database. An older version does not
fill the columns that it does not know. It increments the `revision` of an image, but not the
`derived_revision`. So this module finds the images whose two revisions differ.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime

import models
from models import Image, is_sqlite, transaction
from schema.images import UNDERIVED
from webapp import database
from webapp.images import image_details

CHUNK_SIZE = 25
"""The maximum number of images in a transaction.

On SQLite, other writers wait until the transaction ends.
"""
SQLITE_PAUSE_SECONDS = 0.01
"""The pause after each chunk on SQLite, in which other writers can write."""
DUE_DATES = "0016_due_at"
"""The migration that can read details in the format of older versions."""
PLACE_KEYS = "0017_place_keys"
"""The migration that can merge duplicates: several records of the same image."""

log = logging.getLogger(__name__)


def catch_up_chunk() -> bool:
    """Compute the derived columns of a chunk of images. Return whether any image was processed.

    If the result is True, more images may need this. First merge the duplicates of the images in
    the chunk, as `docs/upgrade.md` explains. On PostgreSQL, skip the images that another
    transaction is changing. A later call finds the skipped images again. If all images were
    skipped, the result is False.
    """
    found = Image.select(Image.id).where(UNDERIVED).limit(CHUNK_SIZE)
    # If no image is found, begin no transaction. On SQLite, a transaction would wait for other
    # writers.
    if not found.exists():
        return False
    with transaction():
        if not is_sqlite():
            found = found.for_update(skip_locked=True)
        ids = [image.id for image in found]
        if ids:
            database.load_migration(PLACE_KEYS).merge_duplicates(models.database.obj, ids)
        images = list(Image.select().where(Image.id.in_(ids)))
        for image in images:
            image.deprecation_announced_for = announced_deprecation(image)
            image.store_derived()
            log.info("derived the columns of image %s, which an older version stored", image.id)
    if is_sqlite():
        time.sleep(SQLITE_PAUSE_SECONDS)
    # A merge changes the record that remains, which may be outside this chunk. So even a chunk that
    # is not full requires another call.
    return bool(ids)


def announced_deprecation(image: Image) -> datetime | None:
    """Return the announced time at which an available image becomes deprecated, or None.

    The time comes from the stored details of the image. Details that an older version stored have
    no key `end`, so the migration DUE_DATES reads them.
    """
    if "end" in image.details:
        return image_details.from_json(image.details).deprecation_announced_for
    migration = database.load_migration(DUE_DATES)
    instant = migration.announced_in(image.cloud, image.cloud_image_id, image.details)
    return instant.replace(tzinfo=UTC) if instant else None
