"""Clean-up of the text that people paste as an image ID, before an adapter parses it."""

from __future__ import annotations

from webapp.clouds.base import InvalidImageId

MAX_LENGTH = 2000
"""The most characters that are parsed. No URL of a cloud's console is longer."""
SURROUNDING_CHARACTERS = " \t\r\n\v\f\xa0\u200b\u2060\ufeff\"'`“”‘’<>,;"
"""Characters that are copied along with an ID out of a table, a JSON document, or a chat."""


def strip_pasted_text(text: str, too_long: str, extra_characters: str = "") -> str:
    """Return `text` without the characters around it that are not part of an ID.

    If `text` is longer than MAX_LENGTH, raises InvalidImageId with the message `too_long`. So no
    parser has to read a text of unlimited length.
    """
    if len(text) > MAX_LENGTH:
        raise InvalidImageId(too_long)
    return text.strip(SURROUNDING_CHARACTERS + extra_characters)
