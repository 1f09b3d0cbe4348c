"""SQL as text, for the statements that every page waits for: Peewee takes longer to write one than
the database takes to answer it. What a search asks is still said in Peewee's terms, see
`webapp.search.conditions`; here that is written once, and put into as many runs as there are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import and_
from typing import Any, NamedTuple

from peewee import SqliteDatabase

from models import database


class Written(NamedTuple):
    """A condition as SQL, with the values of its marks."""

    sql: str
    values: Sequence[Any] = ()


def written(conditions: Sequence[Any]) -> Written:
    """All of `conditions`, which are about one table, with the bare names of its columns. At least
    one."""
    context = database.get_sql_context()
    with context.scope_values():
        return Written(*context.sql(reduce(and_, conditions)).query())


def marks(count: int) -> str:
    """So many marks for values, as the database wants them."""
    return ", ".join([database.param] * count)


def is_sqlite() -> bool:
    return isinstance(database.obj, SqliteDatabase)


def rows(sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """What the database answers."""
    found: list[tuple[Any, ...]] = database.execute_sql(sql, values).fetchall()
    return found
