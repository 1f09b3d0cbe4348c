"""Add the short words of Chinese, Japanese and Korean texts to `search_text`.

Searches read this column.
"""

from __future__ import annotations

import unicodedata
from itertools import pairwise
from typing import Any

from peewee import Database, IntegerField, Model, TextField

SEPARATOR = "\x1f"
CHUNK_SIZE = 5_000


def up(_migrator: Any, db: Database) -> None:
    _change_texts(db, _with_short_words)


def down(_migrator: Any, db: Database) -> None:
    _change_texts(db, lambda text: text.partition(SEPARATOR)[0])


def _change_texts(db: Database, change: Any) -> None:
    class Image(Model):
        id = IntegerField(primary_key=True)
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
            text = image.search_text
            if not text.isascii() and (changed := change(text)) != text:
                Image.update(search_text=changed).where(Image.id == image.id).execute()
        last_id = images[-1].id


def _with_short_words(text: str) -> str:
    words = {character for character in text if _is_wide(character)}
    words |= {
        f"{first}{second}"
        for first, second in pairwise(text)
        if (first in words or second in words) and not (first.isspace() or second.isspace())
    }
    return SEPARATOR.join([text, *sorted(words), ""]) if words else text


def _is_wide(character: str) -> bool:
    return not character.isascii() and unicodedata.east_asian_width(character) in "WFH"
