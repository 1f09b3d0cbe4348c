"""Functions that several adapters use to write messages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

MAX_WAIT_SECONDS = 3600
"""The maximum waiting time that `waiting_time` returns."""


def join_names(names: Sequence[str]) -> str:
    """Return the names as a list in words: "a", "a and b", or "a, b and c"."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def join_first(names: Sequence[str], count: int) -> str:
    """Return the first `count` names, and how many more there are: "a, b and 3 more" or "a, b"."""
    more = len(names) - count
    shown = ", ".join(names[:count])
    return f"{shown} and {more} more" if more > 0 else shown


def shorten(text: str, length: int) -> str:
    """Return `text`. If it has more than `length` characters, replace the rest with an ellipsis."""
    return text if len(text) <= length else f"{text[:length]}…"


SHORTENED = "… (shortened)"
"""The end of a text that `bounded` has cut."""


def bounded(text: str, length: int) -> str:
    """Return `text`. If it is longer than `length` characters, cut it and append SHORTENED.

    The result never has more than `length` characters, so a second call with the same `length`
    changes nothing.
    """
    return text if len(text) <= length else text[: length - len(SHORTENED)] + SHORTENED


def since(instant: datetime | None) -> str:
    """Return the day of `instant` in UTC, as in "since 2026-04-14".

    If `instant` is None or in the future, return "since an unknown date".
    """
    if instant is None or instant > datetime.now(UTC):
        return "since an unknown date"
    return f"since {instant.astimezone(UTC):%Y-%m-%d}"


def waiting_time(retry_after: str) -> str:
    """Return the waiting time in a Retry-After header in words: "20 seconds" for "20".

    If the header is not a number of seconds from 1 to MAX_WAIT_SECONDS, return "a minute".
    """
    is_seconds = retry_after.isascii() and retry_after.isdecimal() and len(retry_after) <= 4
    if is_seconds and 0 < int(retry_after) <= MAX_WAIT_SECONDS:
        return "1 second" if int(retry_after) == 1 else f"{int(retry_after)} seconds"
    return "a minute"
