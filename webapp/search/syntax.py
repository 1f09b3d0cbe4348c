"""Divide the text of the search box into pieces, and quote values.

Spaces outside quotes separate pieces. A piece becomes a term, or a problem if it cannot be parsed.
In quotes, a quote or a backslash that belongs to the value is written with a backslash before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_PIECE = re.compile(r'(?:"(?:\\.|[^"\\])*(?:"|\\?\Z)|[^\s"])+', re.DOTALL)
_QUOTED = re.compile(r'"((?:\\.|[^"\\])*)(?:"|\\?\Z)', re.DOTALL)
KEY_AND_VALUE = re.compile(r"([A-Za-z]+):(?!//)(.*)", re.DOTALL)
"""Matches a term such as `cloud:aws`, but not a URL such as https://…, which is a word."""
_UNQUOTED = re.compile(r'[^\s"]+')


def find_pieces(text: str) -> Iterator[re.Match[str]]:
    """Return a match for each piece of `text`."""
    return _PIECE.finditer(text)


def is_quoted(piece: str) -> bool:
    """Return whether the piece is one text in quotes, with or without minuses before it."""
    return _QUOTED.fullmatch(piece.lstrip("-")) is not None


def unquote(piece: str) -> str:
    """Return the value of a piece, without its quotes."""
    return _QUOTED.sub(lambda match: re.sub(r"\\(.)", r"\1", match[1], flags=re.DOTALL), piece)


def quote(value: str, *, always: bool = False) -> str:
    """Return a value as a person types it, in quotes if necessary or if `always` is set."""
    if not always and _UNQUOTED.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
