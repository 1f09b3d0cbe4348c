"""Compose the lower bounds of the cases that `bench.list` measures.

Each function returns the statements for one kind of page, or a part of such a statement. Some
statements are fast only if many images match, and others only if few images match. The author of a
case knows whether many or few images match, and has chosen the statements accordingly. The
application must first find out whether many or few images match. "Terms" in docs/architecture.md
explains slices and facet groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise

from peewee import SqliteDatabase

import models
from bench import lower_bound
from bench.lower_bound import LowerBound, Slices, count_up_to, groups, in_slices, rows
from models import today
from schema.search_text import TRIGRAM, indexed_text
from webapp.search.ordering import SORTS
from webapp.search.sql import HAS_SHORT_WORDS, SHORT_WORDS

COUNT_LIMIT = 10_000
"""Matches are counted up to this number, as in the application."""
AGES = (0, 30, 90, 365, 730, 3_650)
"""The limits between the ages on the Overview page, in days before today."""
AGE_COUNT_LIMIT = 10_000
"""The images of one age are counted up to this number on the Overview page."""


def scanned_page(slices: Slices, word: str, where: str = "TRUE") -> LowerBound:
    """Return the lower bound for a search with a frequent word.

    The newest images are checked until the page is full. The page does not count the matches.
    """
    return LowerBound(rows(slices, where=f"{contains('search_text', word)} AND {where}"))


def count_matches(slices: Slices, word: str) -> str:
    """Return the statement that counts the images with a frequent word, up to a limit.

    SQLite's index returns matches one by one, so the statement for SQLite uses the index.
    PostgreSQL's index finds all matches first. Without this index, PostgreSQL can stop as soon as
    it has found enough matches.
    """
    limit = COUNT_LIMIT + 1
    if not _is_sqlite():
        return count_up_to(limit, slices, contains("search_text", word))
    some = f"SELECT 1 FROM {indexed_matches(slices, word)} LIMIT {limit}"  # noqa: S608
    return f"SELECT count(*) FROM ({some}) AS found"  # noqa: S608


def range_page(slices: Slices, where: str, unindexed: str = "") -> LowerBound:
    """Return the lower bound for a search for a range of values.

    The statement for the count uses the index of the column. The statement for the rows checks the
    newest images. `unindexed` is the condition `where` in a form for which the database cannot use
    that index. With `where` itself, the database could instead find all matches by the index, and
    sort them.
    """
    return LowerBound(
        rows(slices, where=unindexed or where), count_up_to(COUNT_LIMIT + 1, slices, where)
    )


def tagged_page(slices: Slices, token: str, after: str = "TRUE", *, where: str = "") -> LowerBound:
    """Return the lower bound for a search for one tag.

    The index of tags contains the images in order, and `tag_count` contains their number. `after`
    limits the page to images after a cursor. With `where`, the images must also meet this
    condition, and the page does not show the number of matches.
    """
    tagged = f"{in_slices(slices)} AND token = '{token}'"
    if where:
        after += f" AND EXISTS (SELECT 1 FROM image WHERE image.id = image_tag.id AND {where})"  # noqa: S608
    ranges = " UNION ALL ".join(
        f"SELECT * FROM (SELECT registered_at, id FROM image_tag WHERE {in_slices([each])} "  # noqa: S608
        f"AND token = '{token}' AND {after} "
        f"ORDER BY registered_at DESC, id DESC LIMIT {lower_bound.PAGE}) AS range_{index}"
        for index, each in enumerate(slices)
    )
    page = f"{ranges} ORDER BY registered_at DESC, id DESC LIMIT {lower_bound.PAGE}"
    return LowerBound(
        f"SELECT {lower_bound.SHOWN_COLUMNS} FROM ({page}) AS page "  # noqa: S608
        "JOIN image ON image.id = page.id ORDER BY image.registered_at DESC, image.id DESC",
        "" if where else f"SELECT sum(images) FROM tag_count WHERE {tagged}",  # noqa: S608
    )


def tag_prefix_page(slices: Slices, beginning: str) -> LowerBound:
    """Return the lower bound for a search for the beginning of tags that few images have."""
    tokens = f"token >= '{beginning}' AND token < '{beginning}~'"
    found = f"SELECT id FROM image_tag WHERE {in_slices(slices)} AND {tokens}"  # noqa: S608
    return LowerBound(
        f"SELECT {lower_bound.SHOWN_COLUMNS} FROM image WHERE id IN ({found}) "  # noqa: S608
        f"ORDER BY registered_at DESC, id DESC LIMIT {lower_bound.PAGE}"
    )


def tag_numbers(slices: Slices) -> str:
    """Return the statement for the number of images of each tag."""
    return f"SELECT token, images FROM tag_count WHERE {in_slices(slices)}"  # noqa: S608


def sorted_matches(slices: Slices, text: str, where: str = "TRUE") -> LowerBound:
    return LowerBound(
        f"SELECT {lower_bound.SHOWN_COLUMNS} FROM {indexed_matches(slices, text)} AND {where} "  # noqa: S608
        f"ORDER BY registered_at DESC, image.id DESC LIMIT {COUNT_LIMIT}"
    )


def indexed_matches(slices: Slices, text: str) -> str:
    """Return the text after FROM that finds images by the index of the words.

    `scope_id + 0` prevents the database from finding the images of the slices by an index first.
    """
    visible = in_slices(slices).replace("_id = ", "_id + 0 = ")
    if _is_sqlite():
        return (
            "image_words CROSS JOIN image ON image.id = image_words.rowid "
            f"WHERE image_words.search_text MATCH '\"{indexed_text(text)}\"' AND {visible}"
        )
    if len(text) < TRIGRAM:
        return f"image WHERE {SHORT_WORDS} @> ARRAY['{text}'] AND {HAS_SHORT_WORDS} AND {visible}"
    return f"image WHERE search_text LIKE '%{text}%' AND {visible}"


def rows_of_groups(
    slices: Slices, where: str, keys: Sequence[str] = ("registered_at",), direction: str = "DESC"
) -> str:
    """Return the statement that finds the images of all facet groups that match, and sorts them."""
    found = f"SELECT id FROM facet_group WHERE {in_slices(slices)} AND {where}"  # noqa: S608
    return (
        f"SELECT {lower_bound.SHOWN_COLUMNS} FROM image WHERE group_id IN ({found}) "  # noqa: S608
        f"ORDER BY {lower_bound.sorted_by(keys, direction)} LIMIT {lower_bound.PAGE}"
    )


def filtered_page(slices: Slices, where: str, key: str, *, few: bool = False) -> LowerBound:
    """Return the lower bound for a filtered list that is sorted by a column of the list.

    If there are few matches, the statement finds them by facet groups. If there are many, it checks
    the images in order until the page is full.
    """
    keys = {"shared": ("shared",), "owner": ("scope_id",)}.get(key, SORTS[key])
    page = rows_of_groups(slices, where, keys, "ASC") if few else rows(slices, keys, "ASC", where)
    return LowerBound(page, groups(slices, where))


def _is_sqlite() -> bool:
    return isinstance(models.database.obj, SqliteDatabase)


def contains(column: str, text: str) -> str:
    """Return the condition that a column contains a text. No index can be used for it."""
    return f"{'instr' if _is_sqlite() else 'strpos'}({column}, '{text}') > 0"


def sorted_page(slices: Slices, key: str, *, below: bool = False) -> LowerBound:
    """Return the lower bound for a sorted list, with the scopes below if `below` is true."""
    if key == "owner" and below:
        return LowerBound(rows(slices, ("scope_id",), "ASC"), groups(slices))
    if key == "owner":
        ranks = [slices[:2], *([each] for each in slices[2:])]
        return LowerBound(lower_bound.rows_by_rank(enumerate(ranks)), groups(slices))
    if key == "shared":
        halves = ([each for each in slices if each[1] is shared] for shared in (False, True))
        return LowerBound(lower_bound.rows_by_rank(enumerate(halves)), groups(slices))
    return LowerBound(rows(slices, SORTS[key], "ASC"), groups(slices))


def group_values(slices: Slices, columns: Sequence[str], where: str = "TRUE") -> str:
    found = f"{in_slices(slices)} AND {where}"
    return f"SELECT {', '.join(columns)}, images FROM facet_group WHERE {found}"  # noqa: S608


def first_rows(page: LowerBound, limit: int) -> LowerBound:
    """Return the lower bound for the first rows of a page, without the number of all matches."""
    return LowerBound(f"SELECT * FROM ({page.page}) AS found LIMIT {limit}")  # noqa: S608


def ages(slices: Slices) -> str:
    """Return the statement that counts the images of each age on the Overview page."""
    days = [today() - timedelta(days=age) for age in AGES]
    counts = (
        count_up_to(
            AGE_COUNT_LIMIT, slices, f"registered_at >= '{since}' AND registered_at < '{until}'"
        )
        for until, since in pairwise(days)
    )
    return " UNION ALL ".join(f"SELECT ({count})" for count in counts)
