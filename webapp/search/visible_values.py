"""Find out which values of visible images a search term can mean.

For example, the search language reads `os:"Oracle Solaris"` as the version "Solaris" of Oracle
Linux. But if an image has the OS family "Oracle Solaris", the term means this family.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from models import Scope
from schema.text import place_key
from webapp.clouds import CLOUDS
from webapp.images import operating_systems
from webapp.search import conditions, sql
from webapp.search.conditions import ScopeSlice, Slice
from webapp.search.keys import Key
from webapp.search.language import begins_with
from webapp.search.query import Query
from webapp.search.sql import ALWAYS, Sql

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
    sources = (sql.rows_of("image", sql.all_of([each.condition, is_named])) for each in slices)
    return sql.fetch_number(sql.sum_of_results(sql.count(each, 1) for each in sources)) > 0


class VisibleValues:
    """The values of the images that `scope` sees.

    `reach` is the `Query.reach` of the search for which the values are needed. A value is a tuple
    with the columns that `COLUMNS` lists for its key. For example, a value of `os` is a family and
    a version.
    """

    def __init__(self, scope: Scope, reach: Query) -> None:
        self.slices = conditions.scope_slices(scope, reach)
        self._first_columns: dict[Key, set[str]] = {}

    def find(self, key: Key, texts: Sequence[str]) -> set[tuple[str, ...]]:
        """Return the values of `key` whose first column is in `texts`.

        So for `os`, `texts` are families. For `location`, also return the other spellings of the
        texts.
        """
        if key is Key.CLOUD:
            return self._read(key, sql.one_of("cloud", texts))
        if key is Key.OS:
            return self._versions_of(self._first_column(key).intersection(texts))
        if key is Key.ARCH:
            return {(value,) for value in self._first_column(key).intersection(texts)}
        keys = set(map(location_key, texts))
        return {(value,) for value in self._first_column(key) if location_key(value) in keys}

    def completion_candidates(self, key: Key, text: str) -> set[tuple[str, ...]]:
        """Return values of `key`, among which the caller finds those that begin with `text`.

        For `location` and `arch`, return all values. For `os`, return each family with the version
        ''. For each family whose key or label begins with `text`, also return its versions.
        """
        values = self._first_column(key)
        if key is not Key.OS:
            return {(value,) for value in values}
        families = [
            family
            for family in values
            if any(begins_with(name, [text]) for name in (family, operating_systems.label(family)))
        ]
        return {(family, "") for family in values} | self._versions_of(families)

    def _versions_of(self, families: Collection[str]) -> set[tuple[str, ...]]:
        """Return each of the OS families with each of its versions."""
        return self._read(Key.OS, sql.one_of("os_family", sorted(families))) if families else set()

    def _read(self, key: Key, has_value: Sql) -> set[tuple[str, ...]]:
        sources = (
            sql.rows_of("facet_group", sql.all_of([each.condition, has_value]))
            for each in self.slices
        )
        statements = (sql.select(COLUMNS[key], source, distinct=True) for source in sources)
        return set(sql.fetch(sql.union(statements)))

    def _first_column(self, key: Key) -> set[str]:
        """Return all values of the first column of `key`. No caller passes `cloud`."""
        if key not in self._first_columns:
            statements = [each for slice_ in self.slices for each in _values_in_slice(slice_, key)]
            self._first_columns[key] = {value for (value,) in sql.fetch(sql.union(statements))}
        return self._first_columns[key]


def _values_in_slice(slice_: Slice, key: Key) -> list[Sql]:
    """Return the statements for the values of the first column of `key` in a slice.

    One scope has few facet groups, so the statement reads all of them. A scope and the scopes below
    it can have so many groups that reading the images with `sql.distinct_values` is faster. But
    `sql.distinct_values` needs an index range. If a slice contains only some of the scopes below,
    its images are not one index range, so the statement reads its facet groups instead.
    """
    column = COLUMNS[key][0]
    if isinstance(slice_, ScopeSlice) or slice_.owners:
        return [sql.select([column], sql.rows_of("facet_group", slice_.condition), distinct=True)]
    # The index that sorts images by location begins with the cloud, so each cloud has its own
    # statement. The SQL text contains the key of the cloud: with a parameter instead, PostgreSQL
    # would plan the statement each time.
    clouds = [Sql(f"cloud = '{cloud}'") for cloud in CLOUDS] if key is Key.LOCATION else [ALWAYS]
    sources = (sql.rows_of("image", sql.all_of([slice_.condition, each])) for each in clouds)
    values = (sql.subquery(sql.distinct_values(column, each), "in_slice") for each in sources)
    return [sql.select(["value"], each) for each in values]


def location_key(location: str) -> str:
    """Return a text that is equal for all spellings of a location.

    If a location consists only of slashes, spaces and invisible characters, its `place_key` is ''.
    Such a location is returned unchanged.
    """
    return place_key(location) or location
