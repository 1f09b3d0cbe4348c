"""Find one page of the entries that match a search.

A search for people, actions or jobs reads one index range for each job, for each action, or for
each pair of a person's name and an action. If there are too many of these ranges, the search reads
the range of the whole log. Periods limit the IDs in the ranges (`instants`). If the value of `on:`
is the beginning of a name, and few entries are about records with such a name, an index of names
finds these entries instead.

Other terms, such as words, have no index. They are compared with a limited number of entries,
usually the newest. If the matches among these entries do not fill the page, the person can search
further.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from models import LARGEST_ID, AuditEntry, Scope
from webapp.audit import ACTIONS
from webapp.audit.log import PAGE_SIZE, Entry, entries_with_ids
from webapp.search import sql
from webapp.search.audit_log.instants import id_bounds, stored_instant
from webapp.search.audit_log.keys import Key
from webapp.search.audit_log.logs import entries_of
from webapp.search.audit_log.query import Author, Period, Query, Term
from webapp.search.sql import ALWAYS, Sql

SCAN_LIMIT = 30_000
"""The maximum number of entries that one statement compares with terms that have no index.

This limit is for the range of the whole log, whose entries are close to each other in the table.
"""
SCATTERED_SCAN_LIMIT = 10_000
"""The limit that replaces SCAN_LIMIT for the range of a person, an action or a job.

The entries of such a range are scattered in the table, so reading them takes longer. A statement
that reads several ranges compares fewer than 2 * SCATTERED_SCAN_LIMIT entries in total.
"""
MAX_LOOK_UPS = 2_000
"""The maximum number of actions, or pairs of a person and an action, to look up in the index."""
MAX_RANGES = 100
"""The maximum number of index ranges to merge, if an index answers all terms of the search."""
MAX_SCANNED_RANGES = 8
"""The maximum number of index ranges to merge, if the search has terms that have no index."""
CHUNK = 500
"""The maximum number of entries in one list that `iterate_entries` yields."""
LARGE_GROUP_SHARE = 1 / 3
"""A group is the entries of one job with the same action. It is large if its number of entries is
at least this share of the lines of a page.

For example, a group with 10 entries is large on a page with 30 lines. When a group is large, the
search reads no further entries of this group, and only counts them.
"""
MAX_STATEMENTS = 5
"""The maximum number of statements that find the entries of a page.

Entries of one job with the same action are folded: the page shows them as one line. Without folded
entries, one statement is enough.
"""
FEWEST_FOLDED = 3
"""The minimum number of entries in a folded line."""
MAX_NAMED = 4
"""The maximum number of entries whose subjects a folded line shows."""
MAX_COUNT = 1_000
"""The maximum number of entries that are counted for a folded line."""
FEW = 1_000
"""The maximum number of entries that an index finds by the values of `on:`.

If more entries are about records whose names begin with these values, the index is not used.
"""
_NEGATIVE_ID, _UNINDEXED_ID = "(- id)", "(id + 0)"


@dataclass(frozen=True)
class Line:
    """An entry, or several entries of one job with the same action.

    `count` is the number of entries. If `is_exact` is False, there may be more. `entry` is the
    entry that was found first, and `others` are a few of the other entries.
    """

    entry: Entry
    count: int = 1
    is_exact: bool = True
    others: Sequence[Entry] = ()


@dataclass(frozen=True)
class Page:
    """A page of the entries that match, newest first.

    To get the page with newer entries, call `find_page` with `after=newer`, and for older entries
    with `before=older`. None means that there is no such page. If the search stopped before the
    page was full, `searched_until` is the time of the entry at which it stopped. `oldest_first`
    says whether the search went from older to newer entries.
    """

    lines: list[Line]
    newer: int | None
    older: int | None
    searched_until: datetime | None = None
    oldest_first: bool = False

    @property
    def entries(self) -> list[Entry]:
        return [line.entry for line in self.lines]


def find_page(
    scope: Scope,
    query: Query,
    *,
    before: int = 0,
    after: int = 0,
    size: int = PAGE_SIZE,
    fold: bool = True,
) -> Page:
    """Return one page of the entries of a scope's log that match.

    `before` and `after` are IDs of entries. The page contains the next older entries before
    `before`, or the next newer entries after `after`. If both are 0, it contains the newest
    entries. Problems of the query are ignored. With `fold`, FEWEST_FOLDED or more entries of one
    job with the same action become one line. If the search has a term such as `job:12`, nothing is
    folded.
    """
    fold = fold and all(term.excluded for term in query.terms_for(Key.JOB))
    search = Search(scope, query)
    found = _PageSearch(search, after or before, size, newest_first=not after, fold=fold)
    if after and found.next is None:
        # There is no page with newer entries. Return the newest entries, so that the page is full.
        return find_page(scope, query, size=size, fold=fold)
    # Without a condition, a search stops early only because it skips large groups. Their entries
    # are counted, so the page does not say where the search stopped.
    stopped_at = _time_of(found.stop) if search.condition else None
    if after:
        return Page(found.lines(), found.next, after + 1, stopped_at, oldest_first=True)
    return Page(found.lines(), before - 1 if before else None, found.next, stopped_at)


def iterate_entries(scope: Scope, query: Query) -> Iterator[list[Entry]]:
    """Yield all entries of a scope's log that match, in chunks, newest first.

    Each statement reads a limited number of entries, so it takes a short time even if few of them
    match. Problems of the query are ignored.
    """
    search, cursor = Search(scope, query), 0
    while True:
        rows, has_more, stop = search.rows(cursor, CHUNK, newest_first=True)
        if rows:
            yield entries_with_ids([entry_id for entry_id, _, _ in rows])
        if has_more:
            cursor = rows[-1][0]
        elif stop is not None:
            cursor = stop + 1
        else:
            return


_Group = tuple[int, str]
"""The ID of a job, and the action of its entries."""


class _PageSearch:
    """The search for the lines of one page.

    If a job has many entries with the same action, only the first of them are read. The remaining
    entries are skipped and only counted.
    """

    def __init__(
        self, search: Search, start: int, size: int, *, newest_first: bool, fold: bool
    ) -> None:
        self._search, self._start, self._newest_first = search, start, newest_first
        self._line_keys: list[int | _Group] = []
        self._groups: dict[_Group, list[int]] = {}
        self._skipped: list[_Group] = []
        self.stop: int | None = None
        """The ID of the entry at which the search stopped, although the page is not full."""
        self.next: int | None = None
        """The value of `before` or `after` for the next page, or None if there is no next page."""
        cursor, has_more = start, True
        for _ in range(MAX_STATEMENTS):
            rows, has_more, self.stop = search.rows(
                cursor, size, newest_first=newest_first, skipped=self._skipped
            )
            for entry_id, job_id, action in rows:
                if not self._add(entry_id, (job_id, action) if fold and job_id else None, size):
                    self.next, self.stop = cursor, None
                    return
                cursor = entry_id
            min_large = max(FEWEST_FOLDED, LARGE_GROUP_SHARE * size)
            large = [group for group, ids in self._groups.items() if len(ids) >= min_large]
            if not has_more or (large == self._skipped and len(self._line_keys) > size / 2):
                break
            self._skipped = large
        if has_more:
            self.next = cursor
        elif self.stop is not None:
            self.next = self.stop + (1 if newest_first else -1)

    def _add(self, entry_id: int, group: _Group | None, size: int) -> bool:
        """Add an entry to its line, or add a line. Return False if the page is full."""
        if group in self._groups:
            self._groups[group].append(entry_id)
            return True
        if len(self._line_keys) == size:
            return False
        self._line_keys.append(group or entry_id)
        if group:
            self._groups[group] = [entry_id]
        return True

    def lines(self) -> list[Line]:
        """Return the lines of the page, newest first."""
        values_of_lines: dict[int, tuple[int, bool, list[int]]] = {}
        for key in self._line_keys:
            ids = self._groups[key] if isinstance(key, tuple) else [key]
            count, is_exact = self._count(key) if key in self._skipped else (len(ids), True)
            if max(count, len(ids)) < FEWEST_FOLDED:
                values_of_lines |= {entry_id: (1, True, []) for entry_id in ids}
            else:
                values_of_lines[ids[0]] = max(count, len(ids)), is_exact, ids[1:MAX_NAMED]
        wanted = [
            *values_of_lines,
            *(entry_id for _, _, others in values_of_lines.values() for entry_id in others),
        ]
        entries = {entry.id: entry for entry in entries_with_ids(wanted)}
        return [
            Line(
                entries[entry_id],
                count,
                is_exact,
                [entries[other] for other in others if other in entries],
            )
            for entry_id, (count, is_exact, others) in sorted(values_of_lines.items(), reverse=True)
            if entry_id in entries
        ]

    def _count(self, group: Any) -> tuple[int, bool]:
        """Return the number of entries of a group on this page, and whether the number is exact."""
        if self._newest_first:
            low = 0 if self.next is None else self.next - 1
            return self._search.count(group, low, self._start or LARGEST_ID)
        return self._search.count(group, self._start, (self.next or LARGEST_ID - 1) + 1)


class Search:
    """The search of one log.

    `ranges` are the conditions of the index ranges that contain all matches. `column` is the last
    column of the index: `id`, or `(- id)` for the indexes of people, actions and jobs. `condition`
    is the condition for the terms that the ranges do not answer, and `whole_condition` the
    condition for all terms.

    If few entries have the names that the search requires, `ranges` contains one condition with the
    IDs of these entries instead, and `column` is `(id + 0)`, so the database sorts the entries.
    """

    def __init__(self, scope: Scope, query: Query) -> None:
        self.log = entries_of(scope)
        self.low, self.high = id_bounds(_required_periods(query))
        self.whole_condition = _condition(query, is_ranged=False)
        self.may_stop = True
        """Whether the ranges may contain too many entries to compare all of them."""
        ids = _ids_with_names(query)
        if ids is not None:
            self.column, self.condition, self.may_stop = _UNINDEXED_ID, self.whole_condition, False
            log = entries_of(scope, indexed=False)
            self.ranges = [sql.all_of([sql.one_of("id", ids), log])] if ids else []
            return
        self.column = _NEGATIVE_ID
        self.condition = _condition(query, is_ranged=True)
        ranges = _ranges(scope, query)
        if ranges is None or len(ranges) > (MAX_SCANNED_RANGES if self.condition else MAX_RANGES):
            self.column = "id"
            self.condition = self.whole_condition
            ranges = [self.log]
        self.ranges = ranges

    def rows(
        self, start: int, size: int, *, newest_first: bool, skipped: Sequence[_Group] = ()
    ) -> tuple[list[tuple[int, int | None, str]], bool, int | None]:
        """Return the first `size` matches after `start`: the ID, the job and the action of each.

        `start` is the ID of an entry. If it is 0, begin with the newest or the oldest entry. Leave
        out the entries of the groups `skipped`. Also return whether further matches were found, and
        the ID of the entry at which the search stopped. This ID is None if further matches were
        found, or if the search compared all entries.
        """
        low, high = self._within_periods(
            start if start and not newest_first else 0,
            start if start and newest_first else LARGEST_ID,
        )
        if not self.ranges or high - low <= 1:
            return [], False, None
        condition = sql.all_of([self.condition, *map(_is_not_in, skipped)])
        stop = None
        if condition and self.may_stop:
            stop = self._id_after_scan(low, high, newest_first=newest_first)
        if stop is not None and newest_first:
            low = stop
        elif stop is not None:
            high = stop
        position = sql.named(self.column, "position")
        columns: list[str | Sql] = ["id", "job_id", "action", position]
        parts = self._parts(low, high, condition, columns=columns)
        order = sql.order_by_text(
            ["position"], descending=newest_first == (self.column != _NEGATIVE_ID)
        )
        if len(parts) == 1:
            found = sql.first_rows(parts[0], order_by=order, limit=size + 1)
        else:
            found = sql.merge(parts, order_by=order, limit=size + 1, plain=False)
        rows = [(row[0], row[1], row[2]) for row in sql.fetch(found)]
        has_more = len(rows) > size
        return rows[:size], has_more, None if has_more else stop

    def count(self, group: _Group, low: int, high: int) -> tuple[int, bool]:
        """Return the number of matches of a group between two IDs, and whether the number is exact.

        The number is at most MAX_COUNT. Terms without an index are compared with a limited number
        of entries.
        """
        low, high = self._within_periods(low, high)
        job_id, action = group
        of_job = sql.equals("job_id", job_id)
        stop, column, ranges = None, _UNINDEXED_ID, self.ranges
        if self.may_stop:
            column, ranges = _NEGATIVE_ID, [self.log]
            stop = _id_after([of_job], low, high, SCATTERED_SCAN_LIMIT)
            low = max(low, stop or 0)
        of_group = [of_job, _one_of_actions([action]), *ranges]
        conditions = [*of_group, *_id_bounds(column, low, high), self.whole_condition]
        source = sql.rows_of("audit_entry", sql.all_of(conditions))
        number = sql.fetch_number(sql.count(source, MAX_COUNT + 1))
        return min(number, MAX_COUNT), number <= MAX_COUNT and stop is None

    def _within_periods(self, low: int, high: int) -> tuple[int, int]:
        """Return the two IDs, moved closer together if the periods of the search require it."""
        return max(self.low, low), min(self.high, high)

    def _id_after_scan(self, low: int, high: int, *, newest_first: bool) -> int | None:
        """Return the ID of the first entry that `rows` must not read, or None.

        Each range has its own limit. With one limit for all ranges, PostgreSQL would sort the
        entries of all ranges.
        """
        scan_limit = SCAN_LIMIT if self.column == "id" else SCATTERED_SCAN_LIMIT
        limit = 2 * scan_limit // (len(self.ranges) + 1)
        return _id_after(
            self.ranges, low, high, limit, column=self.column, newest_first=newest_first
        )

    def _parts(
        self, low: int, high: int, condition: Sql, *, columns: Sequence[str | Sql]
    ) -> list[Sql]:
        """Return a statement for the entries of each range between two IDs."""
        bounds = _id_bounds(self.column, low, high)
        return [
            sql.select(columns, sql.rows_of("audit_entry", sql.all_of([each, *bounds, condition])))
            for each in self.ranges
        ]


def _ids_with_names(query: Query) -> list[int] | None:
    """Return the IDs of the entries, in any log, whose subjects begin with a value of `on:`.

    Return None if the search has no values of `on:`, if one of the values is a kind of record, or
    if there are more than FEW entries.
    """
    terms = [term for term in query.terms_for(Key.ON) if not term.excluded]
    if not terms or not all(term.is_name for term in terms):
        return None
    ids: set[int] = set()
    for term in terms:
        name = sql.lower_case_column("subject")
        source = sql.rows_of("audit_entry", sql.in_range_of(name, term.value.lower()))
        rows = sql.fetch(sql.select(["id"], source, order_by=name, limit=FEW + 1))
        ids |= {entry_id for (entry_id,) in rows}
        if len(ids) > FEW:
            return None
    return sorted(ids)


def _id_after(
    ranges: Sequence[Sql],
    low: int,
    high: int,
    limit: int,
    *,
    column: str = _NEGATIVE_ID,
    newest_first: bool = True,
) -> int | None:
    """Return the ID of the entry that follows the first `limit` entries of a range, or None.

    If several ranges have more than `limit` entries, return the ID that comes first.
    """
    bounds = _id_bounds(column, low, high)
    order = sql.order_by_text([column], descending=newest_first == (column != _NEGATIVE_ID))
    ends = [
        sql.first_rows(
            sql.select(["id"], sql.rows_of("audit_entry", sql.all_of([each, *bounds]))),
            order_by=order,
            limit=1,
            offset=limit,
        )
        for each in ranges
    ]
    (row,) = sql.fetch(sql.results_of(ends))
    found = [entry_id for entry_id in row if entry_id is not None]
    return (max if newest_first else min)(found, default=None)


def _id_bounds(column: str, low: int, high: int) -> list[Sql]:
    """Return the conditions for the IDs between two IDs. `column` is `Search.column`."""
    if column == _NEGATIVE_ID:
        low, high = -high, -low
    return [sql.compare(column, ">", low), sql.compare(column, "<", high)]


def _is_not_in(group: _Group) -> Sql:
    job_id, action = group
    is_in = [sql.equals(sql.zero_if_null("job_id"), job_id), _one_of_actions([action])]
    return sql.not_(sql.all_of(is_in))


def _ranges(scope: Scope, query: Query) -> list[Sql] | None:
    """Return the conditions of the ranges of people, actions or jobs that contain all matches.

    Return None if the search requires no people, actions or jobs, or if there are too many pairs to
    look up. In both cases, the caller reads the range of the whole log.
    """
    log = entries_of(scope)
    if jobs := _required_jobs(query):
        return [sql.all_of([sql.equals("job_id", job), log]) for job in jobs]
    allowed, authors = _allowed_actions(query), _required_authors(query)
    if allowed is None and authors is None:
        return None
    actions = sorted(ACTIONS if allowed is None else allowed)
    columns: tuple[str, ...] = ("action",)
    rows: list[tuple[str, ...]] = [(action,) for action in actions]
    if authors is not None:
        columns = ("person_name", "action")
        names = sorted({author.name for author in authors})
        rows = [(name, action) for name in names for action in actions]
    if len(rows) > MAX_LOOK_UPS:
        return None
    return [
        sql.all_of([log, *map(sql.equals, columns, row)]) for row in _in_log(log, columns, rows)
    ]


def _in_log(
    log: Sql, columns: Sequence[str], rows: Sequence[tuple[str, ...]]
) -> list[tuple[Any, ...]]:
    """Return those of `rows` for which the log has an entry with the same values in `columns`."""
    if not rows:
        return []
    has_values = [
        sql.columns_equal(f"audit_entry.{column}", f"given.{column}") for column in columns
    ]
    entries = sql.rows_of("audit_entry", sql.all_of([log, *has_values]))
    in_log = sql.has_match(entries, _NEGATIVE_ID)
    return sql.fetch(sql.rows_with_match(columns, rows, in_log))


def _condition(query: Query, *, is_ranged: bool) -> Sql:
    """Return the condition for the terms that the ranges do not answer.

    `is_ranged` says whether the ranges answer the terms about people, actions or jobs. Ranges of
    jobs answer only the terms about jobs.
    """
    jobs = _required_jobs(query)
    is_answered = is_ranged and not jobs
    conditions: list[Sql] = []
    if jobs and not is_ranged:
        conditions.append(sql.one_of(sql.zero_if_null("job_id"), jobs))
    actions, authors = _allowed_actions(query), _required_authors(query)
    if actions is not None and not is_answered:
        conditions.append(_one_of_actions(actions))
    if authors is not None and (not is_answered or any(each.person_id for each in authors)):
        conditions.append(_is_by(authors))
    conditions.append(_subject_condition(query))
    for term in query.terms:
        condition = _term_condition(term)
        conditions.append(sql.not_(condition) if condition and term.excluded else condition)
    return sql.all_of(conditions)


def _term_condition(term: Term) -> Sql:
    """Return the condition for one term, without regard to the other terms, or ALWAYS.

    The caller negates the condition of an excluded term. Return ALWAYS for a term that `_condition`
    combines with other terms: an excluded term of `did:`, an excluded term of `on:` with a kind of
    record, or an included term of `by:`, `did:`, `on:` or `job:`. An entry needs to match only one
    of the included terms of each of these keys.
    """
    if term.key is Key.WORD:
        return sql.contains("LOWER(subject)", term.value.lower())
    if term.key is Key.AT and term.period is not None:
        return _period_condition(term.period)
    if not term.excluded:
        return ALWAYS
    if term.key is Key.BY:
        return _is_by(term.authors)
    if term.key is Key.JOB:
        return sql.equals(sql.zero_if_null("job_id"), int(term.value))
    return _begins_subject(term.value) if term.is_name else ALWAYS


def _subject_condition(query: Query) -> Sql:
    """Return the condition for the values of `on:` if one of them is the beginning of a name.

    Otherwise, return ALWAYS.
    """
    terms = [term for term in query.terms_for(Key.ON) if not term.excluded]
    names = [_begins_subject(term.value) for term in terms if term.is_name]
    actions = [_one_of_actions(term.actions) for term in terms if not term.is_name]
    return sql.any_of([*names, *actions]) if names else ALWAYS


def _one_of_actions(actions: Collection[str]) -> Sql:
    if not actions:
        return sql.NEVER
    return sql.one_of(sql.without_index("action"), sorted(actions))


def _begins_subject(text: str) -> Sql:
    return sql.begins("LOWER(subject)", text.lower())


def _is_by(authors: Sequence[Author]) -> Sql:
    """Return the condition that one of these people made an entry."""
    column = sql.without_index("person_name")
    names = [author.name for author in authors if not author.person_id]
    conditions = [
        sql.all_of(
            [
                sql.equals(column, author.name),
                sql.equals(sql.zero_if_null("person_id"), author.person_id),
            ]
        )
        for author in authors
        if author.person_id
    ]
    if names:
        conditions.append(sql.one_of(column, names))
    return sql.any_of(conditions) if conditions else sql.NEVER


def _period_condition(period: Period) -> Sql:
    start, end = period.start, period.end
    return sql.all_of(
        [
            sql.compare("at", ">=", stored_instant(start)) if start else ALWAYS,
            sql.compare("at", "<", stored_instant(end)) if end else ALWAYS,
        ]
    )


def _allowed_actions(query: Query) -> frozenset[str] | None:
    """Return the actions that a match can have, or None if it can have any action.

    A value of `on:` that is the beginning of a name allows every action.
    """
    allowed = frozenset(ACTIONS)
    for key in (Key.DID, Key.ON):
        terms = [term for term in query.terms_for(key) if not term.is_name]
        excluded = [term.actions for term in terms if term.excluded]
        included = [term for term in query.terms_for(key) if not term.excluded]
        if included and not any(term.is_name for term in included):
            allowed &= frozenset[str]().union(*(term.actions for term in included))
        allowed = allowed.difference(*excluded)
    return None if len(allowed) == len(ACTIONS) else allowed


def _required_authors(query: Query) -> list[Author] | None:
    """Return the people in the terms of `by:`, or None if the search has no such terms.

    Each matching entry was made by one of these people. Excluded terms are not considered.
    """
    terms = [term for term in query.terms_for(Key.BY) if not term.excluded]
    return [author for term in terms for author in term.authors] if terms else None


def _required_jobs(query: Query) -> list[int]:
    return [int(term.value) for term in query.terms_for(Key.JOB) if not term.excluded]


def _required_periods(query: Query) -> list[Period]:
    terms = [term for term in query.terms_for(Key.AT) if not term.excluded]
    return [term.period for term in terms if term.period is not None]


def _time_of(entry_id: int | None) -> datetime | None:
    if entry_id is None:
        return None
    at: datetime | None = AuditEntry.select(AuditEntry.at).where(AuditEntry.id == entry_id).scalar()
    return at
