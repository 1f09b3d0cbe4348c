"""Change the status and the state of images when a planned or announced date is due.

A planned date is a deprecation or retirement date of the life cycle. An announced date is a date
that the owner of a cloud image announced in the cloud. On an announced date, the state becomes
`deprecated`. The new status or state is stored, so that pages, searches and counts agree.
"""

from __future__ import annotations

import time
from datetime import datetime

import models
from models import Image, Scope, is_sqlite, transaction
from webapp import audit
from webapp.images import image_details, life_cycle

CHUNK_SIZE = 25
"""The maximum number of images in a transaction.

On SQLite, other writers wait until the transaction ends.
"""
SQLITE_PAUSE_SECONDS = 0.01
"""The pause after each chunk on SQLite, in which other writers can write."""
_CHANGED_COLUMNS = (
    Image.status,
    Image.state,
    Image.details,
    Image.deprecation_announced_for,
    Image.due_at,
)


def apply_due_dates(limit: int = CHUNK_SIZE) -> int:
    """Apply the due dates of at most `limit` images, and return the number of these images.

    Each date is applied once. Several servers may call this function at the same time: on
    PostgreSQL, a call skips the images that another transaction is changing.
    """
    moment = models.now()
    is_due = Image.due_at <= moment
    if not Image.select(Image.id).where(is_due).exists():
        return 0  # On SQLite, a transaction would wait for other writers.
    with transaction():
        query = Image.select(Image, Scope).join(Scope).where(is_due)
        if not is_sqlite():
            query = query.for_update(of=Image, skip_locked=True)
        images = list(query.order_by(Image.due_at).limit(limit))
        for image in images:
            _apply(image, moment)
    if is_sqlite():
        time.sleep(SQLITE_PAUSE_SECONDS)
    return len(images)


def apply_chunk() -> bool:
    """Apply the due dates of one chunk of images, and return whether more may be due."""
    return apply_due_dates() == CHUNK_SIZE


def _apply(image: Image, moment: datetime) -> None:
    changes = {
        **life_cycle.apply_due_status(image, moment.date()),
        **image_details.apply_due_deprecation(image, moment),
    }
    image.save(only=_CHANGED_COLUMNS)
    audit.record(None, image.scope, "image.due", image.name, record=image, changes=changes)
