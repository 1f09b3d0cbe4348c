"""Find the values of visible images that a search term can mean.

For example, the search language reads `os:"Oracle Solaris"` as the version "Solaris" of Oracle
Linux. But if an image has the OS family "Oracle Solaris", the term means this family.
"""

from __future__ import annotations

from collections.abc import Sequence

from models import Scope
from schema.text import place_key
from webapp.search import conditions, sql
from webapp.search.conditions import Slice
from webapp.search.keys import Key
from webapp.search.query import Query
from webapp.search.sql import Sql

COLUMNS = {
    Key.CLOUD: ["cloud"],
    Key.LOCATION: ["location"],
    Key.OS: ["os_family", "os_version"],
    Key.ARCH: ["architecture"],
}
"""For each key in `keys.STORED_KEYS`, the columns of `FacetGroup` that contain its values."""


def has_registrar(slices: Sequence[Slice], name: str) -> bool:
    """Return whether a person with this name registered one of the images of the slices."""
    is_named = sql.equals("registered_by_name", name)
    named = (sql.rows_of("image", sql.all_of([each.condition, is_named])) for each in slices)
    return sql.fetch_number(sql.sum_of_results(sql.count(each, 1) for each in named)) > 0


def find_values(scope: Scope, reach: Query, key: Key, texts: Sequence[str]) -> set[tuple[str, ...]]:
    """Return the values of `key` that visible images have and whose first column is in `texts`.

    `reach` is `Query.reach` of the search that contains the texts. A value is a tuple of the
    columns in `COLUMNS`. For example, a value of `os` is a family and a version, so `texts` are
    families. A location is also returned if it is another spelling of a text.
    """
    if key is not Key.LOCATION:
        return _read_values(scope, reach, key, sql.one_of(COLUMNS[key][0], texts))
    keys = set(map(location_key, texts))
    return {value for value in all_values(scope, reach, key) if location_key(value[0]) in keys}


def all_values(scope: Scope, reach: Query, key: Key) -> set[tuple[str, ...]]:
    """Return all values of `key` that visible images have. See `find_values` for their form."""
    return _read_values(scope, reach, key, sql.ALWAYS)


def _read_values(scope: Scope, reach: Query, key: Key, has_value: Sql) -> set[tuple[str, ...]]:
    columns = COLUMNS[key]
    slices = conditions.scope_slices(scope, reach)
    sources = (
        sql.rows_of("facet_group", sql.all_of([each.condition, has_value])) for each in slices
    )
    statements = (sql.select(columns, source, distinct=True) for source in sources)
    return set(sql.fetch(sql.union(statements)))


def location_key(location: str) -> str:
    """Return a text that is equal for all spellings of a location.

    If a location consists only of slashes, spaces and invisible characters, its `place_key` is ''.
    Such a location is returned unchanged.
    """
    return place_key(location) or location
