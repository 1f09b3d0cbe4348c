"""How a person wants the Images page: which columns, and how many images on a page. Knows their
names only; what stands in a column is the template's."""

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
    "created": "Created on",
    "by": "Registered by",
    "checked": "Last checked",
    "description": "Description",
}
"""What they are called, in the order of the page. The id stands under the name where it is no
column of its own."""
ALWAYS = "name"
"""The column that cannot be left out, and so is on no list of those that are chosen."""
DEFAULT = ("location", "os", "agent", "status", "created")
PAGE_SIZES = (25, 50, 100, 250)


@dataclass(frozen=True)
class Preferences:
    """`columns` are those beside the name, in the order of COLUMNS."""

    columns: tuple[str, ...] = DEFAULT
    page_size: int = 50

    @property
    def choices(self) -> list[tuple[str, str, bool]]:
        """The columns that can be chosen: key, label, and whether it is shown."""
        return [
            (key, label, key in self.columns) for key, label in COLUMNS.items() if key != ALWAYS
        ]

    @property
    def page_sizes(self) -> tuple[int, ...]:
        return PAGE_SIZES


def of(person: Person) -> Preferences:
    """What they chose, or the usual. A column that is known no more is left out."""
    return Preferences(_known(person.columns.split() or DEFAULT), person.page_size)


def keep(person: Person, columns: Iterable[str], page_size: int) -> None:
    """`page_size` is of PAGE_SIZES."""
    # With the one that is always there: nothing at all would stand for the usual ones.
    person.columns = " ".join([ALWAYS, *_known(columns)])
    person.page_size = page_size
    person.save(only=[Person.columns, Person.page_size])


def _known(columns: Iterable[str]) -> tuple[str, ...]:
    chosen = set(columns) - {ALWAYS}
    return tuple(key for key in COLUMNS if key in chosen)
