"""The forms in which text is stored and compared."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Literal
from urllib.parse import unquote

BLANKS = re.compile(r"[\t\u2028\u2029\u2800\u3164\uffa0]|[^\S\x0a-\x0d\x1c-\x1f\x85]")
"""Tabs, line and paragraph separators, and characters that look like a space.

Braille and Hangul have their own blank characters.
"""
_WITHOUT_WIDTH = re.compile("[\xad\u180e\u200b\u2060-\u2064\ufeff]")
"""Characters that cannot be seen and have no meaning in a line, such as the byte order mark."""


def without_width(text: str) -> str:
    """Return the text without zero-width characters that have no meaning."""
    return _WITHOUT_WIDTH.sub("", text)


MAX_MARKS = 30
"""The maximum number of combining characters, such as accents, in a row.

No language needs so many. See “Stream-Safe Text Format” in Unicode Standard Annex #15.
"""


def has_too_many_marks(text: str) -> bool:
    """Return whether a text has more than MAX_MARKS combining characters in a row."""
    if len(text) <= MAX_MARKS or text.isascii():
        return False
    marks = 0
    for combining_class in map(unicodedata.combining, text):
        marks = marks + 1 if combining_class else 0
        if marks > MAX_MARKS:
            return True
    return False


def normalize(form: Literal["NFC", "NFD"], text: str) -> str:
    """Return the text in a Unicode normalization form, or unchanged if it has too many marks.

    Normalization sorts consecutive combining characters. This takes quadratic time, so it would
    take too long for very many characters.
    """
    return text if has_too_many_marks(text) else unicodedata.normalize(form, text)


def comparable(text: str) -> str:
    """Return the text in NFC, without zero-width characters, and with a space for each blank.

    A text with too many marks in a row is not in NFC. See `normalize`.
    """
    if text.isascii():  # Most texts are ASCII, and an import calls this for very many texts.
        return text.replace("\t", " ")
    # A character without width can separate a letter from its accent, so remove it before NFC.
    text = normalize("NFC", without_width(text))
    return BLANKS.sub(" ", text)


LONGEST_PLACE_KEY = 255
"""The maximum length of a key that `place_key` returns, in characters."""


@lru_cache(maxsize=4096)
def place_key(name: str) -> str:
    """Return a key that is equal for all spellings of a location or of a compute resource.

    Spellings may differ in case, in invisible characters, in slashes at the ends, and in repeated
    slashes. They may also escape characters as in a URL. `webapp.images.identity` explains why case
    does not matter.
    """
    visible = (
        character for character in unquote(name) if unicodedata.category(character)[0] != "C"
    )
    key = normalize("NFC", "".join(visible)).lower()
    return re.sub("/+", "/", key).strip(" /")[:LONGEST_PLACE_KEY]
