"""Characters that people copy together with a text, without seeing or wanting them."""

from __future__ import annotations

import unicodedata

_INVISIBLE = "\xad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff" + "".join(
    map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A)))
)
BLANKS = " \t\r\n\v\f\xa0\u202f\u3000" + "".join(map(chr, range(0x2000, 0x200B))) + _INVISIBLE
"""Spaces of every width, tabs, line ends, and invisible characters."""
SURROUNDING_CHARACTERS = BLANKS + "\"'`“”‘’<>,;"
"""Characters that people copy together with an ID from a table, a JSON document, or a chat."""


def fold(text: str) -> str:
    """Return a key that is equal for two texts that differ only in case or invisible characters."""
    if text.isascii():
        return text.lower()
    visible = (each for each in text if unicodedata.category(each) != "Cf")
    return unicodedata.normalize("NFC", "".join(visible)).lower()
