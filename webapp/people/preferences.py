"""A person's preferences for the Images page: columns, height of rows, and images per page.

The last change wins. The preferences have no revision, because only one person changes them and the
form shows all of them. This module knows only the keys and labels of the columns.
`webapp.web.components` decides what each column contains.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from models import Person

COLUMNS = {
    "name": "Image",
    "id": "Cloud image ID",
    "location": "Location",
    "os": "OS",
    "size": "Size",
    "agent": "Agent",
    "arch": "Architecture",
    "shared": "Shared",
    "owner": "Owner",
    "status": "Status",
    "tags": "Tags",
    "created": "Created on",
    "by": "Registered by",
    "checked": "Last checked",
    "description": "Description",
}
"""The label of each column by key, in the order of the page.

If the column `id` is not shown, the cloud image ID is shown with the name.
"""
REQUIRED_COLUMN = "name"
"""The column that is always shown. People cannot hide it."""
DEFAULT_COLUMNS = ("location", "os", "agent", "status", "created")
PAGE_SIZES = (25, 50, 100, 250)
DENSITIES = {"comfortable": "Comfortable", "compact": "Compact"}
"""The label of each height of rows. On wide screens, a compact row has a single line of text."""


@dataclass(frozen=True)
class Preferences:
    """The preferences of one person.

    `columns` are the chosen columns in the order of COLUMNS, without REQUIRED_COLUMN.
    """

    columns: tuple[str, ...] = DEFAULT_COLUMNS
    page_size: int = 50
    density: str = "comfortable"
    """A key of DENSITIES."""

    @property
    def choices(self) -> list[tuple[str, str, bool]]:
        """The key and label of each optional column, and whether the column is shown."""
        return [
            (key, label, key in self.columns)
            for key, label in COLUMNS.items()
            if key != REQUIRED_COLUMN
        ]

    @property
    def page_sizes(self) -> tuple[int, ...]:
        return PAGE_SIZES

    @property
    def densities(self) -> dict[str, str]:
        return DENSITIES


def load_preferences(person: Person) -> Preferences:
    """Return the person's preferences, or the defaults. Ignore columns that no longer exist."""
    columns = person.columns.split() or DEFAULT_COLUMNS
    return Preferences(_existing_columns(columns), person.page_size, person.density)


def save_preferences(
    person: Person, columns: Iterable[str], page_size: int, density: str = "comfortable"
) -> None:
    """Store the person's preferences. Ignore unknown columns.

    `page_size` is one of PAGE_SIZES, and `density` is a key of DENSITIES.
    """
    # An empty text means the default columns. REQUIRED_COLUMN is stored too, so that the text is
    # not empty if the person hides all other columns.
    person.columns = " ".join([REQUIRED_COLUMN, *_existing_columns(columns)])
    person.page_size, person.density = page_size, density
    person.save(only=[Person.columns, Person.page_size, Person.density])


def _existing_columns(columns: Iterable[str]) -> tuple[str, ...]:
    chosen = set(columns) - {REQUIRED_COLUMN}
    return tuple(key for key in COLUMNS if key in chosen)
