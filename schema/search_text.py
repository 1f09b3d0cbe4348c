"""Build the text that searches read. An index of trigrams then also finds shorter words.

A word of Chinese, Japanese or Korean text can have one or two characters, which is too short for an
index of trigrams. The text of an image therefore ends with each of these short words, between
separators. A separator makes a short word long enough.
"""

from __future__ import annotations

import unicodedata
from itertools import pairwise

from schema.text import comparable

SEPARATOR = "\x1f"
"""A control character, which no text of an image contains."""
TRIGRAM = 3


def is_wide(character: str) -> bool:
    """Return whether a character can be a word: it is Chinese, Japanese, Korean or an emoji."""
    return not character.isascii() and unicodedata.east_asian_width(character) in "WFH"


def search_text(*texts: str) -> str:
    """Return the texts in lower case and comparable, followed by their short words.

    >>> search_text("Web 映像").replace(SEPARATOR, "|")
    'web 映像|像|映|映像|'
    """
    text = comparable("\n".join(texts)).lower()
    if text.isascii():
        return text
    words = {character for character in text if is_wide(character)}
    words |= {
        f"{first}{second}"
        for first, second in pairwise(text)
        if (first in words or second in words) and not (first.isspace() or second.isspace())
    }
    if not words:
        return text
    return SEPARATOR.join([text, *sorted(words), ""])


def indexed_text(word: str) -> str:
    """Return the text to search for in the result of `search_text` to find a word.

    `word` is in lower case.

    >>> indexed_text("映像").replace(SEPARATOR, "|")
    '|映像|'
    """
    return word if len(word) >= TRIGRAM else f"{SEPARATOR}{word}{SEPARATOR}"
