"""The one place where the terms of a search become conditions on tables.

Terms about scopes choose scope slices. Terms about facets hold for all images of a `FacetGroup`
alike, so the same condition works on the tables `facet_group` and `image`. The other terms are
conditions on each image. `webapp.search.planner` decides in which order images are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from models import Image, Level, LifeCycle, Scope
from webapp.access import Actor
from webapp.clouds.base import ImageState
from webapp.images import operating_systems
from webapp.search import sql
from webapp.search.language import Key, Query, Term
from webapp.search.sql import Sql

SCOPE_KEYS = (Key.SCOPE, Key.OWNER, Key.SHARED)
FACET_KEYS = (Key.CLOUD, Key.LOCATION, Key.OS, Key.ARCH, Key.AGENT, Key.STATUS, Key.VERIFIED)
TEXT_KEYS = (Key.WORD, Key.ID)
RANGE_KEYS = (Key.SIZE, Key.CREATED, Key.BY)
"""Keys whose column is a sort order of its own, so that an index finds the images."""
IMAGE_KEYS = (*TEXT_KEYS, *RANGE_KEYS)
CONJUNCTIVE_KEYS = (Key.WORD, Key.ID, Key.SIZE, Key.CREATED)
"""Several values of these keys must all hold; of the other keys, values are alternatives."""
COLUMNS = {
    Key.CLOUD: "cloud",
    Key.LOCATION: "location",
    Key.ARCH: "architecture",
    Key.AGENT: "agent_installed",
    Key.VERIFIED: "verified",
}

ColumnExpression = Callable[[str], str]
"""How a condition writes a column: `str` for its name, or `sql.without_index`."""


@dataclass(frozen=True)
class ScopeSlice:
    """The shared or the unshared images of one scope.

    `distance` is 0 for the current scope, 1 for the scope above it, and so on up to Scalr.
    """

    scope: Scope
    shared: bool
    distance: int

    @property
    def condition(self) -> Sql:
        """The condition for the images, or the facet groups, of this slice."""
        return sql.in_slice(self.scope.id, shared=self.shared)


def scope_slices(scope: Scope, query: Query, *, owned_only: bool = False) -> list[ScopeSlice]:
    """Return the slices that `scope` sees and the query allows, the nearest first.

    With `owned_only`, only images that the scope itself owns.
    """
    slices = [ScopeSlice(scope, shared, 0) for shared in (False, True)]
    if not owned_only:
        inherited = enumerate(scope.lineage[1:], start=1)
        slices += [
            ScopeSlice(above, shared=True, distance=distance) for distance, above in inherited
        ]
    return [each for each in slices if _slice_matches(query, each)]


def in_any_slice(slices: Sequence[ScopeSlice], *, indexed: bool = True) -> Sql:
    """Return the condition for images of one of the slices; see `sql.in_slice` for `indexed`."""
    return sql.any_of(
        sql.in_slice(each.scope.id, shared=each.shared, indexed=indexed) for each in slices
    )


def has_facets(query: Query) -> bool:
    """Return whether the query has terms about facets."""
    return any(query.terms_for(key) for key in FACET_KEYS)


def group_condition(query: Query) -> Sql:
    """Return the condition on facet groups: the terms about facets."""
    return _combine(query, FACET_KEYS, lambda term: _facet_condition(term, str))


def image_condition(query: Query, actor: Actor) -> Sql:
    """Return the condition on images found by scope slice: all terms but those about scopes."""
    facets = _combine(query, FACET_KEYS, lambda term: _facet_condition(term, sql.without_index))
    return sql.all_of([facets, ungrouped_condition(query, actor)])


def ungrouped_condition(query: Query, actor: Actor) -> Sql:
    """Return the condition on images found by facet group: the terms that groups cannot answer."""
    return _combine(query, IMAGE_KEYS, lambda term: _ungrouped_condition(term, actor))


def range_conditions(query: Query, actor: Actor) -> list[Sql]:
    """Return conditions that follow from the query. For each there is an index that finds rows."""
    conditions = []
    for key in RANGE_KEYS:
        required = Query(tuple(term for term in query.terms_for(key) if not term.excluded), (), "")
        conditions.append(_combine(required, [key], lambda term: _range_condition(term, actor)))
    return [condition for condition in conditions if condition]


def required_texts(query: Query) -> list[str]:
    """Return the texts that `Image.search_text` must all contain, for the index of trigrams."""
    terms = [term for key in TEXT_KEYS for term in query.terms_for(key)]
    return [term.value.lower() for term in terms if not term.excluded]


def _slice_matches(query: Query, slice_: ScopeSlice) -> bool:
    """Return whether the terms about scopes hold for a slice."""
    for key in SCOPE_KEYS:
        terms = query.terms_for(key)
        matching = [term for term in terms if _term_matches_slice(term, slice_)]
        is_required = any(not term.excluded for term in terms)
        if any(term.excluded for term in matching) or (is_required and not matching):
            return False
    return True


def _term_matches_slice(term: Term, slice_: ScopeSlice) -> bool:
    if term.key is Key.SCOPE:
        return slice_.scope.level is Level(term.value)
    if term.key is Key.OWNER:
        return (slice_.distance == 0) is (term.value == "here")
    return slice_.shared is (term.value == "yes")


def _combine(query: Query, keys: Iterable[Key], condition: Callable[[Term], Sql]) -> Sql:
    """Return the condition that all terms with these keys hold."""
    conditions: list[Sql] = []
    for key in keys:
        terms = query.terms_for(key)
        required = [condition(term) for term in terms if not term.excluded]
        conditions += required if key in CONJUNCTIVE_KEYS else [sql.any_of(required)]
        conditions += [sql.not_(condition(term)) for term in terms if term.excluded]
    return sql.all_of(conditions)


def _facet_condition(term: Term, column: ColumnExpression) -> Sql:
    value = term.value
    if term.key is Key.OS:
        return _os_condition(value, column)
    if term.key is Key.STATUS:
        return _status_condition(value, column)
    name = column(COLUMNS[term.key])
    if term.key is Key.LOCATION:
        return sql.one_of(name, sorted({value, value.lower()}))
    return sql.equals(name, value == "yes" if term.key in {Key.AGENT, Key.VERIFIED} else value)


def _os_condition(value: str, column: ColumnExpression) -> Sql:
    """Return the condition for a family, or for a family and a version.

    In a name that is not in the operating system data, the version may begin after any space.
    """
    words = value.split(" ")
    is_known = words[0] in operating_systems.FAMILIES
    version_starts = range(1, min(len(words), 2) if is_known else len(words))
    pairs = [(" ".join(words[:index]), " ".join(words[index:])) for index in version_starts]
    family, version = column("os_family"), column("os_version")
    both = [sql.all_of([sql.equals(family, f), sql.equals(version, v)]) for f, v in pairs]
    return sql.any_of([sql.equals(family, value), *both])


def _status_condition(value: str, column: ColumnExpression) -> Sql:
    """Return the condition for a status of the life cycle or a state in the cloud.

    "deprecated" is both.
    """
    conditions = []
    if value in set(LifeCycle):
        conditions.append(sql.equals(column("status"), value))
    if value in set(ImageState):
        conditions.append(sql.equals(column("state"), value))
    return sql.any_of(conditions)


def _ungrouped_condition(term: Term, actor: Actor) -> Sql:
    text = term.value.lower()
    if term.key is Key.WORD:
        return sql.contains("search_text", text)
    if term.key is Key.ID:
        return sql.contains(sql.lowercase("cloud_image_id"), text)
    if term.key is Key.BY:
        return _registrar_condition(term, actor)
    return _range_condition(term, actor)


def _range_condition(term: Term, actor: Actor) -> Sql:
    if term.key is Key.SIZE:
        return _size_condition(term)
    if term.key is Key.CREATED:
        return _created_condition(term)
    return sql.equals("registered_by_name", _registrar_name(term, actor))


def _size_condition(term: Term) -> Sql:
    """Return the condition for sizes. An unknown size, stored as 0, is neither small nor large."""
    size = int(term.value)
    if not term.operator:
        return sql.equals("size_key", size)
    condition = sql.compare("size_key", term.operator, size)
    if term.operator in {">", ">="}:
        return condition
    return sql.all_of([sql.compare("size_key", ">", 0), condition])


def _created_condition(term: Term) -> Sql:
    """Return the condition for the day of registration, in UTC."""
    day = date.fromisoformat(term.value)
    first = datetime.combine(day, time(), UTC)
    next_day = first + timedelta(days=1) if day < date.max else datetime.max.replace(tzinfo=UTC)
    conditions = {
        "<": [("<", first)],
        "<=": [("<", next_day)],
        ">": [(">=", next_day)],
        ">=": [(">=", first)],
        "": [(">=", first), ("<", next_day)],
    }
    return sql.all_of(
        sql.compare("registered_at", operator, _stored_instant(instant))
        for operator, instant in conditions[term.operator]
    )


def _stored_instant(instant: datetime) -> Any:
    return Image.registered_at.db_value(instant)


def _registrar_condition(term: Term, actor: Actor) -> Sql:
    """Return the condition for the person who registered an image.

    People are known by name, because an image outlives the person. Only "me" distinguishes two
    people of the same name.
    """
    name = sql.equals(sql.without_index("registered_by_name"), _registrar_name(term, actor))
    if term.value != "me":
        return name
    return sql.all_of([name, sql.equals(sql.zero_if_null("registered_by_id"), actor.person.id)])


def _registrar_name(term: Term, actor: Actor) -> str:
    return actor.person.name if term.value == "me" else term.value
