"""Read the tables of the access matrices of the pages and of the API."""

from __future__ import annotations

from dataclasses import dataclass

from models import Role

URLS = {
    "scalr": "/scalr",
    "account": "/account/acme",
    "environment": "/environment/acme/production",
}
"""The URL of a scope of each level."""


@dataclass(frozen=True)
class Row:
    """The expected outcome of a request for each role. None is the key of people without a role.

    `levels` has the first letters of the levels that the row applies to. `path` continues a URL of
    URLS, and contains the names of records in braces.
    """

    levels: str
    method: str
    path: str
    outcomes: dict[Role | None, str]


def parse_table(table: str) -> list[Row]:
    """Return the rows of a table. The first line of the table has the names of the columns."""
    parsed = []
    for line in table.strip().splitlines()[1:]:
        levels, method, path, *outcomes = line.split()
        parsed.append(Row(levels, method, path, dict(zip((None, *Role), outcomes, strict=True))))
    return parsed
