"""Count images by property, for the Filters panel and the suggestions of the search box.

The counts are sums over the facet groups (`schema.images.FacetGroup`), so the time depends on the
number of groups and not on the number of images. `webapp.search.tag_menu` counts the images of each
tag.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models import Scope
from webapp.search import conditions, sql
from webapp.search.conditions import Slice
from webapp.search.keys import STATUSES, STORED_KEYS, Key
from webapp.search.query import Query, Term
from webapp.search.tag_menu import tag_uses
from webapp.search.tags import TagUse, without_redundant_keys
from webapp.search.values import split_os
from webapp.search.visible_values import location_key

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
    Key.CLOUD: "cloud",
    Key.OS: "os_family",
    Key.LOCATION: "location",
    Key.ARCH: "architecture",
    Key.AGENT: "agent_installed",
}
"""The column of `FacetGroup` that contains the values of each key.

In the indexes `account_facets` and `any_facets`, these columns follow in this order after the
columns that select a slice (`webapp.search.conditions`). So the groups with equal values in the
first columns are neighbors, and the database does not have to sort them.
"""
_STATUS_CONDITIONS = {
    status: conditions.group_condition(Query((Term(Key.STATUS, status),), (), ""))
    for status in STATUSES
}
"""For each status, the condition for the images that a search for this status finds."""


@dataclass(frozen=True)
class Choice:
    """One value of a menu.

    `images` is the number of images that have the value, or None if counting them would take too
    long. `filter_menus` explains which terms of the search this number considers. `chosen` says
    whether the search already contains the value. `query` is the search after a click on the
    choice. The click adds the value or, if it is already chosen, removes it.
    """

    value: str
    label: str
    images: int | None
    chosen: bool
    query: Query


@dataclass(frozen=True)
class Menu:
    """A filter menu.

    The MAX_MENU_VALUES values with the most images come first, then the chosen values that are not
    among them.
    """

    label: str
    choices: list[Choice]


def filter_menus(scope: Scope, query: Query) -> list[Menu]:
    """Return the filter menus of a search.

    The counts ignore terms that facet groups cannot answer, such as words. Terms about tags affect
    only the counts in the menu of tags. In all other menus, the values are alternatives, so the
    chosen values of a menu do not reduce the counts of this menu.
    """
    used_keys = [key for key in MENUS if query.terms_for(key)]
    counts = _count_values(scope, query, [key for key in MENUS if key not in used_keys])
    for key in used_keys:
        counts[key] = _count_alternatives(scope, query, key)
    menus = [_build_menu(query, key, counts[key]) for key in MENUS]
    # Each image has one value in each column of `_COLUMNS`. So the counts of an unused key add up
    # to the number of images that match the terms about scopes and facets.
    unused_key = next((key for key in _COLUMNS if key not in used_keys), None)
    candidates = sum(counts[unused_key].values()) if unused_key else None
    menus.append(_build_tag_menu(scope, query, candidates))
    return [menu for menu in menus if menu.choices]


def visible_values(scope: Scope, reach: Query, keys: Sequence[Key]) -> dict[Key, list[str]]:
    """Return for each key the values that visible images have, the most frequent value first.

    `reach` is `Query.reach` of the search for which the values are needed.
    """
    return {
        key: [value for value in _merge_spellings(reach, key, counts)[0] if value]
        for key, counts in _count_values(scope, reach, keys).items()
    }


def _count_alternatives(scope: Scope, query: Query, key: Key) -> dict[str, int]:
    """Return how many images have each value of a key that the search already uses.

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
    chosen_values = {
        term.value for term in query.terms_for(key) if not (term.excluded or term.completions)
    }
    shown_values = [value for value in counts if value][:MAX_MENU_VALUES]
    # Chosen values are always shown, except an operating system with a version, because the menu
    # has only families.
    with_version = {term.value for term in query.terms_for(key) if _has_os_version(term)}
    shown_values += sorted(chosen_values - with_version - set(shown_values))
    choices = []
    for value in shown_values:
        stored = spellings.get(value, (value,)) if key in STORED_KEYS else ()
        term = Term(key, value, stored=stored)
        is_chosen, toggled_query = value in chosen_values, query.with_term_toggled(term)
        choices.append(
            Choice(value, term.value_label, counts.get(value, 0), is_chosen, toggled_query)
        )
    return Menu(MENUS[key], choices)


def _has_os_version(term: Term) -> bool:
    if term.key is not Key.OS:
        return False
    return len(term.stored) == 2 if term.stored else bool(split_os(term.value)[1])


def _build_tag_menu(scope: Scope, query: Query, candidates: int | None) -> Menu:
    """Return the menu of tags. See `tag_uses` for `candidates`."""
    terms = query.terms_for(Key.TAG)
    chosen_tokens = {term.value for term in terms if not (term.excluded or term.completions)}
    found, are_counted = tag_uses(scope, query, 2 * MAX_MENU_VALUES, candidates)
    most_frequent = without_redundant_keys(found)[:MAX_MENU_VALUES]
    uses = [use for use in found if use in most_frequent or use.token in chosen_tokens]
    missing_tokens = chosen_tokens - {use.token for use in uses}
    uses += [TagUse(token, token, 0) for token in sorted(missing_tokens)]
    choices = [
        Choice(
            use.token,
            use.name,
            use.images if are_counted else None,
            use.token in chosen_tokens,
            query.with_term_toggled(Term(Key.TAG, use.token)),
        )
        for use in uses
    ]
    return Menu("Tag", choices)


def _count_values(scope: Scope, query: Query, keys: Sequence[Key]) -> dict[Key, dict[str, int]]:
    """Return for each key how many images have each value, the most frequent value first.

    The values have the form that a search uses. For Key.STATUS, an image counts for its status and
    for its state in the cloud, but only once if both are "deprecated".
    """
    slices = conditions.scope_slices(scope, query)
    counts: dict[Key, dict[str, int]] = {key: {} for key in keys}
    if slices:
        counts |= _count_columns(slices, query, [key for key in _COLUMNS if key in keys])
    if slices and {Key.STATUS, Key.OWNER} & set(keys):
        sums = _sum_status_and_owner(scope, slices, query)
        counts |= {key: _most_frequent_first(sums[key]) for key in sums if key in keys}
    return counts


def _count_columns(
    slices: Sequence[Slice], query: Query, keys: Sequence[Key]
) -> dict[Key, dict[str, int]]:
    """Return the result of `_count_values` for keys of `_COLUMNS`.

    One statement reads the groups of each slice once.
    """
    counts: dict[Key, dict[str, int]] = {key: {} for key in keys}
    if not keys:
        return counts
    order = list(_COLUMNS.values())
    columns = [_COLUMNS[key] for key in keys]
    first_columns = order[: max(map(order.index, columns)) + 1]
    # With `group_condition` instead, SQLite might find the groups by another index, and sort them.
    matches = conditions.facet_condition(query)
    sums = (
        sql.select(
            [*columns, sql.sum_of("images")],
            sql.rows_of("facet_group", sql.all_of([each.condition, matches])),
            group_by=first_columns,
        )
        for each in slices
    )
    rows = sql.fetch(sql.union(sums))
    *values, images = zip(*rows, strict=True) if rows else ((),) * (len(keys) + 1)
    for key, column in zip(keys, values, strict=True):
        numbers: defaultdict[Any, int] = defaultdict(int)
        for value, number in zip(column, images, strict=True):
            numbers[value] += int(number)
        if key is Key.AGENT:
            counts[key] = {"yes" if value else "no": numbers[value] for value in numbers}
        else:
            counts[key] = dict(numbers)
        counts[key] = _most_frequent_first(counts[key])
    return counts


def _sum_status_and_owner(
    scope: Scope, slices: Sequence[Slice], query: Query
) -> dict[Key, dict[str, int]]:
    """Return how many images have each value of Key.STATUS and Key.OWNER.

    Values that no image has are left out.
    """
    is_owned = sql.equals("scope_id", scope.id)
    sums = [sql.sum_of("images", each) for each in (is_owned, *_STATUS_CONDITIONS.values())]
    matches = conditions.facet_condition(query)
    statements = (
        sql.select(
            [str(each.distance), sql.sum_of("images"), *sums],
            sql.rows_of("facet_group", sql.all_of([each.condition, matches])),
        )
        for each in slices
    )
    statuses: Counter[str] = Counter()
    owners: Counter[str] = Counter()
    for distance, *numbers in sql.fetch(sql.union(statements)):
        images, owned, *by_status = (int(number or 0) for number in numbers)
        owners["here"] += owned
        owners["above" if distance else "below"] += images - owned
        statuses.update(dict(zip(_STATUS_CONDITIONS, by_status, strict=True)))
    return {Key.STATUS: +statuses, Key.OWNER: +owners}


def _most_frequent_first(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
