"""Let PostgreSQL find short words by an index, and replace the final form of the Greek sigma.

If the locale of the database is C, PostgreSQL's index of trigrams contains no Chinese, Japanese or
Korean characters. SQLite's index of trigrams contains all characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from peewee import Database, PostgresqlDatabase

from webapp.database import indexes, online

atomic = False
REPLACED = "REPLACE(search_text, 'ς', 'σ')"


def up(_migrator: Any, db: Database) -> None:
    def replace(ids: Sequence[int]) -> None:
        db.execute_sql(
            f"UPDATE image SET search_text = {REPLACED} WHERE {online.among(ids)}"  # noqa: S608  numbers
        )

    online.in_batches(db, "image", replace, where=f"{REPLACED} <> search_text")
    if isinstance(db, PostgresqlDatabase):
        indexes.create_index(
            db,
            "image_short_words",
            "image USING gin (((STRING_TO_ARRAY(search_text, CHR(31)))[2:])) "
            "WITH (fastupdate = off) WHERE STRPOS(search_text, CHR(31)) > 0",
        )


def down(_migrator: Any, db: Database) -> None:
    """Drop the index. Older versions can read the texts."""
    if isinstance(db, PostgresqlDatabase):
        db.execute_sql("DROP INDEX image_short_words")
