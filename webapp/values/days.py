"""Parse dates that people enter, and reject implausible years."""

from __future__ import annotations

import re
from datetime import date

from webapp.refusals import Refusal

EARLIEST = date(2000, 1, 1)
"""The first plausible day. A day in an earlier year, such as 0027, is a typo."""
LATEST = date(2100, 12, 31)
"""The last plausible day."""
_DAY = re.compile(r"([0-9]{1,6})-([0-9]{1,2})-([0-9]{1,2})")


class InvalidDay(Refusal):
    """A text is not a day, or the day is not plausible."""


def parse_day(text: str, field: str = "") -> date:
    """Return the day in a text such as "2026-01-31". Raises InvalidDay."""
    match = _DAY.fullmatch(text.strip())
    if match is None:
        raise InvalidDay("Enter a date as YYYY-MM-DD, such as 2026-01-31.", field)
    year, month, day = map(int, match.groups())
    if not EARLIEST.year <= year <= LATEST.year or len(match[1]) != 4:
        raise InvalidDay(_implausible_message(match[1]), field)
    try:
        return date(year, month, day)
    except ValueError as error:
        raise InvalidDay(
            f"The date {match[0]} doesn’t exist. Enter another date.", field
        ) from error


def require_plausible(day: date, field: str = "") -> None:
    """Raise InvalidDay if the day is before EARLIEST or after LATEST."""
    if not EARLIEST <= day <= LATEST:
        raise InvalidDay(_implausible_message(f"{day.year:04}"), field)


def _implausible_message(year: str) -> str:
    return (
        f"Check the year {year}. Enter a date from {EARLIEST.isoformat()} to {LATEST.isoformat()}."
    )
