"""Read the rows of the Images page as tuples, because creating models takes too long."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from models import Scope
from schema.columns import as_instant, stored_tags
from webapp.search import sql
from webapp.search.conditions import Slice
from webapp.search.ordering import Order, SortKey
from webapp.search.sql import Sql


class ListedImage(NamedTuple):
    """An image as a list shows it.

    `owner` is the label of the scope that owns the image. `level` and `owner_path` are the level
    and the path of this scope.
    """

    level: str
    owner: str
    owner_path: str
    scope_id: int
    shared: bool
    registered_at: datetime
    checked_at: datetime
    check_failed_at: datetime | None
    tags: list[str]
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
    compute_resource: str
    revision: int


_OWNER_FIELDS = 3
_COLUMNS = [f"image.{name}" for name in ListedImage._fields[_OWNER_FIELDS:]]
_Owner = tuple[str, str, str]
"""The level, the label and the path of an owner: the first values of a `ListedImage`."""


class Row(NamedTuple):
    """One row of a page: the sort key, the image, and the value of the extra column."""

    key: SortKey
    image: ListedImage
    extra: Any


def read(keys: Sql, order: Order, slices: Sequence[Slice], extra: Sql = sql.NULL) -> list[Row]:
    """Return the rows of images in sort order. The statement `keys` selects their sort keys.

    `extra` is one more column to select. An image whose owner was just deleted is left out.
    """
    source = sql.joined_images(keys, "page", order.names[-1])
    found = sql.fetch(sql.select([extra, *order.names, *_COLUMNS], source, order_by=order.by_key))
    width = len(order.names) + 1
    owners = _read_owners({row[width] for row in found}, slices)
    return [
        Row(order.key_of(row[1:width]), _to_image(row[width:], owners[row[width]]), row[0])
        for row in found
        if row[width] in owners
    ]


def _read_owners(scope_ids: Iterable[int], slices: Sequence[Slice]) -> dict[int, _Owner]:
    """Return the owners of the slices and the owners with these IDs, by ID.

    An owner that was just deleted is missing.
    """
    scopes = (each.scope for each in slices)
    owners = {scope.id: (scope.level.value, scope.label, scope.path) for scope in scopes}
    missing = set(scope_ids) - owners.keys()
    return owners | Scope.owners(missing) if missing else owners


def _to_image(row: tuple[Any, ...], owner: _Owner) -> ListedImage:
    scope_id, shared, registered_at, checked_at, failed_at, tags, *others = row
    check_failed_at = None if failed_at is None else as_instant(failed_at)
    instants = as_instant(registered_at), as_instant(checked_at)
    values = (bool(shared), *instants, check_failed_at, stored_tags(tags), *others)
    return ListedImage(*owner, scope_id, *values)
