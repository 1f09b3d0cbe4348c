"""What a search asks of an image, as conditions of the database: the one place where the words of
the search box become SQL. `webapp.search.catalogue` decides in which order to look.

Three kinds of terms. Those about scopes choose shelves: a shelf holds the images of one scope that
are shared, or those that are not. Those about facets hold for all images of a `FacetGroup` alike.
The others have to be asked of each image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import reduce
from operator import and_, ge, gt, le, lt, or_
from typing import Any

from peewee import fn

from models import FacetGroup, Image, Level, LifeCycle, Scope
from webapp.access import Actor
from webapp.clouds.base import ImageState
from webapp.images import operating_systems
from webapp.search.language import Key, Query, Term
from webapp.search.sql import Written, is_sqlite, written

FACETS = (Key.CLOUD, Key.LOCATION, Key.OS, Key.ARCH, Key.AGENT, Key.STATUS, Key.VERIFIED)
SHELVES = (Key.SCOPE, Key.OWNER, Key.SHARED)
TOGETHER = (Key.WORD, Key.ID, Key.SIZE, Key.CREATED)
"""Keys of which several values must all hold; of the other keys they are alternatives."""
COLUMNS = {
    Key.CLOUD: "cloud",
    Key.ARCH: "architecture",
    Key.AGENT: "agent_installed",
    Key.VERIFIED: "verified",
}
COMPARE: dict[str, Callable[[Any, Any], Any]] = {"<": lt, "<=": le, ">": gt, ">=": ge}

Model = type[Image | FacetGroup]


@dataclass(frozen=True)
class Shelf:
    """The shared, or the other, images of one scope; `rank` is 0 for the present scope and counts
    up to Scalr."""

    scope: Scope
    shared: bool
    rank: int

    @property
    def held(self) -> str:
        """The condition for what stands on it, in its order, as SQL."""
        return f"scope_id = {self.scope.id:d} AND shared = {'TRUE' if self.shared else 'FALSE'}"

    @property
    def held_if_found(self) -> str:
        """The same for images that another index finds: no plan can begin with this one."""
        return self.held.replace("scope_id =", "scope_id + 0 =")

    def holds(self) -> Any:
        """The same for images, in Peewee's terms."""
        return (Image.scope == self.scope.id) & (Image.shared == self.shared)


def shelves(scope: Scope, query: Query, *, own: bool = False) -> list[Shelf]:
    """Those that `scope` sees, less those that the query leaves out, the nearest first."""
    seen = [Shelf(scope, shared, 0) for shared in (False, True)]
    if not own:
        above = scope.lineage[1:]
        seen += [Shelf(each, shared=True, rank=rank) for rank, each in enumerate(above, start=1)]
    return [each for each in seen if all(_stands(each, query.terms_for(key)) for key in SHELVES)]


def _stands(shelf: Shelf, terms: Sequence[Term]) -> bool:
    holding = [term for term in terms if _tells(shelf, term)]
    wanted = [term for term in terms if not term.excluded]
    if any(term.excluded for term in holding):
        return False
    return not wanted or any(not term.excluded for term in holding)


def _tells(shelf: Shelf, term: Term) -> bool:
    if term.key is Key.SCOPE:
        return shelf.scope.level is Level(term.value)
    if term.key is Key.OWNER:
        return (shelf.rank == 0) is (term.value == "here")
    return shelf.shared is (term.value == "yes")


def facets(model: Model, query: Query) -> list[Any]:
    """The conditions of the terms about facets."""
    return [
        each
        for key in FACETS
        for each in _all_of(query.terms_for(key), lambda term: _facet(model, term))
    ]


def of_groups(shelves: Sequence[Shelf], query: Query) -> Written:
    """The condition for the facet groups of what stands on the shelves and has the facets."""
    held = " OR ".join(f"({each.held})" for each in shelves)
    asked = facets(FacetGroup, query)
    if not asked:
        return Written(f"({held})")
    sql, values = written(asked)
    return Written(f"({held}) AND {sql}", values)


def of_each(query: Query, actor: Actor) -> list[Any]:
    """The conditions that must be asked of each image, words included."""
    keys = (Key.WORD, Key.ID, Key.SIZE, Key.CREATED, Key.BY)
    name = _asked(Image, "registered_by_name")
    return [
        each
        for key in keys
        for each in _all_of(query.terms_for(key), lambda term: _row(term, actor, name))
    ]


def ranges(query: Query, actor: Actor) -> list[list[Any]]:
    """Conditions that follow from `of_each`, and that the order of a shelf can answer alone: for
    each column, its conditions."""

    def condition(term: Term) -> Any:
        if term.key is Key.BY:
            return Image.registered_by_name == _name_of(term.value, actor)
        return _row(term, actor, Image.registered_by_name)

    found = []
    for key in (Key.SIZE, Key.CREATED, Key.BY):
        terms = [term for term in query.terms_for(key) if not term.excluded]
        if terms:
            found.append(_all_of(terms, condition))
    return found


def texts(query: Query) -> list[str]:
    """What must all be part of `Image.search_text`, so that the index of its trigrams helps."""
    terms = (*query.terms_for(Key.WORD), *query.terms_for(Key.ID))
    return [term.value.lower() for term in terms if not term.excluded]


def _all_of(terms: Sequence[Term], condition: Callable[[Term], Any]) -> list[Any]:
    """One condition for each term that must hold; alternatives are one condition together."""
    wanted = [condition(term) for term in terms if not term.excluded]
    if wanted and terms[0].key not in TOGETHER:
        wanted = [reduce(or_, wanted)]
    return wanted + [~condition(term) for term in terms if term.excluded]


def _facet(model: Model, term: Term) -> Any:
    value = term.value
    if term.key is Key.LOCATION:
        return _asked(model, "location").in_(sorted({value, value.lower()}))
    if term.key is Key.OS:
        return _os(model, value)
    if term.key is Key.STATUS:
        return _status(model, value)
    column = _asked(model, COLUMNS[term.key])
    return column == (value == "yes") if term.key in {Key.AGENT, Key.VERIFIED} else column == value


def _asked(model: Model, name: str) -> Any:
    """A column of images that are walked through in their order. SQLite would rather follow an
    index of this column, and then sort all that it finds; a function of it has none."""
    column = getattr(model, name)
    walked = model is Image and is_sqlite()
    return fn.LIKELY(column) if walked else column


def _os(model: Model, value: str) -> Any:
    """A family, or a family and a version; where the blank between them is, is not known of those
    that people typed themselves."""
    words = value.split(" ")
    splits = range(1, len(words))
    if words[0] in operating_systems.FAMILIES:
        splits = range(1, min(len(words), 2))
    family, version = _asked(model, "os_family"), _asked(model, "os_version")
    pairs = [(" ".join(words[:at]), " ".join(words[at:])) for at in splits]
    both = [(family == first) & (version == rest) for first, rest in pairs]
    return reduce(or_, both, family == value)


def _status(model: Model, value: str) -> Any:
    """What the owner says, or what the cloud says: both know "deprecated"."""
    conditions = []
    if value in set(LifeCycle):
        conditions.append(_asked(model, "status") == LifeCycle(value))
    if value in set(ImageState):
        conditions.append(_asked(model, "state") == value)
    return reduce(or_, conditions)


def _row(term: Term, actor: Actor, name: Any) -> Any:
    """`name` is the column of who registered the image, as it is to be asked."""
    if term.key is Key.WORD:
        return _contains(Image.search_text, term.value.lower())
    if term.key is Key.ID:
        return _contains(fn.LOWER(Image.cloud_image_id), term.value.lower())
    if term.key is Key.SIZE:
        return _size(term)
    if term.key is Key.CREATED:
        return _created(term)
    return _by(term.value, actor, name)


def _contains(column: Any, text: str) -> Any:
    """Never by an index, which is what a walk through sorted images needs."""
    find = fn.INSTR if is_sqlite() else fn.STRPOS
    return find(column, text) > 0


def _size(term: Term) -> Any:
    """An unknown size is neither small nor large."""
    size = int(term.value)
    compare = COMPARE.get(term.operator)
    if compare is None:
        return Image.size_key == size
    if compare in {gt, ge}:
        return compare(Image.size_key, size)
    return (Image.size_key > 0) & compare(Image.size_key, size)


def _created(term: Term) -> Any:
    day = date.fromisoformat(term.value)
    begins = datetime.combine(day, time(), UTC)
    ends = begins + timedelta(days=1) if day < date.max else datetime.max.replace(tzinfo=UTC)
    column = Image.registered_at
    conditions = {
        "<": column < begins,
        "<=": column < ends,
        ">": column >= ends,
        ">=": column >= begins,
    }
    return conditions.get(term.operator, (column >= begins) & (column < ends))


def _by(value: str, actor: Actor, name: Any) -> Any:
    """People are known by name, as whoever is gone is; two of one name are told apart where one of
    them looks for what they did themselves."""
    named = name == _name_of(value, actor)
    if value != "me":
        return named
    return named & (fn.COALESCE(Image.registered_by, 0) == actor.person.id)


def _name_of(value: str, actor: Actor) -> str:
    return actor.person.name if value == "me" else value


def found_by_text(wanted: Iterable[str]) -> Any:
    """The condition that all of `wanted` are part of the text, by the index of trigrams.
    PostgreSQL only: SQLite keeps that index as a table, see `words_table`."""
    patterns = (
        text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") for text in wanted
    )
    return reduce(and_, (Image.search_text % f"%{pattern}%" for pattern in patterns))


def phrase(wanted: Iterable[str]) -> str:
    """The same, for SQLite's full-text index."""
    return " AND ".join('"' + text.replace('"', '""') + '"' for text in wanted)
