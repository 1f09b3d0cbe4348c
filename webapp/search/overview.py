"""The overview of a scope: how many of the images that it sees are of each kind. Every number is
of a search of the Images page, and is what that search finds. Knows no request.

The numbers are sums of the facet groups, which are few. Ages alone are counted, by the index that
is in their order; of very many images only so far.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from models import FacetGroup, LifeCycle, Scope, today
from webapp.access import Actor
from webapp.clouds import CLOUDS
from webapp.clouds.base import ImageState
from webapp.images import operating_systems
from webapp.search import conditions as matching
from webapp.search import language as search
from webapp.search.conditions import Shelf
from webapp.search.language import EVERYTHING, Key, Term
from webapp.search.sql import Written, rows, written

FAMILIES = 10
"""So many operating systems have a bar of their own."""
VERY_MANY = 200_000
COUNTED = 10_000
"""Where there are more images than `VERY_MANY`, those of one age are counted up to here."""
ATTENTION = {
    "Without agent": "agent:no",
    "Not verified": "verified:no",
    "Deprecated": f"status:{LifeCycle.DEPRECATED}",
    "Retired": f"status:{LifeCycle.RETIRED}",
    "Failed or gone": f"status:{ImageState.FAILED} status:{ImageState.GONE}",
}
STATUSES = {
    **{status.capitalize(): f"status:{status}" for status in LifeCycle},
    "Pending in the cloud": f"status:{ImageState.PENDING}",
    "Disabled in the cloud": f"status:{ImageState.DISABLED}",
    "Failed in the cloud": f"status:{ImageState.FAILED}",
    "Gone from the cloud": f"status:{ImageState.GONE}",
}
AGES = {
    "In the last 30 days": (0, 30),
    "30 to 90 days ago": (30, 90),
    "90 days to a year ago": (90, 365),
    "1 to 2 years ago": (365, 730),
    "More than 2 years ago": (730, None),
}
"""From and to, in days before today."""
_SUMMED = {text: search.parse(text) for text in (*ATTENTION.values(), *STATUSES.values())}


@dataclass(frozen=True)
class Bar:
    """`images` is how many `search` finds; where it is not `exact` there are more. A search that
    cannot be written is ''."""

    label: str
    images: int
    search: str
    exact: bool = True


@dataclass(frozen=True)
class Chart:
    title: str
    bars: tuple[Bar, ...]

    def percent(self, bar: Bar) -> float:
        """Its length, of that of the longest."""
        longest = max(each.images for each in self.bars)
        return max(round(100 * bar.images / longest, 1), 0.5) if bar.images else 0


@dataclass(frozen=True)
class Overview:
    """`total` is of all images that the scope sees."""

    total: int
    charts: tuple[Chart, ...]


@dataclass(frozen=True)
class _Sum:
    """What the facet groups of one shelf say of a cloud and an OS family."""

    rank: int
    cloud: str
    family: str
    images: int
    found: tuple[int, ...]
    """By each of `_SUMMED`."""


def of(actor: Actor, scope: Scope) -> Overview:
    shelves = matching.shelves(scope, EVERYTHING)
    sums = _sums(shelves)
    total = sum(each.images for each in sums)
    if not total:
        return Overview(0, ())
    found = {text: sum(each.found[at] for each in sums) for at, text in enumerate(_SUMMED)}
    attention = [Bar(label, found[text], text) for label, text in ATTENTION.items()]
    statuses = [Bar(label, found[text], text) for label, text in STATUSES.items() if found[text]]
    charts = [
        Chart("Worth a look", tuple(attention)),
        Chart("By cloud", tuple(_clouds(sums))),
        Chart("By operating system", tuple(_families(sums))),
        Chart("By age", tuple(_ages(actor, shelves, total))),
        Chart("By status", tuple(statuses)),
    ]
    if scope.above:
        charts.insert(4, Chart("By owner", tuple(_owners(sums, scope))))
    return Overview(total, tuple(charts))


def _sums(shelves: Sequence[Shelf]) -> list[_Sum]:
    """One pass over the groups of each shelf, in the order of their index."""
    asked = [written(matching.facets(FacetGroup, query)) for query in _SUMMED.values()]
    sums = ", ".join(["SUM(images)", *(f"SUM(images) FILTER (WHERE {each.sql})" for each in asked)])
    runs = " UNION ALL ".join(
        f"SELECT {shelf.rank}, cloud, os_family, {sums} FROM facet_group "  # noqa: S608  no values
        f"WHERE {shelf.held} GROUP BY cloud, os_family"
        for shelf in shelves
    )
    values = [value for each in asked for value in each.values] * len(shelves)
    return [
        _Sum(rank, cloud, family, int(images), tuple(int(each or 0) for each in found))
        for rank, cloud, family, images, *found in rows(runs, values)
    ]


def _clouds(sums: Iterable[_Sum]) -> list[Bar]:
    counts: Counter[str] = Counter()
    for each in sums:
        counts[each.cloud] += each.images
    return [
        Bar(CLOUDS[key].label, images, str(Term(Key.CLOUD, key))) for key, images in _ranked(counts)
    ]


def _ranked(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda each: (-each[1], each[0]))


def _families(sums: Iterable[_Sum]) -> list[Bar]:
    """The most frequent, and all others as one."""
    counts: Counter[str] = Counter()
    for each in sums:
        counts[each.family] += each.images
    most = _ranked(counts)[:FAMILIES]
    bars = [
        Bar(operating_systems.label(family), images, _search_for(Term(Key.OS, family)))
        for family, images in most
    ]
    if others := counts.total() - sum(images for _, images in most):
        without = (Term(Key.OS, family, excluded=True) for family, _ in most)
        bars.append(Bar("Others", others, _search_for(*without)))
    return bars


def _search_for(*terms: Term) -> str:
    """'' where the text would be too long, or mean something else: people may have typed a family
    that is a label of another."""
    text = " ".join(map(str, terms))
    return text if search.parse(text).terms == terms else ""


def _owners(sums: Iterable[_Sum], scope: Scope) -> list[Bar]:
    counts: Counter[int] = Counter()
    for each in sums:
        counts[each.rank] += each.images
    own = Bar(scope.label, counts[0], str(Term(Key.OWNER, "here")))
    above = [
        Bar(each.label, counts[rank], str(Term(Key.SCOPE, each.level)))
        for rank, each in enumerate(scope.lineage[1:], start=1)
    ]
    return [own, *above]


def _ages(actor: Actor, shelves: Sequence[Shelf], total: int) -> list[Bar]:
    """The one that is not counted is what the others leave, if it is only one."""
    searches = {label: _aged(*days) for label, days in AGES.items()}
    count = _count if total <= VERY_MANY else _count_so_far
    *younger, oldest = AGES
    counts = {label: count(shelves, _registered(actor, searches[label])) for label in younger}
    counted = None not in counts.values()
    counts[oldest] = None if counted else count(shelves, _registered(actor, searches[oldest]))
    beyond = [label for label, images in counts.items() if images is None]
    if len(beyond) == 1:
        # Something may have been registered between the two.
        counts[beyond[0]] = max(total - sum(images or 0 for images in counts.values()), 0)
    return [
        Bar(label, COUNTED if images is None else images, searches[label], images is not None)
        for label, images in counts.items()
    ]


def _aged(youngest: int, oldest: int | None) -> str:
    """The search for images that were registered so many days ago."""
    day = today()
    terms = []
    if oldest is not None:
        since = (day - timedelta(days=oldest)).isoformat()
        terms.append(Term(Key.CREATED, since, operator=">="))
    if youngest:
        before = (day - timedelta(days=youngest)).isoformat()
        terms.append(Term(Key.CREATED, before, operator="<"))
    return " ".join(map(str, terms))


def _registered(actor: Actor, text: str) -> Written:
    """The condition for what a search by age finds."""
    return written(matching.of_each(search.parse(text), actor))


def _count(shelves: Sequence[Shelf], aged: Written) -> int | None:
    counts = rows(*_runs("COUNT(*)", shelves, aged))
    return sum(count for (count,) in counts)


def _count_so_far(shelves: Sequence[Shelf], aged: Written) -> int | None:
    """None where there are more."""
    runs, values = _runs("1", shelves, aged)
    limited = f"SELECT COUNT(*) FROM ({runs} LIMIT {COUNTED + 1}) AS found"  # noqa: S608  no values
    ((images,),) = rows(limited, values)
    return int(images) if images <= COUNTED else None


def _runs(what: str, shelves: Sequence[Shelf], aged: Written) -> Written:
    runs = (
        f"SELECT {what} FROM image WHERE {each.held} AND {aged.sql}"  # noqa: S608  no values
        for each in shelves
    )
    return Written(" UNION ALL ".join(runs), [*aged.values] * len(shelves))
