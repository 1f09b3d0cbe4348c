"""The sort orders of the Images page, and the cursors of its pages.

The sort key of an image consists of the values that the image is sorted by. A cursor is a sort key
as text for a URL. The next page begins after the cursor's sort key, even if images were registered
or deleted meanwhile.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from peewee import BooleanField, Field, ForeignKeyField, IntegerField

from models import FacetGroup, Image
from schema.columns import InstantField
from webapp.search import sql
from webapp.search.conditions import ScopeSlice, Slice
from webapp.search.keys import Key
from webapp.search.sql import Sql
from webapp.values.text import is_encodable

SORTS: dict[str, tuple[str, ...]] = {
    "name": ("name_key",),
    "id": ("cloud", "cloud_image_id"),
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
"""The columns of each sort order. Images with equal values are sorted by the column `id`.

For each order, an index contains the images of a slice (`webapp.search.conditions`) in this order.
The orders `shared` and `owner` sort the slices, and the images of each slice by the column `id`.
"""

SORTS_BELOW = {**SORTS, "owner": ("scope",)}
"""The columns of each sort order, if a search includes the scopes below.

Such a search can find images of thousands of owners, so there would be too many slices to rank.
Instead, the order `owner` sorts the images by the ID of the owner, for which there is an index.
"""

SortKey = tuple[Any, ...]
"""The values that an image is sorted by. The last value is the ID of the image.

For the order `shared`, and for `owner` without the scopes below, the first value is the rank of the
image's slice. The rank is the number by which the order sorts the slice. Several slices can have
the same rank.
"""


FACET_SORTS: dict[str, tuple[Key, ...]] = {
    "id": (Key.CLOUD,),
    "location": (Key.CLOUD, Key.LOCATION),
    "os": (Key.OS,),
    "agent": (Key.AGENT,),
    "arch": (Key.ARCH,),
    "status": (Key.STATUS,),
}
"""The sort orders that begin with columns of `FacetGroup`, and the search keys of these columns.

`FacetGroup` has the columns that `SORTS` lists for these orders, except `cloud_image_id` and
`os_version_key`.
"""


class Order:
    """One sort order and its direction.

    Statements select the values of a sort key as columns named k0, k1, … If `below` is true, the
    search includes the scopes below.
    """

    def __init__(self, sort: str, *, descending: bool, below: bool = False) -> None:
        self.sort, self.descending = sort, descending
        columns = (SORTS_BELOW if below else SORTS)[sort]
        self.fields: list[Field] = [getattr(Image, name) for name in columns]
        self.names = [f"k{index}" for index in range(max(len(self.fields), 1) + 1)]

    @property
    def sorts_slices(self) -> bool:
        """Whether this order sorts whole slices, and the images of a slice only by their ID."""
        return not self.fields

    def columns(self, slices: Sequence[Slice]) -> list[Sql]:
        """Return the columns to select for the sort keys of images in these slices."""
        pairs = zip(self._expressions(slices), self.names, strict=True)
        return [sql.named(expression, name) for expression, name in pairs]

    @property
    def by_key(self) -> str:
        """The ORDER BY text for selected sort keys."""
        return sql.order_by_text(self.names, descending=self.descending)

    @property
    def by_index(self) -> str:
        """The ORDER BY text for slices of the same rank. It matches the index of this sort order.

        The text does not contain the rank. If it did, SQLite would sort the rows, although all rows
        have the same rank.
        """
        names = self.names if self.fields else self.names[1:]
        return sql.order_by_text(names, descending=self.descending)

    def slices_by_rank(self, slices: Sequence[Slice]) -> list[list[Slice]]:
        """Return groups of slices: all images of a group come before those of the next group.

        The slices of one group have the same rank. If this order does not sort slices, all slices
        are in one group.
        """
        if self.fields:
            return [list(slices)]
        ranks = sorted({self._rank(each) for each in slices}, reverse=self.descending)
        return [[each for each in slices if self._rank(each) == rank] for rank in ranks]

    def after(self, slices: Sequence[Slice], key: SortKey) -> Sql:
        """Return the condition that an image of these slices comes after `key`."""
        values = self._database_values(key)
        return sql.comes_after(self._expressions(slices), values, descending=self.descending)

    def after_in_slice(self, slice_: Slice, key: SortKey) -> Sql:
        """Return the condition that an image of one slice comes after `key`.

        The slice's index can answer this condition. If the order sorts slices, the index cannot
        answer the condition that `after` returns.
        """
        return self._key_condition(slice_, key, descending=self.descending)

    def just_before(self, key: SortKey) -> SortKey:
        """Return the sort key directly before `key`.

        The first image after the returned sort key is the image with the sort key `key`.
        """
        *values, image_id = key
        return (*values, image_id + (1 if self.descending else -1))

    @property
    def facet_columns(self) -> list[str]:
        """The columns with which the sort key begins and which `FacetGroup` also has."""
        if self.sort == "owner":
            return [field.column_name for field in self.fields]
        if self.sort not in FACET_SORTS:
            return []
        names = [field.column_name for field in self.fields]
        return [name for name in names if name in FacetGroup._meta.columns]  # noqa: SLF001

    def after_facets(self, key: SortKey) -> Sql:
        """Return the condition that an image comes after `key`.

        Use this condition only for images with the same values as `key` in `facet_columns`.
        """
        first = len(self.facet_columns)
        columns = self._expressions([])[first:]
        values = self._database_values(key)[first:]
        return sql.comes_after(columns, values, descending=self.descending)

    def until_in_slice(self, slice_: Slice, key: SortKey) -> Sql:
        """Return the condition that an image of one slice does not come after `key`.

        The slice's index can answer this condition.
        """
        return self._key_condition(slice_, key, descending=not self.descending, inclusive=True)

    def key_of(self, row: Sequence[Any]) -> SortKey:
        """Return the sort key of a row as Python values. The row has the columns of `columns`."""
        *values, image_id = row
        if self.fields:
            pairs = zip(self.fields, values, strict=True)
            values = [field.python_value(value) for field, value in pairs]
        return (*values, image_id)

    def cursor(self, key: SortKey) -> str:
        """Return a sort key as text for a URL."""
        values = [each.isoformat() if isinstance(each, datetime) else each for each in key]
        text = json.dumps(values, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(text).decode().rstrip("=")

    def parse_cursor(self, cursor: str) -> SortKey | None:
        """Return the sort key of a cursor, or None if the text is not a cursor of this order."""
        try:
            padded = cursor + "=" * (-len(cursor) % 4)
            *values, image_id = json.loads(base64.b64decode(padded, b"-_", validate=True))
            if len(values) != len(self.names) - 1 or not _is_storable_number(image_id):
                return None
            if not self.fields:
                return (values[0], image_id) if _is_storable_number(values[0]) else None
            pairs = zip(self.fields, values, strict=True)
            return (*(_parse_value(field, value) for field, value in pairs), image_id)
        except (ValueError, TypeError, OverflowError, RecursionError):
            return None

    def _expressions(self, slices: Sequence[Slice]) -> list[str]:
        """Return the SQL expressions for the values of a sort key."""
        if self.fields:
            return [*(field.column_name for field in self.fields), "id"]
        if len(slices) == 1:
            return [str(self._rank(slices[0])), "id"]
        return [sql.first_match((each.condition, self._rank(each)) for each in slices), "id"]

    def _key_condition(
        self, slice_: Slice, key: SortKey, *, descending: bool, inclusive: bool = False
    ) -> Sql:
        columns, values = self._expressions([slice_]), self._database_values(key)
        if not self.fields or (self.sort == "owner" and isinstance(slice_, ScopeSlice)):
            # All images of the slice have the same first value, so compare only the IDs.
            rank = slice_.scope.id if self.fields else self._rank(slice_)
            if rank != key[0]:
                return sql.ALWAYS if (rank < key[0]) is descending else sql.NEVER
            columns, values = columns[1:], values[1:]
        return sql.comes_after(columns, values, descending=descending, inclusive=inclusive)

    def _database_values(self, key: SortKey) -> list[Any]:
        """Return the values of a sort key as the database stores them."""
        values = [field.db_value(value) for field, value in zip(self.fields, key, strict=False)]
        return [*values, *key[len(self.fields) :]]

    def _rank(self, slice_: Slice) -> int:
        """Return the number by which the order `shared` or `owner` sorts a slice."""
        return slice_.distance if self.sort == "owner" else int(slice_.shared)


def _is_storable_number(number: object) -> bool:
    return type(number) is int and 0 <= number < 2**63


def _parse_value(field: Field, value: Any) -> Any:
    """Return a value of a cursor as the Python value of a column.

    Raises ValueError, TypeError or OverflowError if the column cannot hold the value.
    """
    if isinstance(field, InstantField):
        instant = datetime.fromisoformat(value)
        # An instant that is out of range in UTC raises OverflowError here, not in the database.
        return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
    kinds = {BooleanField: bool, IntegerField: int, ForeignKeyField: int}
    kind = kinds.get(type(field), str)
    if type(value) is not kind or not is_encodable(str(value)):
        raise TypeError
    if kind is int and not _is_storable_number(value):
        raise ValueError
    return field.python_value(value)
