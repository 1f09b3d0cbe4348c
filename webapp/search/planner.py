"""Finding one page of a search: the places of its images, and how many there are.

Each shelf (see `webapp.search.conditions`) is kept in every order that the page can be sorted by,
so that a
page without conditions is a merge of a few short runs. Counts come from the facet groups. With
conditions there are two ways, and whichever must touch fewer rows is taken:

- gather: an index finds all that match, say by facet group or by trigrams; sort those;
- walk: go through the sorted images, asking each, until the page is full. A walk is given up
  after `WALK` images, when so few match that they had better be gathered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from models import Image
from webapp.access import Actor
from webapp.search import conditions as matching
from webapp.search.conditions import Shelf
from webapp.search.language import Query
from webapp.search.ordering import Order, Place
from webapp.search.sql import Written, is_sqlite, rows, written

GATHER = 5_000
"""So many images are found by an index, and sorted, in the time that a page may take."""
WALK = 5_000
"""So many are walked through in that time."""
TRIED = 1_000
"""So many, the first in order, tell how frequent matches are, where no index tells it."""
SPARSE = 5
"""With fewer matches among these, the words had better be looked up."""
COUNTED = 1_000
"""Matches are counted up to here where counting them all would cost more than the page."""
LOOKED_UP = 1_000
"""So many of what the words are part of are looked at before anything else, where an index gives
them one by one."""


class Found(NamedTuple):
    """Up to one place more than a page; the count of all if it is `exact`, else a number that there
    are more of."""

    places: list[Place]
    counted: int
    exact: bool


class Search:
    """One page being looked for, in the direction of `order` from `cursor` on."""

    def __init__(
        self,
        actor: Actor,
        shelves: Sequence[Shelf],
        query: Query,
        order: Order,
        cursor: Place | None,
        size: int,
    ) -> None:
        self.shelves, self.query, self.order, self.cursor = shelves, query, order, cursor
        self.wanted = size + 1
        self.facets = matching.facets(Image, query)
        self.of_each = matching.of_each(query, actor)
        self.ranges = [written(each) for each in matching.ranges(query, actor)]
        self.texts = matching.texts(query)
        conditions = [*self.facets, *self.of_each]
        self.asked = [written(conditions)] if conditions else []
        """All that is asked of each image, once it is found on a shelf."""

    def page(self) -> Found:
        if not self.shelves:
            return Found([], 0, exact=True)
        candidates = in_groups(self.shelves, self.query)
        if not self.of_each and (not self.facets or candidates > GATHER):
            return Found(self._walk(self.wanted), candidates, exact=True)
        if candidates <= GATHER:
            all_of_them = self._of_groups() if self.facets else self._of_shelves()
            return self._gather(self._of_few_texts() or all_of_them)
        for conditions in self.ranges:
            if self._few(conditions):
                return self._gather(self._of_shelves(conditions))
        return self._by_words() if self.texts and is_sqlite() else self._walk_a_while()

    def _few(self, conditions: Written) -> bool:
        """Whether they leave so few that these had better be gathered."""
        counts = " + ".join(
            "(SELECT COUNT(*) FROM (SELECT 1 FROM image "  # noqa: S608  no values
            f"WHERE {each.held} AND {conditions.sql} LIMIT {GATHER + 1}) AS found)"
            for each in self.shelves
        )
        ((counted,),) = rows(f"SELECT {counts}", [*conditions.values] * len(self.shelves))
        return bool(counted <= GATHER)

    def _by_words(self) -> Found:
        """With SQLite, whose index gives what it finds one by one: by the index, where it finds
        little; else by a short walk, where that fills the page; else by the index after all."""
        if found := self._of_few_texts():
            return self._gather(found)
        places = self._walk(self.wanted, end=self._place_at(WALK, self.cursor))
        if len(places) < self.wanted:
            return self._gather(self._of_texts())
        seen = _count(self._of_texts(first=LOOKED_UP + 1))
        return Found(places, _fewer_than(max(seen, self.wanted)), exact=False)

    def _walk_a_while(self) -> Found:
        """By a short walk, where that fills the page; else by the words; else by a long walk, which
        may go through a whole shelf that has no match."""
        from_start = self._walk(COUNTED + 1, end=self._place_at(TRIED), start=None)
        seen = len(from_start)
        if self.cursor is None and seen >= self.wanted:
            return Found(from_start[: self.wanted], _fewer_than(seen), exact=False)
        if self.texts and seen < SPARSE:
            return self._gather(self._of_texts())
        places = self._walk(self.wanted, end=self._place_at(WALK, self.cursor))
        if len(places) == self.wanted:
            return Found(places, _fewer_than(max(seen, self.wanted)), exact=False)
        if self.texts:
            return self._gather(self._of_texts())
        # What is left out, and ranges that hold for very many: nothing helps but to go on.
        places = self._walk(self.wanted)
        if self.cursor is None and len(places) < self.wanted:
            return Found(places, len(places), exact=True)
        return Found(places, _fewer_than(max(seen, len(places))), exact=False)

    def _walk(self, most: int, **limits: Any) -> list[Place]:
        """Through the sorted images of all shelves at once, asking each."""
        return self._merged(most, self.asked, **limits)

    def _place_at(self, position: int, start: Place | None = None) -> Place | None:
        """The place so many images further on, whatever they are; None where the order ends."""
        places = self._merged(1, [], start=start, offset=position)
        return self.order.typed(places[0]) if places else None

    def _merged(self, most: int, asked: list[Written], **limits: Any) -> list[Place]:
        """`limits`: `start`, which is the cursor unless it is given; `end`; and `offset`."""
        start, end = limits.get("start", self.cursor), limits.get("end")
        skipped = limits.get("offset", 0)
        places: list[Place] = []
        groups = self.order.one_after_another(self.shelves)
        for shelves in groups:
            runs: list[str] = []
            values: list[Any] = []
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

    def _gather(self, found: list[Written]) -> Found:
        """`found`: what comes after FROM, and finds them; to be put together."""
        following = [self.order.follows(self.shelves, self.cursor)] if self.cursor else []
        conditions = "".join(f" AND {each.sql}" for each in following)
        places = self.order.places(*self.shelves)
        runs = " UNION ALL ".join(f"SELECT {places} FROM {each.sql}{conditions}" for each in found)  # noqa: S608  no values
        values = [value for each in found for part in (each, *following) for value in part.values]
        ordered = f"ORDER BY {self.order.by} LIMIT {self.wanted}"
        if self.cursor:
            counted, answer = _count(found), rows(f"{runs} {ordered}", values)
        else:
            # From the start all are found, and sorted, so that they can be counted by the way.
            answer = rows(f"SELECT run.*, COUNT(*) OVER () FROM ({runs}) AS run {ordered}", values)  # noqa: S608  no values
            counted = answer[0][-1] if answer else 0
            answer = [each[:-1] for each in answer]
        return Found(answer, min(counted, GATHER), counted <= GATHER)

    def _of_shelves(self, *conditions: Written) -> list[Written]:
        """What stands on the shelves, found by `conditions` in the order of their column."""
        parts: list[Written | str] = [*conditions, *self.asked]
        return [_where("image", each.held, *parts) for each in self.shelves]

    def _of_groups(self) -> list[Written]:
        groups = matching.of_groups(self.shelves, self.query)
        sql = f"group_id IN (SELECT id FROM facet_group WHERE {groups.sql})"  # noqa: S608  no values
        asked = [written(self.of_each)] if self.of_each else []
        return [_where("image", Written(sql, groups.values), *asked)]

    def _of_few_texts(self) -> list[Written]:
        """With SQLite, by the index of trigrams, if that finds little; else none."""
        if not self.texts or not is_sqlite():
            return []
        found = f"SELECT 1 FROM image_words WHERE image_words MATCH ? LIMIT {LOOKED_UP + 1}"  # noqa: S608  no values
        ((looked_up,),) = rows(f"SELECT COUNT(*) FROM ({found})", [matching.phrase(self.texts)])  # noqa: S608  no values
        return self._of_texts() if looked_up <= LOOKED_UP else []

    def _of_texts(self, first: int | None = None) -> list[Written]:
        """By the index of trigrams; with SQLite perhaps only of the `first` that it gives."""
        held = " OR ".join(f"({each.held_if_found})" for each in self.shelves)
        parts: list[Written | str] = [f"({held})", *self.asked]
        if not is_sqlite():
            return [_where("image", written([matching.found_by_text(self.texts)]), *parts)]
        limit = "" if first is None else f" LIMIT {first}"
        words = f"SELECT rowid AS word_id FROM image_words WHERE image_words MATCH ?{limit}"  # noqa: S608  no values
        found = Written(f"({words}) AS words CROSS JOIN image", [matching.phrase(self.texts)])
        return [_where(found, "id = word_id", *parts)]


def _fewer_than(seen: int) -> int:
    """What may stand after "more than", once so many were seen: none, it may be, on a page that was
    the last one before its images went."""
    return min(max(seen, 1) - 1, COUNTED)


def _where(source: Written | str, *conditions: Written | str) -> Written:
    parts = [each if isinstance(each, Written) else Written(each) for each in (source, *conditions)]
    sql = f"{parts[0].sql} WHERE {' AND '.join(each.sql for each in parts[1:])}"
    return Written(sql, [value for each in parts for value in each.values])


def _count(found: Sequence[Written]) -> int:
    """How many there are, up to one more than GATHER."""
    counted = 0
    for each in found:
        # One after the other: SQLite counts a union to its end, whatever the limit.
        limited = f"SELECT 1 FROM {each.sql} LIMIT {GATHER + 1 - counted}"  # noqa: S608  no values
        ((some,),) = rows(f"SELECT COUNT(*) FROM ({limited}) AS found", each.values)  # noqa: S608  no values
        counted += int(some)
        if counted > GATHER:
            break
    return counted


def in_groups(shelves: Sequence[Shelf], query: Query) -> int:
    """How many there are as far as scopes and facets tell."""
    if not shelves:
        return 0
    asked = matching.of_groups(shelves, query)
    counted = f"SELECT SUM(images) FROM facet_group WHERE {asked.sql}"  # noqa: S608  no values
    return int(rows(counted, asked.values)[0][0] or 0)
