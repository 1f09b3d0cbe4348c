"""The images that were deleted in the last 24 hours and can still be restored."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

from peewee import JOIN

from models import DeletedImage, Person, Scope, now
from webapp.images.deletion import RESTORABLE_FOR
from webapp.values.lists import FirstRows, find


class Deleted(NamedTuple):
    """A deleted image, the time of its deletion, and the person who deleted it.

    `person_name` is None if the registry no longer has a record of the person.
    """

    image_id: int
    batch: str
    scope_id: int
    deleted_at: datetime
    person_name: str | None
    name: str
    cloud: str
    location: str
    cloud_image_id: str

    @property
    def restorable_until(self) -> datetime:
        return self.deleted_at + RESTORABLE_FOR


_NAME = DeletedImage.record["columns"]["name"].as_text()


def at_scope(scope: Scope, text: str = "") -> FirstRows[Deleted]:
    """Return the restorable images of `scope`, newest deletion first.

    If `text` is not empty, return only the images whose name contains `text`.
    """
    query = _select(DeletedImage.scope == scope.id)
    latest_first = query.order_by(DeletedImage.deleted_at.desc(), DeletedImage.id.desc())
    return find(latest_first, text, _NAME)


def visible_from(scope: Scope, image_id: int) -> Deleted | None:
    """Return the restorable image with this ID if `scope` owned or inherited it, or None."""
    is_shared = DeletedImage.record["columns"]["shared"] == True  # noqa: E712
    is_inherited = DeletedImage.scope.in_(scope.above) & is_shared
    is_visible = (DeletedImage.scope == scope.id) | is_inherited
    found: Deleted | None = _select((DeletedImage.id == image_id) & is_visible).first()
    return found


def at_scope_by_ids(scope: Scope, image_ids: Collection[int]) -> list[Deleted]:
    """Return the restorable images that were deleted at `scope` and that have these IDs.

    The image that was deleted last comes first, and callers restore the images in this order. In
    another order, some images would lose the links to their successors: restoring an image can set
    only the links to images that exist at that moment.
    """
    is_chosen = (DeletedImage.scope == scope.id) & DeletedImage.id.in_(list(image_ids))
    order = DeletedImage.record["order"].as_text().cast("BIGINT")
    return list(_select(is_chosen).order_by(order.desc()))


def _select(condition: Any) -> Any:
    columns = DeletedImage.record["columns"]
    names = ("cloud", "location", "cloud_image_id")
    return (
        DeletedImage.select(
            DeletedImage.id.alias("image_id"),
            DeletedImage.batch,
            DeletedImage.scope.alias("scope_id"),
            DeletedImage.deleted_at,
            Person.name.alias("person_name"),
            _NAME.alias("name"),
            *(columns[name].as_text().alias(name) for name in names),
        )
        .join(Person, JOIN.LEFT_OUTER)
        .where(condition & (DeletedImage.deleted_at >= now() - RESTORABLE_FOR))
        .objects(Deleted)
    )
