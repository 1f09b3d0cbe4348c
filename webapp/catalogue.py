"""What a scope sees: its own images and those that it inherits, searched, sorted, paged and
counted. Visibility is part of the query, never of a template.

How it stays fast. Each shelf (see `webapp.matching`) is kept in every order that the page can be
sorted by, so that a page without conditions is a merge of a few short runs. Counts come from the
facet groups. With conditions there are two ways, and whichever must touch fewer rows is taken:

- gather: an index finds all that match, say by facet group or by trigrams; sort those;
- walk: go through the sorted images, asking each, until the page is full. A walk is given up
  after `WALK` images, when so few match that they had better be gathered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add, or_
from typing import Any

from peewee import JOIN, SQL, Expression, Field, Join, Table, fn

from models import FacetGroup, Image, Scope
from webapp import listed, matching
from webapp.access import Actor
from webapp.listed import ListedImage
from webapp.matching import Shelf
from webapp.ordering import Order, Place
from webapp.search import EVERYTHING, Query
from webapp.written import Written, is_sqlite, rows, written

GATHER = 5_000
"""So many images are found by an index, and sorted, in the time that a page may take."""
WALK = 5_000
"""So many are walked through in that time."""
COUNTED = 1_000
"""Matches are counted up to here where counting them all would cost more than the page."""
CHUNK = 1_000
"""Of images that are read one after the other."""

_FIELDS: dict[str, Field] = Image._meta.fields  # noqa: SLF001  the only way to name them all
READ = [field for name, field in _FIELDS.items() if name not in {"details", "search_text"}]
"""What is read of images that are gone through: the others take longer than the rest."""

_words = Table("image_words")
"""SQLite's index of trigrams."""
Found = Sequence[Any]
"""Queries for images, not yet saying of which columns; what they find is to be put together."""


@dataclass(frozen=True)
class Listing:
    """One state of the Images page; every part of it stands in the address. `after` and `before`
    are cursors that an earlier page gave."""

    query: Query = EVERYTHING
    sort: str = "created"
    descending: bool = True
    size: int = 50
    after: str = ""
    before: str = ""


@dataclass(frozen=True)
class Page:
    """One page of results. `count` is of all of them, not of the page; where it is not `exact`
    there are more. The cursors are '' where there is no such page."""

    images: list[ListedImage]
    count: int
    exact: bool
    previous: str
    next: str


def find(actor: Actor, scope: Scope, listing: Listing) -> Page:
    """One page of what `scope` sees. A cursor that cannot be read means the first page."""
    search = _Search(actor, scope, listing)
    places, counted, exact = search.page()
    more, places = len(places) > listing.size, places[: listing.size]
    if search.backwards:
        if not more:
            # So close to the first page that it is that one.
            return find(actor, scope, replace(listing, before=""))
        places.reverse()
    before = more if search.backwards else search.cursor is not None
    after = more or search.backwards
    written = search.order.written
    return Page(
        images=listed.read([place[-1] for place in places], search.shelves),
        count=counted,
        exact=exact,
        previous=written(places[0]) if places and before else "",
        next=written(places[-1]) if places and after else "",
    )


def get(scope: Scope, image_id: int) -> Image | None:
    """An image that `scope` owns or inherits."""
    image: Image | None = Image.get_or_none((Image.id == image_id) & Image.seen_from(scope))
    return image


def count(actor: Actor, scope: Scope, query: Query, *, own: bool = False) -> int:
    """How many match, exactly, however long that takes."""
    shelves = matching.shelves(scope, query, own=own)
    conditions = matching.of_each(query, actor)
    if not conditions:
        return _in_groups(shelves, query)
    conditions += matching.facets(Image, query)
    return sum(Image.select().where(each.holds(Image), *conditions).count() for each in shelves)


def each(actor: Actor, scope: Scope, query: Query, *, own: bool = False) -> Iterator[Image]:
    """All that match, without their details: shelf by shelf in the order of ids, read in chunks,
    so that what is registered or deleted meanwhile does not disturb the others."""
    conditions = [*matching.facets(Image, query), *matching.of_each(query, actor)]
    for shelf in matching.shelves(scope, query, own=own):
        last = 0
        while rows := _chunk(shelf, last, conditions):
            for image in rows:
                image.scope = shelf.scope
                yield image
            last = rows[-1].id


def _chunk(shelf: Shelf, last: int, conditions: Sequence[Any]) -> list[Image]:
    following = shelf.holds(Image), Image.id > last, *conditions
    return list(Image.select(*READ).where(*following).order_by(Image.id).limit(CHUNK))


def is_empty(scope: Scope) -> bool:
    seen = [shelf.holds(FacetGroup) for shelf in matching.shelves(scope, EVERYTHING)]
    return not FacetGroup.select().where(reduce(or_, seen)).exists()


class _Search:
    """One page being looked for."""

    def __init__(self, actor: Actor, scope: Scope, listing: Listing) -> None:
        self.query, self.size = listing.query, listing.size
        self.shelves = matching.shelves(scope, listing.query)
        self.backwards = bool(listing.before)
        self.order = Order(listing.sort, falling=listing.descending != self.backwards)
        self.cursor = self.order.read(listing.before or listing.after)
        self.backwards = self.backwards and self.cursor is not None
        self.facets = matching.facets(Image, listing.query)
        self.of_each = matching.of_each(listing.query, actor)
        self.ranges = matching.ranges(listing.query, actor)

    def page(self) -> tuple[list[Place], int, bool]:
        """Up to one place more than a page, in the direction of the cursor; the count of all, and
        whether it is exact."""
        if not self.shelves:
            return [], 0, True
        candidates = _in_groups(self.shelves, self.query)
        if not self.of_each and (not self.facets or candidates > GATHER):
            return self._walk(self.size + 1), candidates, True
        if candidates <= GATHER:
            return self._gather(self._of_groups() if self.facets else self._of_shelves())
        for conditions in self.ranges:
            if _count(self._of_shelves(conditions), GATHER) <= GATHER:
                return self._gather(self._of_shelves(conditions))
        return self._walk_a_while()

    def _walk_a_while(self) -> tuple[list[Place], int, bool]:
        """By a short walk, where that fills the page; else by the words; else by a long walk."""
        from_start = self._walk(COUNTED + 1, end=self._place_at(WALK), start=None)
        counted, wanted = min(len(from_start), COUNTED), self.size + 1
        if self.cursor is None and counted >= wanted:
            return from_start[:wanted], counted, False
        if texts := matching.texts(self.query):
            if counted < wanted:
                return self._gather(self._of_texts(texts))
            places = self._walk(wanted, end=self._place_at(WALK, self.cursor), start=self.cursor)
            if len(places) == wanted:
                return places, counted, False
            return self._gather(self._of_texts(texts))
        # What is left out, and ranges that hold for very many: nothing helps but to go on.
        places = self._walk(wanted)
        whole = self.cursor is None and len(places) < wanted
        return places, max(counted, min(len(places), self.size)), whole

    def _walk(self, most: int, **limits: Any) -> list[Place]:
        """Through the sorted images of all shelves at once, asking each."""
        return self._merged(most, [*self.facets, *self.of_each], **limits)

    def _place_at(self, position: int, start: Place | None = None) -> Place | None:
        """The place so many images further on, whatever they are; None where the order ends."""
        places = self._merged(1, [], start=start, offset=position)
        return self.order.typed(places[0]) if places else None

    def _merged(self, most: int, conditions: list[Any], **limits: Any) -> list[Place]:
        """`limits`: `start`, which is the cursor unless it is given; `end`; and `offset`."""
        start, end = limits.get("start", self.cursor), limits.get("end")
        skipped = limits.get("offset", 0)
        asked = [written(conditions)] if conditions else []
        places: list[Place] = []
        groups = self.order.one_after_another(self.shelves)
        for shelves in groups:
            runs, values = [], []
            for shelf in shelves:
                here = [*asked]
                if start is not None:
                    here.append(self.order.begins(shelf, start))
                if end is not None:
                    here.append(self.order.begins(shelf, end, ends=True))
                runs.append(self._run(shelf, here, most + skipped))
                values += [value for each in here for value in each.values]
            limit = most + skipped - len(places) if len(groups) > 1 else most
            merged = f"{' UNION ALL '.join(runs)} ORDER BY {self.order.by_run} LIMIT {limit}"
            if len(groups) == 1:
                return rows(f"{merged} OFFSET {skipped}", values)
            places.extend(rows(merged, values))
            if len(places) == most + skipped:
                break
        return places[skipped:]

    def _run(self, shelf: Shelf, conditions: list[Written], most: int) -> str:
        """The places on one shelf, as SQL. SQLite reads a union of sorted runs no further than it
        must, unless there are conditions; PostgreSQL might sort all that the runs find, unless each
        is cut short on its own."""
        wanted = " AND ".join([shelf.held, *(each.sql for each in conditions)])
        run = f"SELECT {self.order.places(shelf)} FROM image WHERE {wanted}"  # noqa: S608  no values
        if is_sqlite() and not conditions:
            return run
        return f"SELECT * FROM ({run} ORDER BY {self.order.by_run} LIMIT {most}) AS run"  # noqa: S608  no values

    def _gather(self, found: Found) -> tuple[list[Place], int, bool]:
        counted = _count(found, GATHER)
        columns = SQL(self.order.places(*self.shelves))
        runs = [each.select(columns) for each in found]
        if self.cursor is not None:
            following = SQL(*self.order.follows(self.shelves, self.cursor))
            runs = [each.where(following) for each in runs]
        ordered = reduce(add, runs).order_by(SQL(self.order.by)).limit(self.size + 1)
        return rows(*ordered.sql()), min(counted, GATHER), counted <= GATHER

    def _of_shelves(self, conditions: Sequence[Any] = ()) -> Found:
        """What stands on the shelves, found by `conditions` in the order of their column."""
        rest = [*self.facets, *self.of_each]
        return [
            Image.select(Image.id).where(each.holds(Image), *conditions, *rest)
            for each in self.shelves
        ]

    def _of_groups(self) -> Found:
        asked = matching.of_groups(self.shelves, self.query)
        groups = f"group_id IN (SELECT id FROM facet_group WHERE {asked.sql})"  # noqa: S608  no values
        return [Image.select(Image.id).where(SQL(groups, asked.values), *self.of_each)]

    def _of_texts(self, texts: list[str]) -> Found:
        held = reduce(or_, (each.holds_what_was_found() for each in self.shelves))
        conditions = [held, *self.facets, *self.of_each]
        if not is_sqlite():
            return [Image.select(Image.id).where(matching.found_by_text(texts), *conditions)]
        said = Expression(_words.c.search_text, "MATCH", matching.phrase(texts))
        both = Join(_words, Image, JOIN.CROSS)
        same = Image.id == _words.c.rowid
        return [Image.select(Image.id).from_(both).where(said, same, *conditions)]


def _count(found: Found, most: int) -> int:
    """How many there are, up to one more than `most`."""
    counted = 0
    for each in found:
        # One after the other: SQLite counts a union to its end, whatever the limit.
        limited = each.select(SQL("1")).limit(most + 1 - counted)
        counted += int(limited.select_from(fn.COUNT(SQL("*"))).scalar())
        if counted > most:
            break
    return counted


def _in_groups(shelves: Sequence[Shelf], query: Query) -> int:
    """How many there are as far as scopes and facets tell."""
    if not shelves:
        return 0
    asked = matching.of_groups(shelves, query)
    counted = f"SELECT SUM(images) FROM facet_group WHERE {asked.sql}"  # noqa: S608  no values
    return int(rows(counted, asked.values)[0][0] or 0)
