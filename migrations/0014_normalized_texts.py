"""Store the texts of images in Unicode form NFC, without the characters of WITHOUT_WIDTH.

In the columns of LINES, one space replaces each group of blanks, and spaces at the beginning and at
the end are removed. In `search_text`, the new name replaces the old name, and one space replaces
every remaining blank. Searches compare texts in this form.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise
from typing import Any

from peewee import Database, IntegerField, Model, TextField

SEPARATOR = "\x1f"
CHUNK_SIZE = 5_000
LINES = ("name", "os_family", "os_version", "status_reason")
BLANKS = re.compile(r"[\t\u2028\u2029\u2800\u3164\uffa0]|[^\S\x0a-\x0d\x1c-\x1f\x85]")
WITHOUT_WIDTH = re.compile("[\xad\u180e\u200b\u2060-\u2064\ufeff]")


def up(_migrator: Any, db: Database) -> None:
    class Image(Model):
        id = IntegerField(primary_key=True)
        name = TextField()
        os_family = TextField()
        os_version = TextField()
        status_reason = TextField()
        name_key = TextField()
        search_text = TextField()

        class Meta:
            database = db

    last_id = 0
    while True:
        query = Image.select().where(Image.id > last_id).order_by(Image.id).limit(CHUNK_SIZE)
        images = list(query)
        if not images:
            return
        for image in images:
            if changes := _changes(image):
                Image.update(changes).where(Image.id == image.id).execute()
        last_id = images[-1].id


def down(_migrator: Any, _db: Database) -> None:
    """Leave the texts as they are: older versions can read them."""


def _changes(image: Any) -> dict[str, str]:
    changes = {}
    for column in LINES:
        text = getattr(image, column)
        line = " ".join(part for part in _comparable(text).strip().split(" ") if part)
        # A name must have at least two characters, so a shorter result is not stored.
        if line != text and len(line) >= 2:
            changes[column] = line
    text = image.search_text.partition(SEPARATOR)[0]
    if "name" in changes:
        changes["name_key"] = changes["name"].lower()[:255]
        text = text.replace(image.name.lower(), changes["name"].lower(), 1)
    searched = _with_short_words(_comparable(text).lower())
    if searched != image.search_text:
        changes["search_text"] = searched
    return changes


def _comparable(text: str) -> str:
    text = WITHOUT_WIDTH.sub("", unicodedata.normalize("NFC", text))
    return BLANKS.sub(" ", text)


def _with_short_words(text: str) -> str:
    if text.isascii():
        return text
    words = {character for character in text if _is_wide(character)}
    words |= {
        f"{first}{second}"
        for first, second in pairwise(text)
        if (first in words or second in words) and not (first.isspace() or second.isspace())
    }
    return SEPARATOR.join([text, *sorted(words), ""]) if words else text


def _is_wide(character: str) -> bool:
    return not character.isascii() and unicodedata.east_asian_width(character) in "WFH"
