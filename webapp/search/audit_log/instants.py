"""Find the entries of a period by their IDs.

Newer entries have larger IDs, so a few look-ups by the primary key find the IDs of a period. The
indexes that find the entries of a log, a person, an action or a job are in the order of the IDs,
so no index of the time is needed.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from models import LARGEST_ID, AuditEntry
from webapp.search import sql
from webapp.search.audit_log.query import Period
from webapp.search.sql import Sql

MARGIN = timedelta(minutes=10)
"""An entry can be older than an entry with a lower ID, but by at most this time.

The clocks of servers can differ, and an entry gets its time shortly before its ID.
"""
PROBES = 31
"""The number of IDs that one statement looks up."""
NARROW = 64
"""`_ids_around` stops when at most this number of IDs remains.

NARROW must be at least PROBES. Otherwise, there could be more probes than IDs.
"""


def stored_instant(instant: datetime) -> Any:
    return AuditEntry.at.db_value(instant)


def id_bounds(periods: list[Period]) -> tuple[int, int]:
    """Return an ID below and an ID above the IDs of all entries that are in all these periods.

    Some entries between the two IDs can be outside the periods.
    """
    starts = [period.start for period in periods if period.start is not None]
    ends = [period.end for period in periods if period.end is not None]
    low, high = 0, LARGEST_ID
    if starts:
        low = _ids_around(max(starts) - MARGIN, first=True)[0]
    if ends:
        high = _ids_around(min(ends) + MARGIN, first=False)[1]
    return low, high


def _ids_around(instant: datetime, *, first: bool) -> tuple[int, int]:
    """Return two IDs around the first entry that was made at or after `instant`.

    The entries up to the first ID are older than `instant`, and the entries from the second ID on
    are not older. If a clock was wrong for some time, older and newer entries can alternate. Then
    the two IDs are around the first newer entry if `first` is true, and around the last older entry
    if `first` is false. Pass true for the start of a period and false for its end, so that the IDs
    include the entries of the period even if a clock was wrong. But a short series of entries with
    a wrong time can be missed if the function looks up none of these entries.
    """
    low = 0
    high = sql.fetch_number(sql.select(["MAX(id)"], Sql("audit_entry"))) + 1
    while high - low > NARROW:
        step = (high - low) // (PROBES + 1)
        probes = [low + number * step for number in range(1, PROBES + 1)]
        (results,) = sql.fetch(sql.results_of(_is_at_or_after(probe, instant) for probe in probes))
        bounds = [low, *probes, high]
        # The first bound counts as older than the instant, and the last bound as newer.
        is_newer = [False, *map(bool, results), True]
        last_before = len(is_newer) - 1 - is_newer[::-1].index(False)
        after = is_newer.index(True) if first else last_before + 1
        low, high = bounds[after - 1], bounds[after]
    return low, high


def _is_at_or_after(entry_id: int, instant: datetime) -> Sql:
    """Return the statement that says whether an entry was made at or after `instant`.

    `entry_id` is the ID of the entry. If no entry has this ID, the next entry is used.
    """
    column = sql.compare("at", ">=", stored_instant(instant))
    source = sql.rows_of("audit_entry", sql.compare("id", ">=", entry_id))
    return sql.select([column], source, order_by="id", limit=1)
