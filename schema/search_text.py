"""Build the text that searches read, so that indexes also find short words such as “像”.

A word of Chinese, Japanese or Korean text can have one or two characters. An index of trigrams
finds only texts of at least three characters. The search text of an image therefore ends with its
short words: the words of one or two characters that contain a wide character (`is_wide`). Each
short word has a separator before and after it. With its separators, a short word has at least three
characters.
"""

from __future__ import annotations

import unicodedata
from itertools import pairwise

from schema.text import comparable

SEPARATOR = "\x1f"
"""A control character, which no text of an image contains."""
TRIGRAM = 3
"""The length of a trigram, in characters."""


def is_wide(character: str) -> bool:
    """Return whether a character, such as a Chinese character or an emoji, can be a word."""
    return not character.isascii() and unicodedata.east_asian_width(character) in "WFH"


def lower_case(text: str) -> str:
    """Return the text in lower case, with one form for each letter.

    The Greek letter sigma has two lower-case forms, and `str.lower` uses one of them only at the
    end of a word. So with `str.lower` alone, a search for the first letters of a word might not
    find the word.

    >>> lower_case("ΟΔΟΣ"), lower_case("ΟΔΟΣΑ")
    ('οδοσ', 'οδοσα')
    """
    return text.lower().replace("ς", "σ")


def search_text(*texts: str) -> str:
    """Return the texts in lower case and in the form of `comparable`, with their short words.

    >>> search_text("Web 映像").replace(SEPARATOR, "|")
    'web 映像|像|映|映像|'
    """
    text = lower_case(comparable("\n".join(texts)))
    if text.isascii():
        return text
    words = short_words(text)
    return SEPARATOR.join([text, *words, ""]) if words else text


def short_words(text: str) -> list[str]:
    """Return all words of one or two characters that contain a wide character, sorted.

    See `is_wide`. `text` has the form of `comparable`, or is a result of `indexed_text`. No word
    contains white space or SEPARATOR.

    >>> short_words("の映像")
    ['の', 'の映', '像', '映', '映像']
    """
    if text.isascii():
        return []
    words = {character for character in text if is_wide(character)}
    words |= {
        f"{first}{second}"
        for first, second in pairwise(text)
        if (first in words or second in words) and not _separates({first, second})
    }
    return sorted(words)


def _separates(characters: set[str]) -> bool:
    return SEPARATOR in characters or any(map(str.isspace, characters))


def indexed_text(word: str) -> str:
    """Return the text that a search for `word` looks for in results of `search_text`.

    `word` is a result of `lower_case`. If it has fewer than three characters, it contains a wide
    character (`is_wide`), because searches refuse all other short words.

    >>> indexed_text("映像").replace(SEPARATOR, "|")
    '|映像|'
    """
    return word if len(word) >= TRIGRAM else f"{SEPARATOR}{word}{SEPARATOR}"
