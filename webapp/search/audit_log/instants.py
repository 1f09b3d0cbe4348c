"""Find the entries of a period by their IDs.

IDs and times of entries both increase, so a few look-ups by the primary key find the IDs of a
period. All indexes of the log end with the ID, so no index of the time is needed.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from models import LARGEST_ID, AuditEntry
from webapp.search import sql
from webapp.search.audit_log.query import Period
from webapp.search.sql import Sql

MARGIN = timedelta(minutes=10)
"""How long before an entry with a lower ID another entry can have been made.

The clocks of servers can differ, and an entry has its ID before its transaction ends.
"""
PROBES = 31
"""The number of IDs that one statement looks up."""
NARROW = 64
"""The search ends if this many IDs remain."""


def stored_instant(instant: datetime) -> Any:
    return AuditEntry.at.db_value(instant)


def id_bounds(periods: list[Period]) -> tuple[int, int]:
    """Return IDs below and above the IDs of all entries that are in all these periods.

    Some entries between the two IDs can be outside the periods.
    """
    starts = [period.start for period in periods if period.start is not None]
    ends = [period.end for period in periods if period.end is not None]
    low, high = 0, LARGEST_ID
    if starts:
        low = _ids_around(max(starts) - MARGIN)[0]
    if ends:
        high = _ids_around(min(ends) + MARGIN)[1]
    return low, high


def _ids_around(instant: datetime) -> tuple[int, int]:
    """Return an ID before and an ID after the first entry that was made at `instant` or later."""
    low = 0
    high = sql.fetch_number(sql.select(["MAX(id)"], Sql("audit_entry"))) + 1
    while high - low > NARROW:
        step = (high - low) // (PROBES + 1)
        probes = [low + number * step for number in range(1, PROBES + 1)]
        first = sql.results_of(_is_since(probe, instant) for probe in probes)
        (answers,) = sql.fetch(first)
        since = [probe for probe, is_since in zip(probes, answers, strict=True) if is_since]
        before = [probe for probe in probes if not since or probe < since[0]]
        low, high = max(before, default=low), min(since, default=high)
    return low, high


def _is_since(entry_id: int, instant: datetime) -> Sql:
    """Return the statement for whether the first entry from an ID on was made since `instant`."""
    column = sql.compare("at", ">=", stored_instant(instant))
    source = sql.rows_of("audit_entry", sql.compare("id", ">=", entry_id))
    return sql.select([column], source, order_by="id", limit=1)
