"""Recognize cloud image IDs in the text of the search box, in all their spellings."""

from __future__ import annotations

import re
from functools import lru_cache

from schema.search_text import lower_case
from webapp.clouds import clouds_for_image_id
from webapp.search.keys import KEYS
from webapp.search.syntax import find_pieces

_ID_LABEL = re.compile(
    r"(?:source|image)?(?:ami|image)?(?:id|ref)?|urn(?:uuid)?|uuid|vcuuid|instanceuuid"
)
"""The labels that tools print before an image ID, without punctuation, such as `imageid`."""


def is_image_id(text: str) -> bool:
    """Return whether a text with a colon is an image ID.

    For example, `Canonical:ubuntu-24_04-lts:server:latest` is an image ID of Azure. If the text
    before the first colon is the key of a search term, such as `os`, the whole text is never an
    image ID, although an Azure publisher could have this name.
    """
    return text.partition(":")[0].lower() not in KEYS and bool(clouds_for_image_id(text))


@lru_cache(maxsize=1024)
def spelled_image_ids(text: str) -> tuple[str, ...]:
    """Return the cloud image IDs that `text` can mean, in lower case: usually one or none.

    If `text` contains spaces, it must consist of an ID and, optionally, a label, such as
    `ami = "ami-…"`. Any other word would be a separate search term.
    """
    found = {lower_case(image_id.value) for _, image_id in clouds_for_image_id(text)}
    if any(character.isspace() for character in text):
        found = {
            image_id
            for image_id in found
            if _ID_LABEL.fullmatch(
                _letters_and_digits(text).removesuffix(_letters_and_digits(image_id))
            )
        }
    return tuple(sorted(found))


def only_image_id(text: str) -> str:
    """Return the image ID that the pieces of `text` spell together, or ''.

    For example, the pieces of `50 1e 5a …` spell one UUID of vSphere.
    """
    pieces = [match[0] for match in find_pieces(text)]
    if len(pieces) < 2:
        return ""
    if any(piece.startswith("-") for piece in pieces):
        return ""
    image_ids = spelled_image_ids(" ".join(pieces))
    return image_ids[0] if len(image_ids) == 1 else ""


def _letters_and_digits(text: str) -> str:
    return "".join(filter(str.isalnum, text.lower()))
