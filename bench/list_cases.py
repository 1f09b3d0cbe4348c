"""The cases that `bench.list` measures.

A case is a page of the application, the person who requests the page, and the page's lower bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from urllib.parse import quote, urlencode

from peewee import SqliteDatabase

import models
from bench import fleet, lower_bound
from bench.fleet_images import (
    CJK_WORD,
    COMMON_TAG,
    COMMON_WORD,
    MISSING_WORD,
    OLD_TAG,
    RARE_CJK_WORD,
    RARE_TAG,
    RARE_WORD,
)
from bench.lower_bound import LowerBound, Slices, count_up_to, groups, in_slices, rows
from models import Image, Level, Scope, today
from schema.search_text import TRIGRAM, indexed_text
from schema.tags import token_text
from webapp.search.ordering import SORTS
from webapp.search.sql import HAS_SHORT_WORDS, SHORT_WORDS

HOPS = 40
"""The number of times that Next is followed to reach the deep page."""
COUNT_LIMIT = 10_000
"""Matches are counted up to this number, as in the application."""
AGES = (0, 30, 90, 365, 730, 3_650)
AGE_COUNT_LIMIT = 10_000
"""The images of one age are counted up to this number on the Overview page."""
FILTER_COLUMNS = (
    "cloud",
    "os_family",
    "location",
    "status",
    "agent_installed",
    "scope_id",
    "architecture",
    "verified",
)
CHART_COLUMNS = ("cloud", "os_family", "scope_id", "status", "state", "agent_installed", "verified")


@dataclass(frozen=True)
class Case:
    """One page, and the e-mail address of the person who requests it.

    `scope` is the beginning of the URL of all pages of a scope. `hops` is the number of times that
    Next is followed from this page to reach the page that is measured.
    """

    name: str
    email: str
    scope: str
    page: str
    lower_bound: LowerBound
    hops: int = 0

    @property
    def url(self) -> str:
        return f"{self.scope}/{self.page}"

    @property
    def lower_bound_url(self) -> str:
        return f"/{quote(self.name, safe='')}"


def fleet_cases() -> list[Case]:
    """Return all cases for the fleet in the open database."""
    little, much = Scope.at(fleet.PATH_SEEING_LITTLE), Scope.at(fleet.PATH_SEEING_MUCH)
    assert little is not None
    assert much is not None
    slices, url = _slices(much), f"/environment/{fleet.PATH_SEEING_MUCH}"
    account_id = much.above[0]
    first = Case(
        "first page, sees little",
        fleet.EMAIL_SEEING_LITTLE,
        f"/account/{fleet.PATH_SEEING_LITTLE}",
        "images",
        LowerBound(rows(_slices(little)), groups(_slices(little))),
    )
    pages = {
        ("first page", "images"): LowerBound(rows(slices), groups(slices)),
        **_searches(slices, account_id, fleet.EMAIL_SEEING_MUCH.partition("@")[0].title()),
        **{(f"sort by {key}", f"images?sort={key}"): _sorted_page(slices, key) for key in SORTS},
        ("number of hits", f"images/count?q={COMMON_WORD}"): LowerBound(
            _count_matches(slices, COMMON_WORD), sums=True
        ),
        ("tag, sorted by name", f"images?q=tag:{COMMON_TAG}&sort=name"): LowerBound(
            rows(slices, ("name_key",), "ASC", _contains("tag_index", token_text(COMMON_TAG)))
        ),
        ("filter menus, one tag", f"images/filters?q=tag:{COMMON_TAG}"): LowerBound(
            _group_values(slices, FILTER_COLUMNS), sums=True
        ),
        ("filter menus", "images/filters?q="): LowerBound(
            _group_values(slices, FILTER_COLUMNS), sums=True
        ),
        ("overview", "overview"): LowerBound(
            _group_values(slices, CHART_COLUMNS), _ages(slices), sums=True
        ),
    }
    cases = [
        Case(name, fleet.EMAIL_SEEING_MUCH, url, page, bound)
        for (name, page), bound in pages.items()
    ]
    below = [
        *_cases_below(much.lineage[-1], account_id),
        *_cases_below(much.lineage[1], account_id),
    ]
    return [first, cases[0], _deep_page(cases[0], slices), *cases[1:], *below]


def _slices(scope: Scope) -> Slices:
    own, inherited = f"scope_id = {scope.id}", (f"scope_id = {above}" for above in scope.above)
    return [(own, False), (own, True), *((above, True) for above in inherited)]


def _cases_below(scope: Scope, account_id: int) -> list[Case]:
    """Return the cases of lists that include the scopes below Scalr or below an account."""
    is_account = scope.level is Level.ACCOUNT
    owners = f"account_id = {scope.id}" if is_account else "TRUE"
    slices = [(owners, False), (owners, True), *_slices(scope)[2:]]
    url = f"/account/{scope.path}" if is_account else "/scalr"
    searches = {
        name: (page.replace("images?q=", "images?q=in%3Abelow+"), bound)
        for (name, page), bound in _searches(slices, account_id, "Scalr").items()
        if name != "by:me"  # This person has registered no images.
    }
    menus = tuple(column for column in FILTER_COLUMNS if column != "scope_id")
    pages = {
        "first page": ("images?q=in:below", LowerBound(rows(slices), groups(slices))),
        **searches,
        **{
            f"sort by {key}": (f"images?q=in:below&sort={key}", _sorted_page(slices, key))
            for key in SORTS
            if key != "owner"
        },
        "sort by owner": (
            "images?q=in:below&sort=owner",
            LowerBound(rows(slices, ("scope_id",), "ASC"), groups(slices)),
        ),
        "number of hits": (
            f"images/count?q=in:below+{COMMON_WORD}",
            LowerBound(_count_matches(slices, COMMON_WORD), sums=True),
        ),
        "filter menus": (
            "images/filters?q=in:below",
            LowerBound(_group_values(slices, menus), sums=True),
        ),
        "overview": (
            "overview",
            LowerBound(_group_values(slices, ("account_id", "scope_id")), sums=True),
        ),
    }
    return [
        Case(f"{name} below {scope.name}", fleet.SCALR_ADMIN, url, page, bound)
        for name, (page, bound) in pages.items()
    ]


def _deep_page(first: Case, slices: Slices) -> Case:
    """Return the case of the page after `HOPS` pages, or of the last page if that comes earlier."""
    (count,) = models.database.execute_sql(groups(slices)).fetchone()
    hops = min(HOPS, (int(count) - 1) // lower_bound.PAGE)
    before = lower_bound.sort_keys(
        slices, ("registered_at",), "DESC", limit=hops * lower_bound.PAGE
    )
    *_, (registered_at, number) = models.database.execute_sql(before).fetchall()
    after = f"(registered_at, id) < ('{registered_at}', {number})"
    return replace(
        first,
        name="deep page",
        lower_bound=LowerBound(rows(slices, where=after), groups(slices)),
        hops=hops,
    )


def _searches(slices: Slices, account_id: int, name: str) -> dict[tuple[str, str], LowerBound]:
    """Return the lower bounds of searches, by case name and URL. `name` is the person's name.

    One search is for a part of the ID of an image that the account shares.

    If there are few matches, an index finds them, and they are sorted. If there are many matches,
    the newest images are checked one by one until the page is full.
    """
    shared_images = Image.select().where(
        Image.cloud == "aws", Image.shared, Image.scope == account_id
    )
    fragment = shared_images.order_by(Image.id.desc()).get().cloud_image_id[6:14]
    long_ago, lately = (f"{today() - timedelta(days=days)}" for days in (1_400, 7))
    many_matches = (
        "cloud:aws os:ubuntu agent:yes",
        ("cloud = 'aws' AND os_family = 'ubuntu' AND agent_installed = TRUE"),
    )
    few_matches = (
        "cloud:openstack os:debian status:retired",
        ("cloud = 'openstack' AND os_family = 'debian' AND status = 'retired'"),
    )
    contains_id = _contains("lower(cloud_image_id)", fragment)
    filters = "cloud = 'aws' AND os_family = 'ubuntu'"
    by = "registered_by_name"
    searches = {
        "word, many hits": (COMMON_WORD, _scanned_page(slices, COMMON_WORD)),
        "word, few hits": (RARE_WORD, _sorted_matches(slices, RARE_WORD)),
        "word, no hit": (MISSING_WORD, _sorted_matches(slices, MISSING_WORD)),
        "two characters, many": (CJK_WORD, _scanned_page(slices, CJK_WORD)),
        "one character, few": (RARE_CJK_WORD, _sorted_matches(slices, RARE_CJK_WORD)),
        "id:fragment": (f"id:{fragment}", _sorted_matches(slices, fragment, contains_id)),
        "part of an id": (fragment, _sorted_matches(slices, fragment)),
        "three filters, many": (
            many_matches[0],
            LowerBound(rows(slices, where=many_matches[1]), groups(slices, many_matches[1])),
        ),
        "three filters, few": (
            few_matches[0],
            LowerBound(_rows_of_groups(slices, few_matches[1]), groups(slices, few_matches[1])),
        ),
        "word and filters": (
            f"{COMMON_WORD} cloud:aws os:ubuntu",
            _scanned_page(slices, COMMON_WORD, filters),
        ),
        "excluded filter": (
            "-cloud:aws",
            LowerBound(rows(slices, where="cloud <> 'aws'"), groups(slices, "cloud <> 'aws'")),
        ),
        "created:<date": (
            f"created:<{long_ago}",
            _range_page(slices, f"registered_at < '{long_ago}'"),
        ),
        "created:>=date": (
            f"created:>={lately}",
            _range_page(slices, f"registered_at >= '{lately}'"),
        ),
        "size:>n": ("size:>150", _range_page(slices, "size_key > 150", "size_key + 0 > 150")),
        "tag, many": (f"tag:{COMMON_TAG}", _tagged_page(slices, COMMON_TAG)),
        "tag, few": (f"tag:{RARE_TAG}", _tagged_page(slices, RARE_TAG)),
        "tag of old images": (f"tag:{OLD_TAG}", _tagged_page(slices, OLD_TAG)),
        "tag and filters": (
            f"tag:{COMMON_TAG} cloud:aws os:ubuntu",
            LowerBound(
                rows(
                    slices, where=f"{_contains('tag_index', token_text(COMMON_TAG))} AND {filters}"
                )
            ),
        ),
        "excluded tag": (
            f"-tag:{COMMON_TAG}",
            LowerBound(rows(slices, where=f"NOT {_contains('tag_index', token_text(COMMON_TAG))}")),
        ),
        "by:me": ("by:me", _range_page(slices, f"{by} = '{name}'", f"{by} || '' = '{name}'")),
    }
    return {
        (name, "images?" + urlencode({"q": text})): statements
        for name, (text, statements) in searches.items()
    }


def _scanned_page(slices: Slices, word: str, where: str = "TRUE") -> LowerBound:
    """Return the lower bound for a search with a frequent word.

    The newest images are checked until the page is full. The page does not count the matches.
    """
    return LowerBound(rows(slices, where=f"{_contains('search_text', word)} AND {where}"))


def _count_matches(slices: Slices, word: str) -> str:
    """Return the statement that counts the images with a frequent word, up to a limit.

    SQLite's index returns matches one by one. PostgreSQL's index finds all matches first, so
    PostgreSQL checks images until it has found enough matches.
    """
    limit = COUNT_LIMIT + 1
    if not _is_sqlite():
        return count_up_to(limit, slices, _contains("search_text", word))
    some = f"SELECT 1 FROM {_indexed_matches(slices, word)} LIMIT {limit}"  # noqa: S608
    return f"SELECT count(*) FROM ({some}) AS found"  # noqa: S608


def _range_page(slices: Slices, where: str, unindexed: str = "") -> LowerBound:
    """Return the lower bound for a search for a range of values.

    Matches are counted by the index of the column. The rows are found by checking the newest
    images. `unindexed` is the same condition in a form for which the database cannot use the index
    of the column. Otherwise, the database could find all matches by that index and sort them.
    """
    return LowerBound(
        rows(slices, where=unindexed or where), count_up_to(COUNT_LIMIT + 1, slices, where)
    )


def _tagged_page(slices: Slices, token: str) -> LowerBound:
    """Return the lower bound for a search for one tag.

    The index of tags has the images in order, and `tag_count` has their number.
    """
    tagged = f"{in_slices(slices)} AND token = '{token}'"
    ranges = " UNION ALL ".join(
        f"SELECT * FROM (SELECT registered_at, id FROM image_tag WHERE {in_slices([each])} "  # noqa: S608
        f"AND token = '{token}' ORDER BY registered_at DESC, id DESC LIMIT {lower_bound.PAGE}) "
        f"AS range_{index}"
        for index, each in enumerate(slices)
    )
    page = f"{ranges} ORDER BY registered_at DESC, id DESC LIMIT {lower_bound.PAGE}"
    return LowerBound(
        f"SELECT {lower_bound.SHOWN_COLUMNS} FROM ({page}) AS page "  # noqa: S608
        "JOIN image ON image.id = page.id ORDER BY image.registered_at DESC, image.id DESC",
        f"SELECT sum(images) FROM tag_count WHERE {tagged}",  # noqa: S608
    )


def _sorted_matches(slices: Slices, text: str, where: str = "TRUE") -> LowerBound:
    return LowerBound(
        f"SELECT {lower_bound.SHOWN_COLUMNS} FROM {_indexed_matches(slices, text)} AND {where} "  # noqa: S608
        f"ORDER BY registered_at DESC, image.id DESC LIMIT {COUNT_LIMIT}"
    )


def _indexed_matches(slices: Slices, text: str) -> str:
    """Return the text after FROM that finds images by the index of the words.

    "scope_id + 0" prevents the database from finding images by scope slice first.
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


def _rows_of_groups(slices: Slices, where: str) -> str:
    found = f"SELECT id FROM facet_group WHERE {in_slices(slices)} AND {where}"  # noqa: S608
    return (
        f"SELECT {lower_bound.SHOWN_COLUMNS} FROM image WHERE group_id IN ({found}) "  # noqa: S608
        f"ORDER BY registered_at DESC, id DESC LIMIT {lower_bound.PAGE}"
    )


def _is_sqlite() -> bool:
    return isinstance(models.database.obj, SqliteDatabase)


def _contains(column: str, text: str) -> str:
    """Return the condition that a column contains a text. No index can be used for it."""
    return f"{'instr' if _is_sqlite() else 'strpos'}({column}, '{text}') > 0"


def _sorted_page(slices: Slices, key: str) -> LowerBound:
    if key == "owner":
        ranks = [slices[:2], *([each] for each in slices[2:])]
        return LowerBound(lower_bound.rows_by_rank(enumerate(ranks)), groups(slices))
    if key == "shared":
        halves = ([each for each in slices if each[1] is shared] for shared in (False, True))
        return LowerBound(lower_bound.rows_by_rank(enumerate(halves)), groups(slices))
    return LowerBound(rows(slices, SORTS[key], "ASC"), groups(slices))


def _group_values(slices: Slices, columns: Sequence[str]) -> str:
    return f"SELECT {', '.join(columns)}, images FROM facet_group WHERE {in_slices(slices)}"  # noqa: S608


def _ages(slices: Slices) -> str:
    days = [today() - timedelta(days=age) for age in AGES]
    counts = (
        count_up_to(
            AGE_COUNT_LIMIT, slices, f"registered_at >= '{since}' AND registered_at < '{until}'"
        )
        for until, since in pairwise(days)
    )
    return " UNION ALL ".join(f"SELECT ({count})" for count in counts)
