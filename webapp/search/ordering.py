"""The orders that images can be listed in, and cursors: places in an order that an address can
hold, so that the next page begins where this one ended, whatever was registered or deleted
meanwhile."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from peewee import BooleanField, Field, IntegerField

from models import Image
from schema.columns import InstantField
from webapp.search.conditions import Shelf
from webapp.search.sql import Written, marks

SORTS: dict[str, tuple[str, ...]] = {
    "name": ("name_key",),
    "id": ("cloud_image_id",),
    "location": ("cloud", "location"),
    "os": ("os_family", "os_version_key"),
    "size": ("size_key",),
    "agent": ("agent_installed",),
    "arch": ("architecture",),
    "shared": (),
    "owner": (),
    "status": ("status", "state"),
    "created": ("registered_at",),
    "by": ("registered_by_name",),
    "checked": ("checked_at",),
}
"""The columns of each order; the id breaks ties. Every shelf is kept in all of these orders; by
`shared` and by `owner` are orders of the shelves themselves."""

Place = tuple[Any, ...]
"""Where an image stands in an order: what it is sorted by, and its id."""


class Order:
    """One order, read from its beginning or, `falling`, from its end. In SQL its keys are called k0
    and so on, the id last."""

    def __init__(self, sort: str, *, falling: bool) -> None:
        self.sort, self.falling = sort, falling
        self.fields: list[Field] = [getattr(Image, name) for name in SORTS[sort]]

    def keys(self, *shelves: Shelf) -> list[str]:
        """What the images of these shelves are sorted by, as SQL."""
        if self.fields:
            first = [field.column_name for field in self.fields]
        elif len(shelves) == 1:
            first = [str(self._rank(shelves[0]))]
        elif self.sort == "shared":
            first = ["CASE WHEN shared THEN 1 ELSE 0 END"]
        else:
            ranks = " ".join(f"WHEN {each.scope.id} THEN {each.rank}" for each in shelves)
            first = [f"CASE scope_id {ranks} END"]
        return [*first, "id"]

    def places(self, *shelves: Shelf) -> str:
        """What to select of the images of these shelves to get their places, as SQL."""
        return ", ".join(f"{key} AS k{at}" for at, key in enumerate(self.keys(*shelves)))

    @property
    def by(self) -> str:
        """What to order places by, once they are selected, as SQL."""
        return self._by(0)

    @property
    def by_run(self) -> str:
        """The same where `one_after_another` has put the shelves in order already."""
        return self._by(0 if self.fields else 1)

    def _by(self, first: int) -> str:
        direction = "DESC" if self.falling else "ASC"
        keys = range(first, max(len(self.fields), 1) + 1)
        return ", ".join(f"k{at} {direction}" for at in keys)

    def one_after_another(self, shelves: Sequence[Shelf]) -> list[list[Shelf]]:
        """The shelves whose images are merged, and before those whose images all come later."""
        if self.fields:
            return [list(shelves)]
        ranks = sorted({self._rank(each) for each in shelves}, reverse=self.falling)
        return [[each for each in shelves if self._rank(each) == rank] for rank in ranks]

    def typed(self, place: Place) -> Place:
        """The place as Python's values, whichever way it was read."""
        if not self.fields:
            return place
        pairs = zip(self.fields, place[:-1], strict=True)
        return (*(field.python_value(value) for field, value in pairs), place[-1])

    def begins(self, shelf: Shelf, place: Place, *, ends: bool = False) -> Written:
        """The condition for what follows `place`, or ends with it, by the order that the shelf is
        kept in."""
        falling = self.falling != ends
        if self.fields:
            return self._beyond(self.keys(shelf), place, falling=falling, including=ends)
        rank, (there, number) = self._rank(shelf), place
        if rank == there:
            return self._beyond(["id"], (number,), falling=falling, including=ends)
        return Written("id > 0" if (rank < there) == falling else "id < 0")

    def follows(self, shelves: Sequence[Shelf], place: Place) -> Written:
        """The condition for what follows `place`, whichever shelf it stands on."""
        return self._beyond(self.keys(*shelves), place, falling=self.falling)

    def written(self, place: Place) -> str:
        """A cursor, for an address."""
        values = [
            each.isoformat() if isinstance(each, datetime) else each for each in self.typed(place)
        ]
        text = json.dumps(values, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(text).decode().rstrip("=")

    def read(self, cursor: str) -> Place | None:
        """Any text can come from an address: None for what is no place in this order."""
        try:
            padded = cursor + "=" * (-len(cursor) % 4)
            *values, number = json.loads(base64.b64decode(padded, b"-_", validate=True))
            if len(values) != max(len(self.fields), 1) or not _is_id(number):
                return None
            if not self.fields:
                return (values[0], number) if _is_id(values[0]) else None
            pairs = zip(self.fields, values, strict=True)
            return (*(_checked(field, value) for field, value in pairs), number)
        except (ValueError, TypeError, OverflowError, RecursionError):
            return None

    def _beyond(
        self, keys: Sequence[str], place: Place, *, falling: bool, including: bool = False
    ) -> Written:
        compare = ("<" if falling else ">") + ("=" if including else "")
        pairs = zip(self.fields, place, strict=False)
        values = [field.db_value(value) for field, value in pairs]
        values += place[len(self.fields) :]
        return Written(f"({', '.join(keys)}) {compare} ({marks(len(values))})", values)

    def _rank(self, shelf: Shelf) -> int:
        return shelf.rank if self.sort == "owner" else int(shelf.shared)


def _is_id(number: object) -> bool:
    return type(number) is int and 0 <= number < 2**63


def _checked(field: Field, value: Any) -> Any:
    """Raises ValueError and TypeError for what the column cannot hold."""
    if isinstance(field, InstantField):
        instant = datetime.fromisoformat(value)
        # Here, where an instant that no calendar holds in UTC can still be refused.
        return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
    kind = {BooleanField: bool, IntegerField: int}.get(type(field), str)
    if type(value) is not kind or "\0" in str(value):
        raise TypeError
    if kind is int and not _is_id(value):
        raise ValueError
    return field.python_value(value)
