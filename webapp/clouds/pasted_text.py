"""Clean-up of the text that people paste as an image ID, before an adapter parses it."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice

from webapp.clouds.characters import SURROUNDING_CHARACTERS
from webapp.clouds.errors import InvalidImageId
from webapp.clouds.locators import ImageId

MAX_LENGTH = 2000
"""The maximum length of a text to parse, in characters. Usual URLs of a console are shorter."""

MAX_PARTS = 50
"""The maximum number of parts of a text that `parse_whole_or_part` tries to parse."""

_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—−", "-"))
_SEPARATORS = re.compile(
    r"[\t\r\n\"'`“”‘’<>,;|]+|(?<=[:=]) +| {2,}| (?=\()|(?<![^\s\"'`])[\w.-]{1,40}="
    r"|(?<!\S)--[\w-]{1,40}[ =]"
)
"""Separators between an ID and other words.

These are tabs, line breaks, quotes, and the characters `<>,;|`. Several spaces are a separator, and
so is a single space after a colon or an equals sign, or before a parenthesis. A name such as
`image=` or `--image` is also a separator. Any other single space is not a separator, because it may
be a mistake within an ID.
"""
_POSSIBLE_ID = re.compile(r"(?=.*[:/%]).{9}|.{32}", re.DOTALL)
"""Matches a part of a text if the part can be an image ID. `_SEPARATORS` separates the parts.

Only the adapters of Azure, Google Compute Engine and OpenStack use this pattern. The shortest of
their IDs is a URN of Azure, such as `a:b:c:1.0`, which has 9 characters. If one of their IDs
contains neither a colon nor a slash, it is a UUID with 32 digits. A URL can contain a slash as %2F.
"""


def strip_pasted_text(text: str, too_long: str, extra_characters: str = "") -> str:
    """Return `text` without SURROUNDING_CHARACTERS and `extra_characters` at both ends.

    Also replace every dash with a hyphen, because word processors replace hyphens with dashes, and
    no ID contains a dash.

    Raises InvalidImageId with the message `too_long` if `text` is longer than MAX_LENGTH, so that
    no parser has to read a text of unlimited length.
    """
    if len(text) > MAX_LENGTH:
        raise InvalidImageId(too_long)
    return text.translate(_DASHES).strip(SURROUNDING_CHARACTERS + extra_characters)


def parse_whole_or_part(text: str, parse: Callable[[str], ImageId]) -> ImageId:
    """Return the only image ID in `text`, which may contain other words.

    For example, tools print an ID in a line of JSON, or after a name. `parse` parses an ID without
    other words. This function first passes the whole text to `parse`. If the whole text is not an
    ID, this function splits the text at the separators. It then passes the first MAX_PARTS
    different parts that can be IDs to `parse`, one by one.

    If no part of the text is an ID, raises the InvalidImageId that `parse` raises for the whole
    text. Also raises InvalidImageId if several parts are different IDs.
    """
    try:
        return parse(text)
    except InvalidImageId:
        found = _parsed_parts(text, parse) if len(text) <= MAX_LENGTH else set()
        if not found:
            raise
    if len(found) > 1:
        raise InvalidImageId(
            "This text contains more than one image ID. Paste only one of them.", recognized=True
        )
    return found.pop()


def _parsed_parts(text: str, parse: Callable[[str], ImageId]) -> set[ImageId]:
    parts = dict.fromkeys(part.rstrip(".:") for part in _SEPARATORS.split(text))
    parts.pop(text, None)  # The caller has tried the whole text already.
    found = set()
    for part in islice(filter(_POSSIBLE_ID.match, parts), MAX_PARTS):
        try:
            found.add(parse(part))
        except InvalidImageId:
            continue
    return found
