"""Count images by property, for the Filters panel and the suggestions of the search box.

The counts are sums over the facet groups, so the time does not depend on the number of images.
`webapp.search.tag_menu` counts the images of each tag.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models import Scope
from webapp.clouds.details import ImageState
from webapp.search import conditions, planner, sql
from webapp.search.keys import STORED_KEYS, Key
from webapp.search.query import Query, Term
from webapp.search.stored_values import location_key
from webapp.search.tag_menu import tag_uses
from webapp.search.tags import TagUse, without_redundant_keys

MENUS = {
    Key.CLOUD: "Cloud",
    Key.OS: "OS",
    Key.LOCATION: "Location",
    Key.STATUS: "Status",
    Key.AGENT: "Scalr agent",
    Key.OWNER: "Owner",
    Key.ARCH: "Architecture",
}
"""The label of the menu for each key, in the order of the menus."""
MAX_MENU_VALUES = 12
"""The maximum number of values in a menu, apart from chosen values.

A menu offers the values with the most images. People can type the other values.
"""
_COLUMNS = {
    Key.CLOUD: ["cloud"],
    Key.OS: ["os_family"],
    Key.LOCATION: ["location"],
    Key.STATUS: ["status", "state"],
    Key.AGENT: ["agent_installed"],
    Key.OWNER: ["scope_id"],
    Key.ARCH: ["architecture"],
}
"""The columns of `FacetGroup` that contain the values of each key."""


@dataclass(frozen=True)
class Choice:
    """One value of a menu.

    `images` is the number of images that have the value and match all other filters, or None if
    counting them would take too long. `chosen` says whether the search already contains the value.
    `query` is the search after a click on the choice. The click adds the value or, if it is already
    chosen, removes it.
    """

    value: str
    label: str
    images: int | None
    chosen: bool
    query: Query


@dataclass(frozen=True)
class Menu:
    """A filter menu.

    The MAX_MENU_VALUES values with the most images come first, then the other chosen values.
    """

    label: str
    choices: list[Choice]


def filter_menus(scope: Scope, query: Query) -> list[Menu]:
    """Return the filter menus of a search.

    The counts ignore terms that facet groups cannot answer, such as words.
    """
    used_keys = [key for key in MENUS if query.terms_for(key)]
    counts = _count_values(scope, query, [key for key in MENUS if key not in used_keys])
    for key in used_keys:
        counts[key] = _count_alternatives(scope, query, key)
    menus = [_build_menu(query, key, counts[key]) for key in MENUS]
    menus.append(_build_tag_menu(scope, query))
    return [menu for menu in menus if menu.choices]


def visible_values(scope: Scope, reach: Query, key: Key) -> list[str]:
    """Return the values of `key` that visible images have, the most frequent value first.

    `reach` is `Query.reach` of the search for which the values are needed.
    """
    counts = _count_values(scope, reach, [key])[key]
    return [value for value in _merge_spellings(reach, key, counts)[0] if value]


def _count_alternatives(scope: Scope, query: Query, key: Key) -> dict[str, int]:
    """Return how many images have each value of a key, if the search already uses this key.

    The values of one menu are alternatives, so a chosen value does not reduce the counts of other
    values. An excluded term reduces the counts. But if a person chooses an excluded value, the term
    that excludes the value is removed. So an excluded value is counted without this term.
    """
    others = [term for term in query.terms if term.key is not key]
    excluded = [term for term in query.terms_for(key) if term.excluded]

    def count(*excluded: Term) -> dict[str, int]:
        return _count_values(scope, Query((*others, *excluded), (), ""), [key])[key]

    counts = count(*excluded)
    values = {value for term in excluded for value in _menu_values(term)}
    values_by_terms: dict[tuple[Term, ...], list[str]] = {}
    for value in values:
        remaining = tuple(term for term in excluded if value not in _menu_values(term))
        values_by_terms.setdefault(remaining, []).append(value)
    for remaining, excluded_values in values_by_terms.items():
        available = count(*remaining)
        counts |= {value: available[value] for value in excluded_values if available.get(value)}
    return _most_frequent_first(counts)


def _menu_values(term: Term) -> Sequence[str]:
    """Return the values of a menu that a term finds or excludes."""
    if term.completions:
        return [value[0] for value in term.completions if len(value) == 1]
    return term.stored if term.key is Key.LOCATION else [term.value]


def _merge_spellings(
    query: Query, key: Key, counts: Mapping[str, int]
) -> tuple[Mapping[str, int], Mapping[str, tuple[str, ...]]]:
    """Return the number of images by value, and the stored spellings of each value.

    A location has one value for all its spellings: the value of the query's term, or the first
    spelling in alphabetical order. A value of another key has only one spelling.
    """
    if key is not Key.LOCATION:
        return counts, {value: (value,) for value in counts}
    names = {location_key(term.value): term.value for term in query.terms_for(key)}
    by_location: dict[str, list[str]] = {}
    for value in counts:
        by_location.setdefault(location_key(value), []).append(value)
    spellings = {
        names.get(location, min(values)): tuple(sorted(values))
        for location, values in by_location.items()
    }
    merged = {value: sum(counts[each] for each in spellings[value]) for value in spellings}
    return _most_frequent_first(merged), spellings


def _build_menu(query: Query, key: Key, stored_counts: Mapping[str, int]) -> Menu:
    counts, spellings = _merge_spellings(query, key, stored_counts)
    chosen = {
        term.value for term in query.terms_for(key) if not (term.excluded or term.completions)
    }
    shown = [value for value in counts if value][:MAX_MENU_VALUES]
    # A chosen value is always shown. A family and a version, such as "ubuntu 24.04", is not a value
    # of this menu.
    shown += [
        value
        for value in sorted(chosen)
        if value not in shown and not (key is Key.OS and " " in value and value not in counts)
    ]
    choices = []
    for value in shown:
        stored = spellings.get(value, (value,)) if key in STORED_KEYS else ()
        term = Term(key, value, stored=stored)
        is_chosen, toggled = value in chosen, query.with_term_toggled(term)
        choices.append(Choice(value, term.value_label, counts.get(value, 0), is_chosen, toggled))
    return Menu(MENUS[key], choices)


def _build_tag_menu(scope: Scope, query: Query) -> Menu:
    terms = query.terms_for(Key.TAG)
    chosen = {term.value for term in terms if not (term.excluded or term.completions)}
    found, are_counted = tag_uses(scope, query, 2 * MAX_MENU_VALUES)
    most = without_redundant_keys(found)[:MAX_MENU_VALUES]
    uses = [use for use in found if use in most or use.token in chosen]
    missing = chosen - {use.token for use in uses}
    uses += [TagUse(token, token, 0) for token in sorted(missing)]
    choices = [
        Choice(
            use.token,
            use.name,
            use.images if are_counted else None,
            use.token in chosen,
            query.with_term_toggled(Term(Key.TAG, use.token)),
        )
        for use in uses
    ]
    return Menu("Tag", choices)


def _count_values(scope: Scope, query: Query, keys: Sequence[Key]) -> dict[Key, dict[str, int]]:
    """Return for each key how many images have each value, the most frequent value first.

    The values have the form that a search uses. For Key.STATUS, an image counts for its status and
    for its state in the cloud, but only once if both are "deprecated". The facet groups are read
    once for all keys, because this is faster than one sum in SQL for each key.
    """
    slices = conditions.scope_slices(scope, query)
    counts: dict[Key, dict[str, int]] = {key: {} for key in keys}
    if not slices or not keys:
        return counts
    if query.includes_below and Key.OWNER in keys:
        # Without the owners, the groups of all scopes with the same facets are one row.
        others = [key for key in keys if key is not Key.OWNER]
        return {Key.OWNER: _count_by_owner(scope, query), **_count_values(scope, query, others)}
    columns = [name for key in keys for name in _COLUMNS[key]]
    sources = planner.group_sources(slices, query)
    if query.includes_below:
        sums = (
            sql.select([*columns, sql.sum_of("images")], source, group_by=columns)
            for source in sources
        )
    else:
        sums = (sql.select([*columns, "images"], source) for source in sources)
    groups = sql.fetch(sql.union(sums))
    if not groups:
        return counts
    *values, images = zip(*groups, strict=True)
    first = 0
    for key in keys:
        end = first + len(_COLUMNS[key])
        counted: Counter[tuple[Any, ...]] = Counter()
        for value, number in zip(zip(*values[first:end], strict=True), images, strict=True):
            counted[value] += number
        counts[key] = _count_search_values(scope, key, counted)
        first = end
    return counts


def _count_search_values(
    scope: Scope, key: Key, stored_counts: Mapping[tuple[Any, ...], int]
) -> dict[str, int]:
    """Return how many images have each value in the form that a search uses.

    `stored_counts` is the number of images for each combination of values in the columns of `key`.
    The most frequent value comes first.
    """
    images: Counter[str] = Counter()
    for columns, number in stored_counts.items():
        for value in {_search_value(scope, key, column) for column in columns}:
            images[value] += number
    return _most_frequent_first(images)


def _most_frequent_first(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _count_by_owner(scope: Scope, query: Query) -> dict[str, int]:
    """Return the number of images by owner for a query that includes the scopes below."""
    slices = conditions.scope_slices(scope, query)
    sources = planner.group_sources(slices, query)
    here = sql.sum_of("images", sql.equals("scope_id", scope.id))
    sums = (
        sql.select([str(each.distance), here, sql.sum_of("images")], source)
        for each, source in zip(slices, sources, strict=True)
    )
    counts: Counter[str] = Counter()
    for distance, owned, images in sql.fetch(sql.union(sums)):
        counts["here"] += int(owned or 0)
        counts["above" if distance else "below"] += int(images or 0) - int(owned or 0)
    return _most_frequent_first(+counts)


def _search_value(scope: Scope, key: Key, value: Any) -> str:
    """Return the value of a column in the form that a search uses."""
    if key is Key.OWNER:
        return "here" if value == scope.id else "above"
    if key is Key.AGENT:
        return "yes" if value else "no"
    if key is Key.STATUS and value == ImageState.UNKNOWN:
        return ImageState.UNKNOWN.token
    return str(value)
