"""Images as the Images page lists them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from schema.columns import as_instant
from webapp.search.conditions import Shelf
from webapp.search.sql import marks, rows


class ListedImage(NamedTuple):
    """An image as a list shows it: of so many, models would take too long."""

    scope_id: int
    level: str
    owner: str
    """Of the scope that owns it: its level, and what people call it."""
    shared: bool
    registered_at: datetime
    checked_at: datetime
    id: int
    name: str
    cloud: str
    location: str
    cloud_image_id: str
    os_family: str
    os_version: str
    size_gb: int | None
    agent_installed: bool
    architecture: str
    state: str
    status: str
    verified: bool
    registered_by_name: str
    description: str


_LISTED = ", ".join(["scope_id", *ListedImage._fields[3:]])


def read(numbers: Sequence[int], shelves: Sequence[Shelf]) -> list[ListedImage]:
    """Those of these ids, in this order; one that was deleted or moved meanwhile is left out."""
    if not numbers:
        return []
    seen = {(each.scope.id, each.shared): each.scope for each in shelves}
    found = {}
    wanted = f"SELECT {_LISTED} FROM image WHERE id IN ({marks(len(numbers))})"  # noqa: S608  no values
    for scope_id, shared, registered_at, checked_at, *rest in rows(wanted, numbers):
        scope = seen.get((scope_id, bool(shared)))
        if scope is not None:
            instants = as_instant(registered_at), as_instant(checked_at)
            owner = scope_id, scope.level.value, scope.label
            image = ListedImage(*owner, bool(shared), *instants, *rest)
            found[image.id] = image
    return [found[number] for number in numbers if number in found]
