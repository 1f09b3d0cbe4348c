"""The forms in which text is stored and compared."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from urllib.parse import unquote

BLANKS = re.compile(r"[\t\u2028\u2029\u2800\u3164\uffa0]|[^\S\x0a-\x0d\x1c-\x1f\x85]")
"""Tabs, line and paragraph separators, and characters that look like a space.

Braille and Hangul have blank characters of their own.
"""
_WITHOUT_WIDTH = re.compile("[\xad\u180e\u200b\u2060-\u2064\ufeff]")
"""Characters that cannot be seen and have no meaning in a line, such as the byte order mark."""


def comparable(text: str) -> str:
    """Return the text in NFC, with a space for each blank, and without zero-width characters."""
    if text.isascii():  # Most texts are ASCII, and an import calls this for very many texts.
        return text.replace("\t", " ")
    # A character without width can separate a letter from its accent, so remove it before NFC.
    text = unicodedata.normalize("NFC", _WITHOUT_WIDTH.sub("", text))
    return BLANKS.sub(" ", text)


LONGEST_PLACE_KEY = 255
"""The maximum length of a key that `place_key` returns, in characters."""


@lru_cache(maxsize=4096)
def place_key(name: str) -> str:
    """Return a key that is equal for all spellings of a location or of a compute resource.

    Spellings may differ in case, in invisible characters, and in slashes at the ends or in a row.
    They may also escape characters as in a URL. `webapp.images.identity` explains why case does not
    matter.
    """
    visible = (
        character for character in unquote(name) if unicodedata.category(character)[0] != "C"
    )
    key = unicodedata.normalize("NFC", "".join(visible)).lower()
    return re.sub("/+", "/", key).strip(" /")[:LONGEST_PLACE_KEY]
