"""Finding one page of a search, and the number of its matches.

Each scope slice has an index in every sort order. There are two strategies, and the planner takes
the one that reads fewer rows:

- *Scan in order*: merge the index ranges of the slices in sort order, and check each image until
  the page is full.
- *Sort all matches*: find all matches by another index, and sort them.

`Search.page` holds the table that says which strategy is taken when.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from models import is_sqlite
from webapp.access import Actor
from webapp.search import conditions, rows, sql
from webapp.search.conditions import ScopeSlice
from webapp.search.language import Query
from webapp.search.ordering import Order, SortKey
from webapp.search.rows import Row
from webapp.search.sql import ALWAYS, Sql

FEW = 5_000
"""Images that may be sorted, or scanned, for one page."""
SAMPLE = 1_000
"""Images that are checked to estimate how frequent matches are; also the limit of "more than"."""
RARE = 5
"""PostgreSQL: words with fewer matches in the sample are looked up in the index of trigrams."""


class PageResult(NamedTuple):
    """Up to one row more than the page shows, and the number of matches.

    If `exact` is false, there are more matches than `matches`.
    """

    rows: list[Row]
    matches: int
    exact: bool


class Search:
    """The search for one page, in the direction of `order`, after `cursor`."""

    def __init__(
        self,
        actor: Actor,
        slices: Sequence[ScopeSlice],
        query: Query,
        order: Order,
        cursor: SortKey | None,
        size: int,
    ) -> None:
        self.slices, self.query, self.order, self.cursor = slices, query, order, cursor
        self.size = size + 1
        self.condition = conditions.image_condition(query, actor)
        self.ungrouped = conditions.ungrouped_condition(query, actor)
        self.ranges = conditions.range_conditions(query, actor)
        self.texts = conditions.required_texts(query)

    def page(self) -> PageResult:
        """Choose a strategy and find the page.

        "Few" means at most FEW images. The first line that applies decides:

        ===========================================  =================================  ===========
        the search                                   strategy                           count
        ===========================================  =================================  ===========
        has no terms                                 scan in order                      exact
        has only terms about facets, not few images  scan in order                      exact
        SQLite: has words that few images contain    sort all, found by trigrams        exact
        few images have the facets                   sort all, found by facet group,    exact
                                                     or by slice if there are none
        few images are in a range of size, date or   sort all, found by that index      exact
        registrar
        has words that are not rare in the sample,   scan in order                      "more than"
        and FEW images after the cursor fill a page
        has words                                    sort all, found by trigrams        exact to FEW
        anything else                                scan in order                      "more than"
        ===========================================  =================================  ===========
        """
        if not self.slices:
            return PageResult([], 0, exact=True)
        candidates = count_groups(self.slices, self.query)
        has_facets = conditions.has_facets(self.query)
        if not self.ungrouped and (candidates > FEW or not has_facets):
            return PageResult(self._scan_in_order(), candidates, exact=True)
        if candidates <= FEW:
            if self._few_images_contain_words():
                return self._sort_all_matches(self._matches_by_words())
            total = None if self.ungrouped else candidates
            return self._sort_all_matches(
                self._matches_by_group() if has_facets else self._matches_by_slice(), total
            )
        for condition in self.ranges:
            if self._count_in_slices(condition) <= FEW:
                return self._sort_all_matches(self._matches_by_slice(condition))
        return self._page_with_words() if self.texts else self._page_without_words()

    def _page_with_words(self) -> PageResult:
        if self._few_images_contain_words():
            return self._sort_all_matches(self._matches_by_words())
        seen = self._count_sample()
        if seen >= RARE or is_sqlite():
            first_images_fill_page = seen >= self.size and self._samples_first_images()
            found = self._scan_in_order(
                until=None if first_images_fill_page else self._key_after_images(FEW)
            )
            if len(found) == self.size:
                return PageResult(found, _certain_minimum(seen, found), exact=False)
        return self._sort_all_matches(self._matches_by_words())

    def _page_without_words(self) -> PageResult:
        found = self._scan_in_order()
        if self.cursor is None and len(found) < self.size:
            return PageResult(found, len(found), exact=True)
        return PageResult(found, _certain_minimum(self._count_sample(), found), exact=False)

    def _scan_in_order(self, *, until: SortKey | None = None) -> list[Row]:
        """Return the page by scanning images in order, at most up to `until`."""
        found: list[Row] = []
        for slices in self.order.slices_by_rank(self.slices):
            limit = self.size - len(found)
            keys = self._first_keys(slices, self.condition, limit, start=self.cursor, until=until)
            found += rows.read(keys, self.order, slices)
            if len(found) == self.size:
                break
        return found

    def _first_keys(
        self,
        slices: Sequence[ScopeSlice],
        condition: Sql,
        limit: int,
        *,
        start: SortKey | None = None,
        until: SortKey | None = None,
        offset: int = 0,
    ) -> Sql:
        """Return the statement for the first sort keys of slices of one rank, in order."""
        order, ranges = self.order, []
        for each in slices:
            begin = order.after_in_slice(each, start) if start else ALWAYS
            end = order.until_in_slice(each, until) if until else ALWAYS
            where = sql.all_of([each.condition, condition, begin, end])
            ranges.append(sql.select(order.columns([each]), sql.rows_of("image", where)))
        is_plain = not (condition or start or until)
        return sql.merge(
            ranges, order_by=order.by_index, limit=limit, offset=offset, plain=is_plain
        )

    def _key_after_images(self, position: int) -> SortKey | None:
        """Return the sort key `position` images after the cursor, or None if there are fewer."""
        for slices in self.order.slices_by_rank(self.slices):
            found = sql.fetch(
                self._first_keys(slices, ALWAYS, 1, start=self.cursor, offset=position)
            )
            if found:
                return self.order.key_of(found[0])
            passed = sql.subquery(
                self._first_keys(slices, ALWAYS, position, start=self.cursor), "passed"
            )
            position -= sql.fetch_number(sql.count(passed))
        return None

    def _sort_all_matches(self, sources: Sequence[Sql], total: int | None = None) -> PageResult:
        """Return the page by sorting all matches, which `sources` find.

        `total` is the number of matches, if it is known.
        """
        counts = sql.sum_of_results(sql.count(source, FEW + 1) for source in sources)
        columns, by_key = self.order.columns(self.slices), self.order.by_key
        after = self.order.after(self.slices, self.cursor) if self.cursor else ALWAYS
        matches = sql.union(sql.select(columns, sql.narrow(each, after)) for each in sources)
        if total is None and not self.cursor:
            # The first page has to find all matches anyway, and counts them on the way.
            counted = sql.select(["*", sql.TOTAL_COLUMN], sql.subquery(matches, "matches"))
            page, total_column = (
                sql.first_rows(counted, order_by=by_key, limit=self.size),
                sql.TOTAL,
            )
        else:
            page = sql.first_rows(matches, order_by=by_key, limit=self.size)
            total_column = sql.scalar(counts) if total is None else Sql(str(total))
        found = rows.read(page, self.order, self.slices, extra=total_column)
        if found:
            total = found[0].extra
        elif total is None:
            total = sql.fetch_number(counts) if self.cursor else 0
        return PageResult(found, min(total, FEW), exact=total <= FEW)

    def _matches_by_slice(self, condition: Sql = ALWAYS) -> list[Sql]:
        """Find all matches by slice; `condition` follows from the search and has an index."""
        return [
            sql.rows_of("image", sql.all_of([each.condition, condition, self.condition]))
            for each in self.slices
        ]

    def _matches_by_group(self) -> list[Sql]:
        """Find all matches by their facet groups."""
        groups = sql.union(
            sql.select(["id"], source) for source in group_sources(self.slices, self.query)
        )
        return [sql.rows_of("image", sql.all_of([sql.images_of_groups(groups), self.ungrouped]))]

    def _matches_by_words(self, first: int | None = None) -> list[Sql]:
        """Find all matches by the index of trigrams, or those among its `first` images."""
        visible = conditions.in_any_slice(self.slices, indexed=False)
        where = sql.all_of([visible, self.condition])
        return [sql.images_with_texts(self.texts, where, first)]

    def _few_images_contain_words(self) -> bool:
        """Return whether few images contain the words. Only SQLite's index can tell quickly."""
        if not self.texts or not is_sqlite():
            return False
        entries = sql.count(sql.indexed_texts(self.texts), SAMPLE + 1)
        return sql.fetch_number(entries) <= SAMPLE

    def _samples_first_images(self) -> bool:
        """Return whether the sample is of the images at the beginning of this page."""
        return self.cursor is None and not self.order.sorts_slices and not is_sqlite()

    def _count_sample(self) -> int:
        """Return how many images of a sample match.

        The sample is the first images in order, or for orders that sort slices, the first images of
        all slices. With SQLite and words it is the first images from the index of trigrams.
        """
        if self.texts and is_sqlite():
            (sample,) = self._matches_by_words(first=SAMPLE + 1)
        else:
            keys = self._first_keys(self.slices, ALWAYS, SAMPLE)
            images = sql.joined_images(keys, "sample", self.order.names[-1])
            sample = sql.rows_of(images, self.condition)
        return sql.fetch_number(sql.count(sample))

    def _count_in_slices(self, condition: Sql) -> int:
        """Return the number of images of the slices that meet a condition.

        The count stops beyond FEW images in each slice.
        """
        return sql.fetch_number(
            sql.sum_of_results(
                sql.count(sql.rows_of("image", sql.all_of([each.condition, condition])), FEW + 1)
                for each in self.slices
            )
        )


def count_groups(slices: Sequence[ScopeSlice], query: Query) -> int:
    """Return the number of images that match the terms about scopes and facets.

    It has a sum for each slice, which both databases read from an index of the facet groups alone.
    """
    if not slices:
        return 0
    sources = group_sources(slices, query)
    return sql.fetch_number(
        sql.sum_of_results(sql.select([sql.sum_of("images")], each) for each in sources)
    )


def group_sources(slices: Sequence[ScopeSlice], query: Query) -> list[Sql]:
    """Return the facet groups of each slice that match a query, as sources of `sql.select`."""
    condition = conditions.group_condition(query)
    return [sql.rows_of("facet_group", sql.all_of([each.condition, condition])) for each in slices]


def _certain_minimum(seen: int, found: Sequence[Row]) -> int:
    """Return a number that is certainly smaller than the number of matches.

    `found` may be empty because the images of the page were deleted.
    """
    return min(max(seen, len(found), 1) - 1, SAMPLE)
