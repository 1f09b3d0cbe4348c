"""The orders that images can be listed in, and cursors: places in an order that an address can
hold, so that the next page begins where this one ended, whatever was registered or deleted
meanwhile."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from peewee import SQL, BooleanField, Case, Field, IntegerField, Tuple, Value

from fields import InstantField
from models import Image
from webapp.matching import Shelf

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
    """One order, read from its beginning or, `falling`, from its end."""

    def __init__(self, sort: str, *, falling: bool) -> None:
        self.sort, self.falling = sort, falling
        self.fields: list[Field] = [getattr(Image, name) for name in SORTS[sort]]

    def of_shelf(self, shelf: Shelf) -> list[Any]:
        """What to select of the images of one shelf to get their places."""
        first = list(self.fields) if self.fields else [Value(self._rank(shelf))]
        return _named([*first, Image.id])

    def of_all(self, shelves: Sequence[Shelf]) -> list[Any]:
        """The same of the images of several, however they were found."""
        return _named([*self._among(shelves), Image.id])

    def one_after_another(self, shelves: Sequence[Shelf]) -> list[list[Shelf]]:
        """The shelves whose images are merged, and before those whose images all come later."""
        if self.fields:
            return [list(shelves)]
        ranks = sorted({self._rank(each) for each in shelves}, reverse=self.falling)
        return [[each for each in shelves if self._rank(each) == rank] for rank in ranks]

    @property
    def by(self) -> list[Any]:
        """What to order places by, once they are selected."""
        return self._named(0)

    @property
    def by_run(self) -> list[Any]:
        """The same where `one_after_another` has put the shelves in order already."""
        return self._named(0 if self.fields else 1)

    def _named(self, first: int) -> list[Any]:
        names = [SQL(f"k{at}") for at in range(first, max(len(self.fields), 1) + 1)]
        return [each.desc() if self.falling else each.asc() for each in names]

    def first(self, run: Any, most: int) -> Any:
        """A run cut short on its own: PostgreSQL then follows its order, where it might sort all
        that a union of whole runs finds."""
        names = [SQL(f"k{at}") for at in range(max(len(self.fields), 1) + 1)]
        return run.order_by(*self.by_run).limit(most).select_from(*names)

    def typed(self, place: Place) -> Place:
        """The place as Python's values, whichever way it was read."""
        if not self.fields:
            return place
        pairs = zip(self.fields, place[:-1], strict=True)
        return (*(field.python_value(value) for field, value in pairs), place[-1])

    def begins(self, shelf: Shelf, place: Place, *, ends: bool = False) -> Any:
        """The condition for what follows `place`, or ends with it, by the order that the shelf is
        kept in."""
        falling = self.falling != ends
        if self.fields:
            return _beyond([*self.fields, Image.id], place, falling=falling, including=ends)
        rank, (there, number) = self._rank(shelf), place
        if rank == there:
            return _beyond([Image.id], (number,), falling=falling, including=ends)
        return Image.id > 0 if (rank < there) == falling else Image.id < 0

    def follows(self, shelves: Sequence[Shelf], place: Place) -> Any:
        """The condition for what follows `place`, whichever shelf it stands on."""
        return _beyond([*self._among(shelves), Image.id], place, falling=self.falling)

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
                return (int(values[0]), number)
            pairs = zip(self.fields, values, strict=True)
            return (*(_checked(field, value) for field, value in pairs), number)
        except (ValueError, TypeError, OverflowError, RecursionError):
            return None

    def _among(self, shelves: Sequence[Shelf]) -> list[Any]:
        if self.fields:
            return list(self.fields)
        if self.sort == "shared":
            return [Case(None, [(Image.shared, 1)], 0)]
        return [Case(Image.scope, [(each.scope.id, each.rank) for each in shelves], 0)]

    def _rank(self, shelf: Shelf) -> int:
        return shelf.rank if self.sort == "owner" else int(shelf.shared)


def _named(columns: Sequence[Any]) -> list[Any]:
    return [each.alias(f"k{at}") for at, each in enumerate(columns)]


def _is_id(number: object) -> bool:
    return type(number) is int and 0 <= number < 2**63


def _checked(field: Field, value: Any) -> Any:
    """Raises ValueError and TypeError for what the column cannot hold."""
    if isinstance(field, InstantField):
        instant = datetime.fromisoformat(value)
        return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    kind = {BooleanField: bool, IntegerField: int}.get(type(field), str)
    if type(value) is not kind or "\0" in str(value):
        raise TypeError
    return field.python_value(value)


def _beyond(columns: Sequence[Any], place: Place, *, falling: bool, including: bool = False) -> Any:
    values = [
        Value(value, converter=column.db_value if isinstance(column, Field) else None)
        for column, value in zip(columns, place, strict=True)
    ]
    here, there = Tuple(*columns), Tuple(*values)
    if including:
        return here <= there if falling else here >= there
    return here < there if falling else here > there
