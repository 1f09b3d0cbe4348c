"""Determine the life cycle of an image after an import, from its line and its stored values.

The rules of a life cycle are in `webapp.images.life_cycle`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import models
from models import Image, LifeCycle, Scope
from webapp.images import life_cycle, successors
from webapp.images.identity import spelled_images
from webapp.images.life_cycle import STAYS_ACTIVE, LifeCyclePlan
from webapp.refusals import Refusal
from webapp.transfer.import_lines import ImportLine, LifeCycleColumns


class LifeCycleResolver:
    """Determines the life cycle of images of `scope` after the lines of one file are imported.

    `file_image_ids` are the cloud image IDs in the file. A line can name one of these images as
    the successor, even if that image is not registered yet.
    """

    def __init__(self, scope: Scope, file_image_ids: Collection[str] = ()) -> None:
        self._scope, self._file_image_ids = scope, file_image_ids
        self._cloud_image_ids: dict[int, str] = {}
        self._successors: dict[tuple[str, str, str], int] = {}

    def resolve(self, line: ImportLine, image: Image | None) -> LifeCyclePlan:
        """Return the life cycle of `image` after the line is imported. Raises Refusal.

        `image` is None for an image that is not registered yet.
        """
        before = life_cycle.plan_of(image) if image else STAYS_ACTIVE
        columns = line.life_cycle
        if columns is None:
            return before
        if columns.status is LifeCycle.ACTIVE and not columns.has_date:
            return STAYS_ACTIVE
        dates = _resolve_dates(columns, before)
        reason = columns.reason or before.reason
        successor = self._resolve_successor(line, columns, before)
        return replace(dates, reason=reason, successor=successor)

    def as_columns(self, plan: LifeCyclePlan) -> dict[str, Any]:
        """Return the life cycle as values by column, as in a file. An empty column has None."""
        dates = {"deprecated_on": plan.deprecated_on, "retired_on": plan.retired_on}
        return {
            "status": plan.status.value,
            **{name: day.isoformat() if day else None for name, day in dates.items()},
            "status_reason": plan.reason or None,
            "successor": self._cloud_image_id(plan.successor) if plan.successor else None,
        }

    def _resolve_successor(
        self, line: ImportLine, columns: LifeCycleColumns, before: LifeCyclePlan
    ) -> int | None:
        """Return the ID of the successor, or None if the image has none.

        If the line names no successor, this is the stored successor. If the successor is in the
        file but not registered yet, the result is None. Raises Refusal if the line names no image,
        or more than one.
        """
        text = columns.successor
        if not text or (before.successor and self._cloud_image_id(before.successor) == text):
            return before.successor
        key = (line.cloud.key, line.identity.location, text)
        if key not in self._successors:
            try:
                self._successors[key] = self._find_successor(*key)
            except Refusal:
                if text in self._file_image_ids:
                    return None
                raise
        return self._successors[key]

    def _find_successor(self, cloud: str, location: str, text: str) -> int:
        """Return the ID of the image named by `text`, preferring the same cloud and location."""
        found = []
        if (spelled := spelled_images(text)) is not None:
            same_location = (Image.cloud == cloud) & (Image.location == location)
            matches = same_location & spelled & Image.visible_from(self._scope)
            found = list(Image.select(Image.id).where(matches).limit(2))
        image = found[0] if len(found) == 1 else successors.find_image(self._scope, text)
        image_id: int = image.id
        return image_id

    def _cloud_image_id(self, image_id: int) -> str:
        if image_id not in self._cloud_image_ids:
            found = Image.select(Image.cloud_image_id).where(Image.id == image_id).scalar()
            self._cloud_image_ids[image_id] = found or ""
        return self._cloud_image_ids[image_id]


def _resolve_dates(columns: LifeCycleColumns, before: LifeCyclePlan) -> LifeCyclePlan:
    """Return a plan with only the dates, as they are after the line is imported.

    An empty date column leaves the stored date unchanged. The status in the line can also set or
    remove a date:

    - `retired` sets the retirement date to today if there is none. If the line has no dates,
      `retired` also replaces a stored retirement date that is in the future.
    - `deprecated` sets the deprecation date to today if there is none. If the image is already
      retired, `deprecated` removes the stored retirement date.
    """
    today = models.today()
    deprecated = columns.deprecated_on or before.deprecated_on
    retired = columns.retired_on or before.retired_on
    if columns.status is LifeCycle.RETIRED:
        if not retired or (retired > today and not columns.has_date):
            retired = today
    elif columns.status is LifeCycle.DEPRECATED:
        ends_retirement = before.status is LifeCycle.RETIRED and not columns.retired_on
        deprecated, retired = deprecated or today, None if ends_retirement else retired
    return LifeCyclePlan(deprecated, retired)
