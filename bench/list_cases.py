"""The cases of `bench.list`: for each the address of a page of the app, who asks for it, and the
statements of its floor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from urllib.parse import quote, urlencode

from peewee import SqliteDatabase

import models
from bench import fleet, floor
from bench.fleet_images import COMMON_WORD, MISSING_WORD, RARE_WORD
from bench.floor import Floor, Shelves, groups, held, rows, up_to
from models import Image, Scope, today
from webapp.search.ordering import SORTS

HOPS = 40
"""How often Next is followed to get to the deep page."""
COUNTED = 1_000
"""Matches of a word are counted up to here, as the app does at the most."""
WALKED = 1_000
"""Or among so many of the newest, as the app does where an index is of no help."""
AGES = (0, 30, 90, 365, 730, 3_650)
AGED = 10_000
"""The overview counts images of an age up to here."""
MENUS = (
    "cloud",
    "os_family",
    "location",
    "status",
    "agent_installed",
    "scope_id",
    "architecture",
    "verified",
)
CHARTS = ("cloud", "os_family", "scope_id", "status", "state", "agent_installed", "verified")


@dataclass(frozen=True)
class Case:
    """One page. `scope` is the address of the scope's pages; `hops` says how often Next is
    followed from there first."""

    name: str
    email: str
    scope: str
    page: str
    floor: Floor
    hops: int = 0

    @property
    def address(self) -> str:
        return f"{self.scope}/{self.page}"

    @property
    def floor_address(self) -> str:
        return f"/{quote(self.name, safe='')}"


def of_fleet() -> list[Case]:
    """All cases, for the fleet in the database that is open."""
    little, much = Scope.at(fleet.LITTLE), Scope.at(fleet.MUCH)
    assert little is not None
    assert much is not None
    seen, address = _shelves(much), f"/environment/{fleet.MUCH}"
    first = Case(
        "first page, sees little",
        fleet.SEES_LITTLE,
        f"/account/{fleet.LITTLE}",
        "images",
        Floor(rows(_shelves(little)), groups(_shelves(little))),
    )
    floors = {
        ("first page", "images"): Floor(rows(seen), groups(seen)),
        **_searches(seen, fleet.SEES_MUCH.partition("@")[0].title()),
        **{(f"sort by {key}", f"images?sort={key}"): _sorted(seen, key) for key in SORTS},
        ("filter menus", "images/filters?q="): Floor(_groups_by(seen, MENUS), sums=True),
        ("overview", "overview"): Floor(_groups_by(seen, CHARTS), _ages(seen), sums=True),
    }
    cases = [
        Case(name, fleet.SEES_MUCH, address, page, each) for (name, page), each in floors.items()
    ]
    return [first, cases[0], _deep(cases[0], seen), *cases[1:]]


def _shelves(scope: Scope) -> Shelves:
    return [(scope.id, False), (scope.id, True), *((above, True) for above in scope.above)]


def _deep(first: Case, seen: Shelves) -> Case:
    """The page after so many others, or the last one where there are not so many."""
    (count,) = models.database.execute_sql(groups(seen)).fetchone()
    hops = min(HOPS, (int(count) - 1) // floor.PAGE)
    before = floor.places(seen, ("registered_at",), "DESC", most=hops * floor.PAGE)
    *_, (at, number) = models.database.execute_sql(before).fetchall()
    after = f"(registered_at, id) < ('{at}', {number})"
    return replace(
        first, name="deep page", floor=Floor(rows(seen, where=after), groups(seen)), hops=hops
    )


def _searches(seen: Shelves, name: str) -> dict[tuple[str, str], Floor]:
    """By the name of the case and its address. Where few match they are found by an index and
    sorted; where many do, the newest are asked one after the other until the page is full."""
    some = Image.select().where(Image.cloud == "aws", Image.shared, Image.scope == seen[-2][0])
    fragment = some.order_by(Image.id.desc()).get().cloud_image_id[6:14]
    long_ago, lately = (f"{today() - timedelta(days=days)}" for days in (1_400, 7))
    three = (
        "cloud:aws os:ubuntu agent:yes",
        ("cloud = 'aws' AND os_family = 'ubuntu' AND agent_installed = TRUE"),
    )
    rare = (
        "cloud:openstack os:debian status:retired",
        ("cloud = 'openstack' AND os_family = 'debian' AND status = 'retired'"),
    )
    holds_id = _holds("lower(cloud_image_id)", fragment)
    filters = "cloud = 'aws' AND os_family = 'ubuntu'"
    by = "registered_by_name"
    floors = {
        "word, many hits": (COMMON_WORD, _walked(seen, COMMON_WORD)),
        "word, few hits": (RARE_WORD, _gathered(seen, RARE_WORD)),
        "word, no hit": (MISSING_WORD, _gathered(seen, MISSING_WORD)),
        "id:fragment": (f"id:{fragment}", _gathered(seen, fragment, holds_id)),
        "part of an id": (fragment, _gathered(seen, fragment)),
        "three filters, many": (
            three[0],
            Floor(rows(seen, where=three[1]), groups(seen, three[1])),
        ),
        "three filters, few": (rare[0], Floor(_of_groups(seen, rare[1]), groups(seen, rare[1]))),
        "word and filters": (
            f"{COMMON_WORD} cloud:aws os:ubuntu",
            _walked(seen, COMMON_WORD, filters),
        ),
        "excluded filter": (
            "-cloud:aws",
            Floor(rows(seen, where="cloud <> 'aws'"), groups(seen, "cloud <> 'aws'")),
        ),
        "created:<date": (f"created:<{long_ago}", _ranged(seen, f"registered_at < '{long_ago}'")),
        "created:>=date": (f"created:>={lately}", _ranged(seen, f"registered_at >= '{lately}'")),
        "size:>n": ("size:>150", _ranged(seen, "size_key > 150", "size_key + 0 > 150")),
        "by:me": ("by:me", _ranged(seen, f"{by} = '{name}'", f"{by} || '' = '{name}'")),
    }
    return {
        (name, "images?" + urlencode({"q": text})): statements
        for name, (text, statements) in floors.items()
    }


def _walked(seen: Shelves, word: str, where: str = "TRUE") -> Floor:
    """The rows by asking the newest images. The number, up to some limit: SQLite's index gives
    matches one by one; PostgreSQL's only all of them, so there the newest are counted."""
    asked = f"{_holds('search_text', word)} AND {where}"
    if _is_sqlite():
        some = f"SELECT 1 FROM {_found(seen, word)} AND {where} LIMIT {COUNTED}"  # noqa: S608
    else:
        newest = floor.places(seen, ("registered_at",), "DESC", most=WALKED)
        some = f"SELECT 1 FROM ({newest}) AS place JOIN image USING (id) WHERE {asked}"  # noqa: S608
    return Floor(rows(seen, where=asked), f"SELECT count(*) FROM ({some}) AS found")  # noqa: S608


def _ranged(seen: Shelves, where: str, asked: str = "") -> Floor:
    """The number by the index of the column; the rows by the newest images, which are `asked` in
    words that hide the column from a plan that would sort all that match."""
    return Floor(rows(seen, where=asked or where), up_to(COUNTED, seen, where))


def _gathered(seen: Shelves, text: str, where: str = "TRUE") -> Floor:
    return Floor(
        f"SELECT {floor.SHOWN} FROM {_found(seen, text)} AND {where} "  # noqa: S608
        f"ORDER BY registered_at DESC, image.id DESC LIMIT {COUNTED}"
    )


def _found(seen: Shelves, text: str) -> str:
    """From where, and where, by the index of trigrams: no plan may begin with the shelves."""
    apart = held(seen).replace("scope_id", "scope_id + 0")
    if _is_sqlite():
        return (
            "image_words CROSS JOIN image ON image.id = image_words.rowid "
            f"WHERE image_words.search_text MATCH '\"{text}\"' AND {apart}"
        )
    return f"image WHERE search_text LIKE '%{text}%' AND {apart}"


def _of_groups(seen: Shelves, where: str) -> str:
    found = f"SELECT id FROM facet_group WHERE {held(seen)} AND {where}"  # noqa: S608
    return (
        f"SELECT {floor.SHOWN} FROM image WHERE group_id IN ({found}) "  # noqa: S608
        f"ORDER BY registered_at DESC, id DESC LIMIT {floor.PAGE}"
    )


def _is_sqlite() -> bool:
    return isinstance(models.database.obj, SqliteDatabase)


def _holds(column: str, text: str) -> str:
    """Asked of one image after the other."""
    return f"{'instr' if _is_sqlite() else 'strpos'}({column}, '{text}') > 0"


def _sorted(seen: Shelves, key: str) -> Floor:
    if key == "owner":
        ranks = [seen[:2], *([each] for each in seen[2:])]
        return Floor(floor.rows_shelf_by_shelf(enumerate(ranks)), groups(seen))
    if key == "shared":
        apart = ([each for each in seen if each[1] is shared] for shared in (False, True))
        return Floor(floor.rows_shelf_by_shelf(enumerate(apart)), groups(seen))
    return Floor(rows(seen, SORTS[key], "ASC"), groups(seen))


def _groups_by(seen: Shelves, columns: Sequence[str]) -> str:
    return f"SELECT {', '.join(columns)}, images FROM facet_group WHERE {held(seen)}"  # noqa: S608


def _ages(seen: Shelves) -> str:
    days = [today() - timedelta(days=age) for age in AGES]
    counts = (
        up_to(AGED, seen, f"registered_at >= '{since}' AND registered_at < '{until}'")
        for until, since in pairwise(days)
    )
    return " UNION ALL ".join(f"SELECT ({count})" for count in counts)
