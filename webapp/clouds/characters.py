"""Characters that people copy together with a text, without seeing or wanting them."""

from __future__ import annotations

import unicodedata

from schema.text import normalize

_INVISIBLE = "\xad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff" + "".join(
    map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A)))
)
BLANKS = " \t\r\n\v\f\xa0\u202f\u3000" + "".join(map(chr, range(0x2000, 0x200B))) + _INVISIBLE
"""Spaces of different widths, tabs, line ends, and invisible characters."""
SURROUNDING_CHARACTERS = BLANKS + "\"'`“”‘’<>,;"
"""Characters that people copy together with an ID from a table, a JSON document, or a chat."""


def fold(text: str) -> str:
    """Return `text` in lower case and NFC, without invisible characters.

    If two texts differ only in case, in invisible characters, or in how accents are encoded, the
    results are equal, with rare exceptions. For example, `normalize` does not change a text with
    too many accents on one letter.
    """
    if text.isascii():
        return text.lower()
    visible = (each for each in text if unicodedata.category(each) != "Cf")
    return normalize("NFC", "".join(visible)).lower()
