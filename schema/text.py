"""The form of text in which it is stored and compared."""

from __future__ import annotations

import re
import unicodedata

BLANKS = re.compile(r"[\t\u2028\u2029\u2800\u3164\uffa0]|[^\S\x0a-\x0d\x1c-\x1f\x85]")
"""Characters that look like a space. Braille and Hangul have blank characters of their own."""
_WITHOUT_WIDTH = re.compile("[\xad\u180e\u200b\u2060-\u2064\ufeff]")
"""Characters that cannot be seen and have no meaning in a line, such as the byte order mark."""


def comparable(text: str) -> str:
    """Return the text in NFC, with a space for each blank, and without characters of no width."""
    text = _WITHOUT_WIDTH.sub("", unicodedata.normalize("NFC", text))
    return BLANKS.sub(" ", text)
