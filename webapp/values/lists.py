"""Return the first rows of a list, or the first rows that contain a text."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any, Generic, TypeVar

from webapp.values.text import normalized

LIST_SIZE = 100
"""The default maximum number of rows that a page shows of a list."""
MAX_SEARCH_LENGTH = 256
"""The maximum length of a text to search for, in characters.

The fields that `find` searches are at most this long, and SQLite refuses very long patterns.
"""

T = TypeVar("T")


@dataclass(frozen=True)
class FirstRows(Generic[T]):
    """The first rows of a query, and the number of all rows that the query matches."""

    rows: list[T]
    total: int

    def __len__(self) -> int:
        """Return `total`, not the number of `rows`."""
        return self.total


def find(query: Any, text: str = "", *fields: Any, size: int = LIST_SIZE) -> FirstRows[Any]:
    """Return the first `size` rows of `query`, and the total number of its rows.

    If `text` is not empty, find only rows in which one of `fields` contains `text`. A text that is
    longer than MAX_SEARCH_LENGTH finds nothing.
    """
    text = normalized(text)
    if len(text) > MAX_SEARCH_LENGTH:
        return FirstRows([], 0)
    if text:
        query = query.where(reduce(or_, (field.contains(text) for field in fields)))
    rows = list(query.limit(size + 1))
    # Most lists are short, so a second statement is rarely needed.
    total = len(rows) if len(rows) <= size else query.count()
    return FirstRows(rows[:size], total)
