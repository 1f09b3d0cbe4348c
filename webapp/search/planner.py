"""Find one page of a search, and the number of images that match.

A slice contains the shared or the unshared images of one scope, or also of the scopes below it (see
`webapp.search.conditions`). For each sort order, an index contains the images of each slice in that
order. There are two strategies, and the planner chooses the strategy that probably reads fewer
rows:

- *Scan in order*: merge the index ranges of the slices in sort order, and check each image until
  the page is full.
- *Sort all matches*: find all matches by another index, and sort them.

The docstring of `Search.page` has a table that shows when each strategy is chosen.

A source is the text that follows FROM in a statement. See `webapp.search.sql`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from models import is_sqlite
from webapp.access import Actor
from webapp.search import conditions, rows, sql, tags
from webapp.search.conditions import Slice
from webapp.search.counts import Count
from webapp.search.keys import Key
from webapp.search.ordering import FACET_SORTS, Order, SortKey
from webapp.search.query import Query
from webapp.search.rows import Row
from webapp.search.sql import ALWAYS, Sql

FEW = 2_000
"""The planner prefers a strategy that sorts or scans at most this number of images for a page."""
SAMPLE = 1_000
"""The number of images in the sample that shows how frequent matches are."""
COUNT_LIMIT = 10_000
"""The maximum number of matches to count, if facet groups cannot answer the search."""
INDEXED_TAG_ORDER = "created"
"""The sort order in which the index of tags contains the images of a tag."""
MANY = 20_000
"""The maximum number of images to sort if a search has only terms about scopes and facets."""
VALUES_PER_STATEMENT = 3
"""The number of values whose images `_scan_values_in_order` reads with one statement.

The images of one or two values usually fill the page, and PostgreSQL would need time to plan each
further index range.
"""
FEW_FAMILIES = 8
"""The maximum number of families of operating systems whose images are merged."""
RARE = 5
"""If the sample has fewer than RARE matches, the planner uses PostgreSQL's index of trigrams."""


class PageResult(NamedTuple):
    """The rows of a page, and the number of all images that match the search.

    If there is a next page, `rows` also contains the first row of that page.
    """

    rows: list[Row]
    matches: Count


class Search:
    """The search for one page: the first images after `cursor` in the sort order `order`."""

    def __init__(
        self,
        actor: Actor,
        slices: Sequence[Slice],
        query: Query,
        order: Order,
        cursor: SortKey | None,
        size: int,
    ) -> None:
        self.slices, self.query, self.order, self.cursor = slices, query, order, cursor
        # One more row shows whether there is a next page.
        self.size = size + 1
        self.condition = conditions.image_condition(query, actor)
        self.ungrouped_condition = conditions.ungrouped_condition(query, actor)
        self.ranges = conditions.range_conditions(query, actor)
        self.texts = conditions.required_texts(query)
        self.tokens = conditions.required_tokens(query)
        self.selects_groups = conditions.selects_groups(query, slices)
        # The index of tags can check conditions about `registered_at`, which is one of its columns.
        self.created_condition = sql.all_of(
            conditions.range_conditions(query, actor, [Key.CREATED])
        )
        if order.sort == "by" and len(query.terms_for(Key.BY)) == 1:
            # The index of this order can find the images of one person.
            by_name = conditions.range_conditions(query, actor, [Key.BY])
            self.condition = sql.all_of([*by_name, self.condition])

    def page(self) -> PageResult:
        """Choose a strategy and find the page.

        "Few" means at most FEW images, and "many" means more. If a term about scopes selects only
        some of the owners of a slice, it counts as a term about facets. "One tag" means a single
        tag or key, not an unfinished value that can mean several. The first row that applies
        decides:

        ===========================================  =================================  ===========
        the search                                   strategy                           count
        ===========================================  =================================  ===========
        has no terms, or only terms about scopes     scan in order                      exact
        has only terms about scopes and facets,      scan in order, one value of the    exact
        which many images match, and has a term      column after the other
        about the column that sorts the images
        has only terms about scopes and facets,      scan in order, merging the         exact
        which many images match, is sorted by        images of each family
        name, and selects at most FEW_FAMILIES
        families of operating systems
        has only terms about scopes and facets,      scan in order                      exact
        which more than MANY images match
        has only terms about scopes and facets,      scan in order                      exact
        which many images match, and the next FEW
        images after the cursor contain a whole
        page or the last page
        has only terms about scopes and facets,      sort all, found by facet group     exact
        which many images match
        SQLite: few images match the scopes and      sort all, found by trigrams        exact
        facets, and at most SAMPLE images contain
        the words
        few images match the scopes and facets       sort all, found by facet group     exact
                                                     or, without facet terms, by slice
        requires a tag that no image has             none                               exact
        requires a tag that few images have          sort all, found by the index of    exact
                                                     tags
        requires a size, date or registrar that      sort all, found by the index of    exact
        few images have                              that column
        SQLite: at most SAMPLE images contain the    sort all, found by trigrams        exact
        words
        has one tag and no other terms except        scan the index of tags in order    exact
        about scopes, sorted by registration
        has terms about tags, the rarest of which    see `_page_in_order_of_tag`        see there
        is one tag, and is sorted by registration
        has words (PostgreSQL: not rare in the       scan in order                      not counted
        sample), and the next FEW images after the
        cursor contain a whole page
        has words                                    sort all, found by trigrams        exact up to
                                                                                        COUNT_LIMIT
        has tags, and the next FEW images after the  scan in order                      not counted
        cursor contain a whole page
        has tags                                     sort all, found by the index of    exact up to
                                                     tags                               COUNT_LIMIT
        has only terms about scopes and one of       scan in order                      exact up to
        size, date or registrar (except by:me)                                          COUNT_LIMIT
        anything else                                scan in order                      not counted
        ===========================================  =================================  ===========

        Instead of "not counted", the count is exact if the page is the first page and is not full,
        or if the search has one tag and no other terms except about scopes. If the matches are not
        counted, the caller can count them with `count`.
        """
        counts = _count_by_slice(self.slices, self.query)
        candidates = sum(counts)
        if not candidates:
            return PageResult([], Count(0))
        # Leave out slices without matches, because a scan would read them to their end.
        self.slices = [each for each, count in zip(self.slices, counts, strict=True) if count]
        if not self.ungrouped_condition and (candidates > FEW or not self.selects_groups):
            return PageResult(self._page_with_facets(candidates), Count(candidates))
        if candidates <= FEW:
            if self._few_images_contain_words():
                return self._sort_all_matches(self._matches_by_words())
            total = None if self.ungrouped_condition else candidates
            return self._sort_all_matches(self._matches_by_facets(), total)
        return self._page_among_many(candidates)

    def _page_with_facets(self, candidates: int) -> list[Row]:
        """Return the rows of the page if the search has only terms about scopes and facets."""
        if not self.selects_groups:
            return self._scan_in_order()
        keys = FACET_SORTS.get(self.order.sort, ())
        selects_owners = any(map(conditions.selects_owners, self.slices))
        if any(self.query.terms_for(key) for key in keys) or (
            self.order.sort == "owner" and self.order.fields and selects_owners
        ):
            return self._scan_values_in_order()
        if families := self._selected_families():
            return self._merge_families(families)
        if candidates > MANY:
            return self._scan_in_order()
        until = self._key_after_images(FEW)
        found = self._scan_in_order(until=until)
        if len(found) == self.size or until is None:
            return found
        return self._sort_all_matches(self._matches_by_facets(), candidates).rows

    def _scan_values_in_order(self) -> list[Row]:
        """Return the page by scanning the images of one value after the other.

        Here, a value is one combination of values in the columns `Order.facet_columns`. The values
        come from the facet groups, so values that no matching image has are skipped.
        """
        columns = self.order.facet_columns
        found: list[Row] = []
        values = self._sorted_values(columns)
        for first in range(0, len(values), VALUES_PER_STATEMENT):
            ranges = []
            for value in values[first : first + VALUES_PER_STATEMENT]:
                has_value = [sql.equals(*each) for each in zip(columns, value, strict=True)]
                if self.cursor and value == tuple(self.cursor[: len(columns)]):
                    has_value.append(self.order.after_facets(self.cursor))
                for each in self.slices:
                    where = sql.all_of([each.condition, *has_value, self.condition])
                    source = sql.rows_of("image", where)
                    ranges.append(sql.select(self.order.columns([each]), source))
            limit = self.size - len(found)
            keys = sql.merge(ranges, order_by=self.order.by_index, limit=limit, plain=False)
            found += rows.read(keys, self.order, self.slices)
            if len(found) == self.size:
                break
        return found

    def _selected_families(self) -> list[str]:
        """Return the families of operating systems that the search selects.

        Return [] if there are more than FEW_FAMILIES families, or if no index sorts the images of a
        family in this order.
        """
        if self.order.sort != "name" or not self.query.terms_for(Key.OS):
            return []
        families = [family for (family,) in self._values(["os_family"])]
        return families if len(families) <= FEW_FAMILIES else []

    def _merge_families(self, families: Sequence[str]) -> list[Row]:
        """Return the page by merging the images of these families in order."""
        of_families = [sql.equals("os_family", family) for family in families]
        ranges = []
        for each in self.slices:
            begin = self.order.after_in_slice(each, self.cursor) if self.cursor else ALWAYS
            for of_family in of_families:
                where = sql.all_of([each.condition, of_family, begin, self.condition])
                ranges.append(sql.select(self.order.columns([each]), sql.rows_of("image", where)))
        keys = sql.merge(ranges, order_by=self.order.by_index, limit=self.size, plain=False)
        return rows.read(keys, self.order, self.slices)

    def _sorted_values(self, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        """Return the values of the matching images in order, without values before the cursor."""
        values = sorted(self._values(columns), reverse=self.order.descending)
        if not self.cursor:
            return values
        first = tuple(self.cursor[: len(columns)])
        return [each for each in values if each == first or (each < first) is self.order.descending]

    def _values(self, columns: Sequence[str]) -> set[tuple[Any, ...]]:
        """Return the values of all matching images in these columns of `FacetGroup`."""
        sources = group_sources(self.slices, self.query)
        statement = sql.union(sql.select(columns, each, distinct=True) for each in sources)
        return set(sql.fetch(statement))

    def _page_among_many(self, candidates: int) -> PageResult:
        """Return the page if more than FEW images match the terms about scopes and facets.

        `candidates` is the number of these images.
        """
        tagged_count, tokens = self._rarest_tokens()
        if tagged_count <= FEW:
            if not tagged_count:
                return PageResult([], Count(0))
            return self._sort_all_matches(self._matches_by_tag(tokens))
        range_counts = self._count_ranges()
        for condition, count in zip(self.ranges, range_counts, strict=True):
            if count <= FEW:
                return self._sort_all_matches(self._matches_by_slice(condition))
        if self._few_images_contain_words():
            return self._sort_all_matches(self._matches_by_words())
        if self.tokens and (self._has_index_order(tokens) or not self.texts):
            return self._page_with_tags(int(tagged_count), tokens, candidates)
        return self._page_with_words() if self.texts else self._page_without_words(range_counts)

    def _page_with_words(self) -> PageResult:
        sample_matches = 0 if is_sqlite() else self._count_sample(self.condition)
        if sample_matches >= RARE or is_sqlite():
            sample_fills_page = sample_matches >= self.size and self._sample_begins_with_page()
            # Without a limit, a slice without matches would be scanned to its end.
            until = self._key_after_images(SAMPLE if sample_fills_page else FEW)
            found = self._scan_in_order(until=until)
            if len(found) == self.size:
                return PageResult(found, _minimum_count(found))
        return self._sort_all_matches(self._matches_by_words())

    def _rarest_tokens(self) -> tuple[float, tuple[str, ...]]:
        """Find the term about tags that the fewest images match.

        Return the number of these images, and the tokens of the term. An image that has several of
        the tokens is counted once for each token. If the search requires no tag, the number is
        infinite.
        """
        counts = [(tags.count_images(self.slices, *tokens), tokens) for tokens in self.tokens]
        return min(counts, default=(math.inf, ()))

    def _has_index_order(self, tokens: tuple[str, ...]) -> bool:
        """Return whether the index of tags sorts the images with these tokens as the page does."""
        return len(tokens) == 1 and self.order.sort == INDEXED_TAG_ORDER

    def _page_with_tags(
        self, tagged_count: int, tokens: tuple[str, ...], candidates: int
    ) -> PageResult:
        """Return the page of a search with tags if more than FEW images match each term about tags.

        `tagged_count` and `tokens` are the result of `_rarest_tokens`. `candidates` is the number
        of images that match the scopes and facets.
        """
        is_one_tag = conditions.is_one_tag(self.query)
        if self._has_index_order(tokens):
            if is_one_tag:
                return PageResult(self._scan_in_order(token=tokens[0]), Count(tagged_count))
            return self._page_in_order_of_tag(tagged_count, tokens[0], candidates)
        found = self._scan_in_order(until=self._key_after_images(FEW))
        if len(found) == self.size:
            return PageResult(found, Count(tagged_count) if is_one_tag else _minimum_count(found))
        total = tagged_count if is_one_tag else None
        return self._sort_all_matches(self._matches_by_tag(tokens), total)

    def _page_in_order_of_tag(self, tagged_count: int, token: str, candidates: int) -> PageResult:
        """Return the page of a search with a tag and other terms, sorted by registration.

        See `_page_with_tags` for `tagged_count` and `candidates`. The first row that applies
        decides:

        ===========================================  =================================  ===========
        the search                                   strategy                           count
        ===========================================  =================================  ===========
        the next FEW images with the tag contain a   scan the index of tags in order    not counted
        whole page or the last page
        has words, and the index of trigrams         sort all, found by trigrams        exact up to
        probably reads fewer images                                                     COUNT_LIMIT
        fewer images match the scopes and facets     sort all, found by facet group     exact up to
        than have the tag                            or, without facet terms, by slice  COUNT_LIMIT
        anything else                                scan the index of tags in order    not counted
        ===========================================  =================================  ===========
        """
        start = self._start_of_tags()
        if start is None:
            return PageResult([], self._count_of([]))
        until = self._key_after_images(FEW, token, start)
        found = self._scan_in_order(start, until=until, token=token)
        if len(found) < self.size and until is not None:
            if self.texts and self._index_reads_fewer_images(min(tagged_count, candidates)):
                return self._sort_all_matches(self._matches_by_words())
            if candidates < tagged_count:
                return self._sort_all_matches(self._matches_by_facets())
            # Sorting all images with the tag would take longer than scanning all of them in order.
            found = self._scan_in_order(start, token=token)
        return PageResult(found, self._count_of(found))

    def _start_of_tags(self) -> SortKey | None:
        """Return the sort key after which a scan for images with all tags can begin.

        No image between the cursor and this sort key has all tags. For example, suppose that a
        search for two tags lists the newest images first. If all images with one of the tags are
        old, the scan begins at the newest image with this tag. Return None if one of the tags has
        no image after the cursor.
        """
        starts = []
        for tokens in self.tokens:
            if len(tokens) == 1:
                first = self._key_after_images(0, tokens[0])
                if first is None:
                    return None
                starts.append(self.order.just_before(first))
        return min(starts) if self.order.descending else max(starts)

    def _page_without_words(self, range_counts: Sequence[int]) -> PageResult:
        """Return the page by scanning. `range_counts` are the numbers of images in each range."""
        found = self._scan_in_order()
        is_whole = self.cursor is None and len(found) < self.size
        if conditions.is_one_range(self.query) and not is_whole:
            return PageResult(found, _limited_count(range_counts[0]))
        return PageResult(found, self._count_of(found))

    def _count_of(self, found: Sequence[Row]) -> Count:
        """Return the count of a search whose matches were scanned only up to the end of a page."""
        if self.cursor is None and len(found) < self.size:
            return Count(len(found))
        return _minimum_count(found)

    def count(self) -> Count:
        """Return the number of matches.

        The number is always exact if the search has only terms about scopes and facets, or only
        terms about scopes and one tag. For any other search, it is exact up to COUNT_LIMIT. The
        result does not depend on the database or on the strategy.
        """
        candidates = count_grouped_images(self.slices, self.query)
        if not candidates or not self.ungrouped_condition:
            return Count(candidates)
        if conditions.is_one_tag(self.query):
            return Count(tags.count_images(self.slices, *self.tokens[0]))
        matches = sql.union(sql.select(["1"], each) for each in self._sources_to_count(candidates))
        found = sql.subquery(matches, "matches")
        return _limited_count(sql.fetch_number(sql.count(found, COUNT_LIMIT + 1)))

    def _sources_to_count(self, candidates: int) -> list[Sql]:
        """Return the sources that find all matches and that probably read the fewest images."""
        tagged_count, tokens = self._rarest_tokens()
        if tagged_count <= min(candidates, COUNT_LIMIT):
            return self._matches_by_tag(tokens)
        if candidates > FEW:
            for condition in self.ranges:
                if sum(self._counts_by_slice(condition)) <= COUNT_LIMIT:
                    return self._matches_by_slice(condition)
        if self.texts and self._index_reads_fewer_images(candidates):
            return self._matches_by_words()
        return self._matches_by_facets()

    def _index_reads_fewer_images(self, candidates: int) -> bool:
        """Return whether the index of trigrams probably finds fewer images than a scan checks.

        On SQLite, the entries of the index are counted and compared with the candidates. On
        PostgreSQL, the number of entries is estimated from the frequency of the words in the
        sample. A scan stops when it has found COUNT_LIMIT matches, so the number of images that it
        checks is estimated from the same frequency.
        """
        if is_sqlite():
            entries = sql.count(sql.indexed_texts(self.texts), candidates + 1)
            return sql.fetch_number(entries) <= candidates
        has_texts = sql.all_of(
            sql.any_of(sql.contains("search_text", text) for text in texts) for texts in self.texts
        )
        frequency = (self._count_sample(has_texts) + 1) / SAMPLE
        images = sql.fetch_number(sql.select(["MAX(id)"], Sql("image")))
        return frequency * images <= min(candidates, COUNT_LIMIT / frequency)

    def _scan_in_order(
        self, start: SortKey | None = None, *, until: SortKey | None = None, token: str = ""
    ) -> list[Row]:
        """Return the page by scanning images in order. Stop after the sort key `until`.

        The scan begins after the cursor, or after the sort key `start`. With `token`, scan only the
        images that have this token, in the order INDEXED_TAG_ORDER.
        """
        found: list[Row] = []
        for slices in self.order.slices_by_rank(self.slices):
            limit = self.size - len(found)
            is_answered = token and conditions.is_one_tag(self.query)
            condition = ALWAYS if is_answered else self.condition
            keys = self._first_keys(
                slices, condition, limit, start=start or self.cursor, until=until, token=token
            )
            found += rows.read(keys, self.order, slices)
            if len(found) == self.size:
                break
        return found

    def _first_keys(
        self,
        slices: Sequence[Slice],
        condition: Sql,
        limit: int,
        *,
        start: SortKey | None = None,
        until: SortKey | None = None,
        offset: int = 0,
        token: str = "",
    ) -> Sql:
        """Return the statement for the first sort keys after `start`, in order.

        If the slices have different ranks, the sort keys are ordered without the rank. With
        `token`, return only the sort keys of images that have this token.
        """
        order, ranges = self.order, []
        for each in slices:
            begin = order.after_in_slice(each, start) if start else ALWAYS
            end = order.until_in_slice(each, until) if until else ALWAYS
            if token:
                entries = tags.entries(each, token, condition)
                created = self.created_condition if condition else ALWAYS
                source = sql.narrow(entries, sql.all_of([created, begin, end]))
            else:
                where = sql.all_of([each.condition, condition, begin, end])
                source = sql.rows_of("image", where)
            ranges.append(sql.select(order.columns([each]), source))
        is_plain = not (condition or start or until or any(map(conditions.selects_owners, slices)))
        return sql.merge(
            ranges, order_by=order.by_index, limit=limit, offset=offset, plain=is_plain
        )

    def _key_after_images(
        self, offset: int, token: str = "", start: SortKey | None = None
    ) -> SortKey | None:
        """Skip `offset` images after the cursor, and return the sort key of the next image.

        With `start`, begin after this sort key instead. With `token`, skip and find only images
        that have this token. Return None if there is no next image.
        """
        start = start or self.cursor
        for slices in self.order.slices_by_rank(self.slices):
            found = sql.fetch(
                self._first_keys(slices, ALWAYS, 1, start=start, offset=offset, token=token)
            )
            if found:
                return self.order.key_of(found[0])
            skipped_keys = sql.subquery(
                self._first_keys(slices, ALWAYS, offset, start=start, token=token), "passed"
            )
            offset -= sql.fetch_number(sql.count(skipped_keys))
        return None

    def _sort_all_matches(self, sources: Sequence[Sql], total: int | None = None) -> PageResult:
        """Return the page by sorting all matches. `sources` find the matches.

        `total` is the number of matches, or None if it is unknown.
        """
        counts = sql.sum_of_results(sql.count(source, COUNT_LIMIT + 1) for source in sources)
        columns, by_key = self.order.columns(self.slices), self.order.by_key
        after = self.order.after(self.slices, self.cursor) if self.cursor else ALWAYS
        matches = sql.union(sql.select(columns, sql.narrow(each, after)) for each in sources)
        if total is None and not self.cursor:
            # Sorting reads all matches, so the same statement counts them.
            counted = sql.select(["*", sql.TOTAL_COLUMN], sql.subquery(matches, "matches"))
            page = sql.first_rows(counted, order_by=by_key, limit=self.size)
            total_column = sql.TOTAL
        else:
            page = sql.first_rows(matches, order_by=by_key, limit=self.size)
            total_column = sql.scalar(counts) if total is None else Sql(str(total))
        found = rows.read(page, self.order, self.slices, extra=total_column)
        if found:
            total = found[0].extra
        elif total is None:
            total = sql.fetch_number(counts) if self.cursor else 0
        return PageResult(found, _limited_count(total))

    def _matches_by_facets(self) -> list[Sql]:
        """Return the sources that find all matches among the images that match the facets."""
        return self._matches_by_group() if self.selects_groups else self._matches_by_slice()

    def _matches_by_slice(self, condition: Sql = ALWAYS) -> list[Sql]:
        """Return the sources that find all matches by scope slice.

        All matches meet `condition`. Unless `condition` is ALWAYS, an index finds the images that
        meet it.
        """
        return [
            sql.rows_of("image", sql.all_of([each.condition, condition, self.condition]))
            for each in self.slices
        ]

    def _matches_by_group(self) -> list[Sql]:
        """Return the source that finds all matches by facet group."""
        groups = sql.union(
            sql.select(["id"], source) for source in group_sources(self.slices, self.query)
        )
        return [
            sql.rows_of(
                "image", sql.all_of([sql.images_of_groups(groups), self.ungrouped_condition])
            )
        ]

    def _matches_by_tag(self, tokens: Sequence[str]) -> list[Sql]:
        """Return the sources that find all matches by the index of tags.

        All matches have one of the tokens.
        """
        return [tags.images_with_tokens(each, tokens, self.condition) for each in self.slices]

    def _matches_by_words(self) -> list[Sql]:
        """Return the source that finds all matches by the index of trigrams."""
        visible = conditions.in_any_slice(self.slices, indexed=False)
        return [sql.images_with_texts(self.texts, sql.all_of([visible, self.condition]))]

    def _few_images_contain_words(self) -> bool:
        """Return whether at most SAMPLE images contain the words.

        On PostgreSQL, return False, because only SQLite's index can count images quickly.
        """
        if not self.texts or not is_sqlite():
            return False
        entries = sql.count(sql.indexed_texts(self.texts), SAMPLE + 1)
        return sql.fetch_number(entries) <= SAMPLE

    def _sample_begins_with_page(self) -> bool:
        """Return whether the sample begins with the images of this page."""
        return self.cursor is None and not self.order.sorts_slices

    def _count_sample(self, condition: Sql) -> int:
        """Return how many images of the sample meet a condition.

        The sample consists of the first SAMPLE images of all slices in sort order. If the order
        sorts slices, the sample consists of the first images by the column `id`.
        """
        keys = self._first_keys(self.slices, ALWAYS, SAMPLE)
        images = sql.joined_images(keys, "sample", self.order.names[-1])
        return sql.fetch_number(sql.count(sql.rows_of(images, condition)))

    def _count_ranges(self) -> list[int]:
        """Return the number of images in each range.

        If one of the ranges contains no image of a slice, the slice has no matches. Remove such a
        slice from `self.slices`, because a scan would read it to its end. If no slice would remain,
        remove none.
        """
        counts = [self._counts_by_slice(condition) for condition in self.ranges]
        if counts:
            numbers = zip(*counts, strict=True)
            slices = zip(self.slices, numbers, strict=True)
            self.slices = [each for each, found in slices if all(found)] or self.slices
        return [sum(each) for each in counts]

    def _counts_by_slice(self, condition: Sql) -> list[int]:
        """Return the number of images of each slice that meet a condition.

        In each slice, counting stops after COUNT_LIMIT + 1 images.
        """
        sources = (
            sql.rows_of("image", sql.all_of([each.condition, condition])) for each in self.slices
        )
        counts = sql.results_of(sql.count(each, COUNT_LIMIT + 1) for each in sources)
        return [int(count) for count in sql.fetch(counts)[0]]


def count_grouped_images(slices: Sequence[Slice], query: Query) -> int:
    """Return the number of images that match the terms about scopes and facets."""
    return sum(_count_by_slice(slices, query))


def _count_by_slice(slices: Sequence[Slice], query: Query) -> list[int]:
    """Return the number of images of each slice that match the terms about facets.

    The statement has one sum for each slice, because both databases can compute such a sum from an
    index of the facet groups, without reading the table.
    """
    if not slices:
        return []
    sources = group_sources(slices, query)
    sums = (sql.select([sql.sum_of("images")], each) for each in sources)
    ((*counts,),) = sql.fetch(sql.results_of(sums))
    return [int(count or 0) for count in counts]


def group_sources(slices: Sequence[Slice], query: Query) -> list[Sql]:
    """Return the facet groups of each slice that match a query, as sources of `sql.select`."""
    condition = conditions.group_condition(query)
    return [sql.rows_of("facet_group", sql.all_of([each.condition, condition])) for each in slices]


def _limited_count(matches: int) -> Count:
    return Count(min(matches, COUNT_LIMIT), exact=matches <= COUNT_LIMIT)


def _minimum_count(found: Sequence[Row]) -> Count:
    """Return a count that is derived only from the rows of a page. The matches were not counted.

    If no rows were found after the cursor, the result is a placeholder: perhaps no image matches.
    `catalogue.find_page` replaces it with the count of the first page.
    """
    return Count(max(len(found), 1) - 1, exact=False, counted=False)
