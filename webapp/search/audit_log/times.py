"""Parse the values of `at:`: days, months and years in the reader's time zone, and ages like “7d”.

The server does not know the reader's time zone, so the URL of a search for days contains it.
Without a time zone, days are in UTC.
"""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from webapp.search.audit_log.query import Period
from webapp.search.values import InvalidValue

_AGE = re.compile(r"([1-9][0-9]{0,3})(h|d)", re.IGNORECASE)
_DAY = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?", re.ASCII)
_ZONE_NAME = re.compile(r"[A-Za-z0-9_+\-]{1,32}(?:/[A-Za-z0-9_+\-]{1,32}){0,2}")
_FIRST_DAY, _DAY_AFTER_LAST = date(1970, 1, 2), date(9998, 1, 1)
"""The first valid day, and the day after the last valid day.

Days outside this range are refused, so that the start of each valid day can be converted to UTC.
No entry is so old or so far in the future.
"""
NAMED_DAYS = {"today": 0, "yesterday": 1}
EXPECTED = (
    "Use a day, month or year (2026-11-24, 2026-11 or 2026), today, yesterday, or 7d for the last "
    "7 days."
)


def find_zone(name: str) -> tzinfo:
    """Return the time zone with this name, or UTC if it is unknown."""
    if not _ZONE_NAME.fullmatch(name):
        return UTC
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        return UTC


def zone_name(zone: tzinfo) -> str:
    return zone.key if isinstance(zone, ZoneInfo) else "UTC"


def parse_period(operator: str, value: str, zone: tzinfo, moment: datetime) -> Period:
    """Return the period that a value means. `moment` is the current time. Raises InvalidValue."""
    if age := _AGE.fullmatch(value):
        if operator:
            raise InvalidValue(f"“{value}” can’t follow “{operator}”. Use at:{value}.")
        unit = timedelta(hours=1) if age[2].lower() == "h" else timedelta(days=1)
        return Period(moment - int(age[1]) * unit, None)
    first, after = _parse_days(value, zone, moment)
    start, end = _start_of(first, zone), _start_of(after, zone)
    return {
        "": Period(start, end),
        ">": Period(end, None),
        ">=": Period(start, None),
        "<": Period(None, start),
        "<=": Period(None, end),
    }[operator]


def is_age(value: str) -> bool:
    """Return whether the value is an age such as “7d”, which needs no time zone."""
    return _AGE.fullmatch(value) is not None


def _parse_days(value: str, zone: tzinfo, moment: datetime) -> tuple[date, date]:
    """Return the first day of a period, and the day after its last day. Raises InvalidValue."""
    one_day = timedelta(days=1)
    if value.lower() in NAMED_DAYS:
        day = moment.astimezone(zone).date() - NAMED_DAYS[value.lower()] * one_day
        return day, day + one_day
    match = _DAY.fullmatch(value)
    year, month, day_number = match.groups() if match else ("0", None, None)
    first = None
    with contextlib.suppress(ValueError):
        first = date(int(year), int(month or 1), int(day_number or 1))
    if first is None or not _FIRST_DAY <= first < _DAY_AFTER_LAST:
        raise InvalidValue(f"“{value}” isn’t a valid time. {EXPECTED}")
    if day_number:
        return first, first + one_day
    if month:
        return first, (first + timedelta(days=31)).replace(day=1)
    return first, first.replace(year=first.year + 1)


def _start_of(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)
