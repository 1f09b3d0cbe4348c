"""Read the rows of the Images page as tuples, because creating models takes too long."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from schema.columns import as_instant
from webapp.search import sql
from webapp.search.conditions import ScopeSlice
from webapp.search.ordering import Order, SortKey
from webapp.search.sql import Sql


class ListedImage(NamedTuple):
    """An image as a list shows it. `level` and `owner` are the level and the label of its scope."""

    scope_id: int
    level: str
    owner: str
    shared: bool
    registered_at: datetime
    checked_at: datetime
    check_failed_at: datetime | None
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


_COLUMNS = [f"image.{name}" for name in ("scope_id", *ListedImage._fields[3:])]


class Row(NamedTuple):
    """One row of a page: the sort key, the image, and the value of the extra column."""

    key: SortKey
    image: ListedImage
    extra: Any


def read(keys: Sql, order: Order, slices: Sequence[ScopeSlice], extra: Sql = sql.NULL) -> list[Row]:
    """Return the rows of the images whose sort keys the statement `keys` selects, in sort order.

    `extra` is one more column to select.
    """
    source = sql.joined_images(keys, "page", order.names[-1])
    found = sql.fetch(sql.select([extra, *order.names, *_COLUMNS], source, order_by=order.by_key))
    owners = {each.scope.id: (each.scope.level.value, each.scope.label) for each in slices}
    width = len(order.names) + 1
    return [
        Row(order.key_of(row[1:width]), _to_image(row[width:], owners), row[0]) for row in found
    ]


def _to_image(row: tuple[Any, ...], owners: dict[int, tuple[str, str]]) -> ListedImage:
    scope_id, shared, registered_at, checked_at, failed_at, *others = row
    failed = None if failed_at is None else as_instant(failed_at)
    instants = as_instant(registered_at), as_instant(checked_at)
    return ListedImage(scope_id, *owners[scope_id], bool(shared), *instants, failed, *others)
