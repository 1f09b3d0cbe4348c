"""What the search can be narrowed by: the filter menus with their counts, and what the search box
suggests. All from the facet groups, so that it costs the same however many images there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from peewee import fn

from models import FacetGroup, LifeCycle, Scope
from webapp import matching, operating_systems
from webapp.clouds import CLOUDS
from webapp.search import Key, Query, Term

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
    Key.CLOUD: FacetGroup.cloud,
    Key.OS: FacetGroup.os_family,
    Key.LOCATION: FacetGroup.location,
    Key.STATUS: FacetGroup.status,
    Key.AGENT: FacetGroup.agent_installed,
    # A function of it, so that no plan goes through the groups of all scopes in their order.
    Key.OWNER: fn.ABS(FacetGroup.scope),
    Key.ARCH: FacetGroup.architecture,
    Key.VERIFIED: FacetGroup.verified,
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
    found = [_menu(scope, query, key) for key in MENUS]
    return [menu for menu in found if menu.choices]


def values(scope: Scope, key: Key) -> list[str]:
    """Those of the images that `scope` sees, the most frequent first."""
    return [str(value) for value, _ in _counted(scope, Query((), (), ""), key) if value != ""]


def _menu(scope: Scope, query: Query, key: Key) -> Menu:
    others = Query(tuple(term for term in query.terms if term.key is not key), (), "")
    counted: dict[str, int] = {}
    for value, images in _counted(scope, others, key):
        said = _said(scope, key, value)
        counted[said] = counted.get(said, 0) + images
    chosen = {term.value for term in query.of(key) if not term.excluded}
    shown = [said for said in counted if said][:LONGEST_MENU]
    shown += [said for said in sorted(chosen) if said not in shown and " " not in said]
    choices = []
    for said in shown:
        term = Term(key, said)
        choices.append(
            Choice(_label(term), counted.get(said, 0), said in chosen, query.toggled(term))
        )
    return Menu(MENUS[key], choices)


def _counted(scope: Scope, query: Query, key: Key) -> Sequence[tuple[Any, int]]:
    shelves = matching.shelves(scope, query)
    if not shelves:
        return []
    held = reduce(or_, (each.holds(FacetGroup) for each in shelves))
    column, images = _COLUMNS[key], fn.SUM(FacetGroup.images)
    rows = FacetGroup.select(column, images).where(held, *matching.facets(FacetGroup, query))
    ordered: Any = rows.group_by(column).order_by(images.desc(), column).tuples()
    return list(ordered)


def _said(scope: Scope, key: Key, value: Any) -> str:
    if key is Key.OWNER:
        return "here" if value == scope.id else "above"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _label(term: Term) -> str:
    value = term.value
    if term.key is Key.CLOUD:
        return CLOUDS[value].label if value in CLOUDS else value
    if term.key is Key.OS:
        return operating_systems.label(value)
    if term.key is Key.OWNER:
        return "This scope" if value == "here" else "Scopes above"
    if term.key in {Key.AGENT, Key.VERIFIED} or value in set(LifeCycle):
        return value.capitalize()
    return value
