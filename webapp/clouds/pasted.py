"""What people paste for an image id, before anybody reads it."""

from __future__ import annotations

from webapp.clouds.base import InvalidImageId

TEXT_LENGTH = 2000
"""Longer than any address of a console."""
AROUND = " \t\r\n\v\f\xa0\u200b\u2060\ufeff\"'`“”‘’<>,;"
"""What comes along when an id is copied out of a table, a JSON document, or a chat."""


def trimmed(text: str, too_long: str, also: str = "") -> str:
    """`text` without what came along, and without the characters of `also` around it. Raises
    InvalidImageId, with the words `too_long`, rather than read a text without bounds."""
    if len(text) > TEXT_LENGTH:
        raise InvalidImageId(too_long)
    return text.strip(AROUND + also)
