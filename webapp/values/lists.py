"""Lists whose pages show the first rows, and a search box to find the others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any, Generic, TypeVar

from webapp.values.text import normalized

LIST_SIZE = 100
"""How many rows the page of a list shows."""
MAX_SEARCH_LENGTH = 256
"""No row contains a longer text, and SQLite refuses very long patterns."""

T = TypeVar("T")


@dataclass(frozen=True)
class Found(Generic[T]):
    """The first rows of a list, and the number of all its rows."""

    rows: list[T]
    total: int

    def __len__(self) -> int:
        return self.total


def find(query: Any, text: str = "", *fields: Any, size: int = LIST_SIZE) -> Found[Any]:
    """Return the first `size` rows of `query`.

    With `text`, return only rows in which one of `fields` contains `text`.
    """
    text = normalized(text)
    if len(text) > MAX_SEARCH_LENGTH:
        return Found([], 0)
    if text:
        query = query.where(reduce(or_, (field.contains(text) for field in fields)))
    rows = list(query.limit(size + 1))
    # Most lists are short, so a second statement is rarely needed.
    total = len(rows) if len(rows) <= size else query.count()
    return Found(rows[:size], total)
