"""Convert values of the API to texts for people."""

from __future__ import annotations

import unicodedata
from datetime import datetime
from typing import Any


def printable(text: str) -> str:
    """Return the text without characters that would control the terminal.

    Line breaks, tabs and repeated spaces become one space. Other control and format characters are
    removed, for example characters that change the direction of a text.
    """
    joined = " ".join(text.split())
    return "".join(each for each in joined if unicodedata.category(each) not in {"Cc", "Cf"})


def width(text: str) -> int:
    """Return how many columns of a terminal the text fills."""
    return sum(_character_width(each) for each in text)


def _character_width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"F", "W"} else 1


def local_time(text: str | None) -> str:
    """Return a time of the API in the time zone of the user, or '' for None."""
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M") if text else ""


def scope_text(scope: dict[str, Any]) -> str:
    """Return the path of a scope, such as `acme/production`. For the Scalr scope, it is `scalr`."""
    return scope["path"] or "scalr"


def value_text(value: Any) -> str:
    """Return a value of any type as text. A list is joined with commas."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(value_text, value))
    return str(value)


def id_or_name(text: str) -> int | str:
    """Return what identifies a record in requests: the ID as a number, or else the name."""
    return int(text) if text.isdecimal() else text
