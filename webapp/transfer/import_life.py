"""What a line of an imported file says of the life of an image, made whole by what is known of the
image already. The rules of that life are `webapp.images.life_cycle`'s."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import models
from models import Image, LifeCycle, Scope
from webapp.images import life_cycle
from webapp.images.life_cycle import ENDLESS, Life
from webapp.refusals import Refusal
from webapp.transfer.import_lines import SaidLife, Wanted


class Lives:
    """The lives that lines want for images of `scope`. `coming` are cloud image ids that the same
    file brings: successors that need not be there yet."""

    def __init__(self, scope: Scope, coming: Collection[str] = ()) -> None:
        self._scope, self._coming = scope, coming
        self._ids: dict[int, str] = {}
        self._numbers: dict[tuple[str, str, str], int] = {}

    def of(self, wanted: Wanted, image: Image | None) -> Life:
        """That of `image`, or of a new one, after the line. Raises Refusal."""
        before = life_cycle.of(image) if image else ENDLESS
        said = wanted.life
        if said is None:
            return before
        if said.status is LifeCycle.ACTIVE and not said.dated:
            return ENDLESS
        life = _dated(said, before)
        reason = said.reason or before.reason
        return replace(life, reason=reason, successor=self._successor(wanted, said, before))

    def shown(self, life: Life) -> dict[str, Any]:
        """As a file has it."""
        days = {"deprecated_on": life.deprecated_on, "retired_on": life.retired_on}
        return {
            "status": life.status.value,
            **{name: day.isoformat() if day else None for name, day in days.items()},
            "status_reason": life.reason or None,
            "successor": self._id_of(life.successor) if life.successor else None,
        }

    def _successor(self, wanted: Wanted, said: SaidLife, before: Life) -> int | None:
        """Raises Refusal."""
        text = said.successor
        if not text or (before.successor and self._id_of(before.successor) == text):
            return before.successor
        key = (wanted.cloud.key, wanted.identity.location, text)
        if key not in self._numbers:
            try:
                self._numbers[key] = self._named(*key)
            except Refusal:
                if text in self._coming:
                    return None
                raise
        return self._numbers[key]

    def _named(self, cloud: str, location: str, text: str) -> int:
        """One of the same cloud and place goes before others of that name."""
        near = (Image.cloud == cloud) & (Image.location == location)
        same = near & (Image.cloud_image_id == text) & Image.seen_from(self._scope)
        found = list(Image.select(Image.id).where(same).limit(2))
        number: int = found[0].id if len(found) == 1 else life_cycle.named(self._scope, text).id
        return number

    def _id_of(self, number: int) -> str:
        if number not in self._ids:
            found = Image.select(Image.cloud_image_id).where(Image.id == number).scalar()
            self._ids[number] = found or ""
        return self._ids[number]


def _dated(said: SaidLife, before: Life) -> Life:
    """A day that is not said is the one that there is; where a status has none, it is today."""
    today = models.today()
    deprecated = said.deprecated_on or before.deprecated_on
    retired = said.retired_on or before.retired_on
    if said.status is LifeCycle.RETIRED and (not retired or (retired > today and not said.dated)):
        retired = today
    elif said.status is LifeCycle.DEPRECATED:
        over = before.status is LifeCycle.RETIRED and not said.retired_on
        deprecated, retired = deprecated or today, None if over else retired
    return Life(deprecated, retired)
