"""What the search can be narrowed by: the filter menus with their counts, and what the search box
suggests. All from the facet groups, so that it costs the same however many images there are."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models import Scope
from webapp.search import conditions as matching
from webapp.search.language import EVERYTHING, Key, Query, Term, value_label
from webapp.search.sql import rows

MENUS = {
    Key.CLOUD: "Cloud",
    Key.OS: "OS",
    Key.LOCATION: "Location",
    Key.STATUS: "Status",
    Key.AGENT: "Scalr agent",
    Key.OWNER: "Owner",
    Key.ARCH: "Architecture",
    Key.VERIFIED: "Verified",
}
LONGEST_MENU = 12
"""Of a menu, the values with the most images; others are found by typing."""
_COLUMNS = {
    Key.CLOUD: "cloud",
    Key.OS: "os_family",
    Key.LOCATION: "location",
    Key.STATUS: "status",
    Key.AGENT: "agent_installed",
    # A function of it, so that no plan goes through the groups of all scopes in their order.
    Key.OWNER: "ABS(scope_id)",
    Key.ARCH: "architecture",
    Key.VERIFIED: "verified",
}


@dataclass(frozen=True)
class Choice:
    """One value of a menu; `images` that have it under all other filters. `query` is what
    choosing it, or giving it up, leads to."""

    label: str
    images: int
    chosen: bool
    query: Query


@dataclass(frozen=True)
class Menu:
    label: str
    choices: list[Choice]


def menus(scope: Scope, query: Query) -> list[Menu]:
    """The filter menus under a search. What has to be asked of each image, its name say, is left
    out of the counts."""
    chosen = [key for key in MENUS if query.terms_for(key)]
    counted = _counted(scope, query, [key for key in MENUS if key not in chosen])
    for key in chosen:
        others = Query(tuple(term for term in query.terms if term.key is not key), (), "")
        counted |= _counted(scope, others, [key])
    found = [_menu(scope, query, key, counted[key]) for key in MENUS]
    return [menu for menu in found if menu.choices]


def values(scope: Scope, key: Key) -> list[str]:
    """Those of the images that `scope` sees, the most frequent first."""
    return [str(value) for value in _counted(scope, EVERYTHING, [key])[key] if value != ""]


def _menu(scope: Scope, query: Query, key: Key, values: Mapping[Any, int]) -> Menu:
    counted: Counter[str] = Counter()
    for value, images in values.items():
        counted[_said(scope, key, value)] += images
    chosen = {term.value for term in query.terms_for(key) if not term.excluded}
    shown = [said for said in counted if said][:LONGEST_MENU]
    shown += [said for said in sorted(chosen) if said not in shown and " " not in said]
    choices = []
    for said in shown:
        term, label = Term(key, said), value_label(key, said)
        choices.append(Choice(label, counted[said], said in chosen, query.with_term_toggled(term)))
    return Menu(MENUS[key], choices)


def _counted(scope: Scope, query: Query, keys: Sequence[Key]) -> dict[Key, dict[Any, int]]:
    """How many images have each value of each of the keys, the most frequent first. One read of
    the groups for all keys takes less than a sum of the database's for each."""
    shelves = matching.shelves(scope, query)
    if not shelves or not keys:
        return {key: {} for key in keys}
    asked = matching.of_groups(shelves, query)
    columns = ", ".join(_COLUMNS[key] for key in keys)
    groups = rows(f"SELECT {columns}, images FROM facet_group WHERE {asked.sql}", asked.values)  # noqa: S608  no values
    sums = {}
    for at, key in enumerate(keys):
        counted: defaultdict[Any, int] = defaultdict(int)
        for group in groups:
            counted[group[at]] += group[-1]
        ranked = sorted(counted.items(), key=lambda each: (-each[1], str(each[0])))
        sums[key] = dict(ranked)
    return sums


def _said(scope: Scope, key: Key, value: Any) -> str:
    if key is Key.OWNER:
        return "here" if value == scope.id else "above"
    if key in {Key.AGENT, Key.VERIFIED}:
        return "yes" if value else "no"
    return str(value)
