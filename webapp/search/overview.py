"""Count the images that a scope sees, by cloud, age and other properties, for the Overview page.

Each number has a search that finds exactly the counted images, unless the text of this search would
be too long. Most numbers are sums over the facet groups (`schema.images.FacetGroup`), because there
are far fewer groups than images. The numbers of tags come from `webapp.search.tags`. Only ages are
counted image by image, with the index by date. If there are very many images, ages are counted only
up to a limit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from models import Level, LifeCycle, Scope, today
from webapp.access import Actor
from webapp.clouds import CLOUDS
from webapp.clouds.details import ImageState
from webapp.images import operating_systems
from webapp.search import conditions, planner, sql, tags
from webapp.search.conditions import Slice
from webapp.search.counts import Count
from webapp.search.keys import Key
from webapp.search.language import MAX_TEXT_LENGTH
from webapp.search.parser import parse
from webapp.search.query import OWNED_OR_INHERITED, Term
from webapp.search.sql import Sql

MAX_FAMILY_BARS = 10
"""The maximum number of OS families that have their own bar. All other families share one bar."""
MAX_SCOPES = 50
"""The maximum number of scopes in the table of the scopes below."""
MAX_TAG_BARS = 10
"""The maximum number of tags that have their own bar."""
VERY_MANY = 200_000
COUNT_LIMIT = 10_000
"""The maximum number of images to count for each age.

This limit is used only if the scope sees more than `VERY_MANY` images.
"""
ATTENTION = {
    "Without agent": "agent:no",
    ImageState.UNKNOWN.label: f"status:{ImageState.UNKNOWN.token}",
    "Deprecated": f"status:{LifeCycle.DEPRECATED}",
    "Retired": f"status:{LifeCycle.RETIRED}",
    "Failed or gone": f"status:{ImageState.FAILED} status:{ImageState.GONE}",
}
"""The label and the search of each bar under “Needs attention”."""
STATUSES = {
    **{status.capitalize(): f"status:{status}" for status in LifeCycle},
    "Pending in the cloud": f"status:{ImageState.PENDING}",
    "Disabled in the cloud": f"status:{ImageState.DISABLED}",
    "Failed in the cloud": f"status:{ImageState.FAILED}",
    "Gone from the cloud": f"status:{ImageState.GONE}",
    "Not checked in the cloud": f"status:{ImageState.UNKNOWN.token}",
}
"""The label and the search of each bar under “By status”."""
AGES = {
    "In the last 30 days": (0, 30),
    "30 to 90 days ago": (30, 90),
    "90 days to a year ago": (90, 365),
    "1 to 2 years ago": (365, 730),
    "More than 2 years ago": (730, None),
}
"""Two limits for each age, as numbers of days before today.

An image has the age if it was registered before the day of the first limit, and on or after the day
of the second limit. 0 means that there is no first limit, and None that there is no second limit.
"""
_SUMMED_SEARCHES = {text: parse(text) for text in (*ATTENTION.values(), *STATUSES.values())}
"""The parsed searches of ATTENTION and STATUSES. Facet groups can answer these searches."""


@dataclass(frozen=True)
class Bar:
    """A number of images, and the search that finds these images.

    If `exact` is False, counting stopped at a limit, and there are more images. `search` is '' if
    its text would be too long.
    """

    label: str
    images: int
    search: str
    exact: bool = True

    @property
    def count_text(self) -> str:
        """The number of images for people, such as “1,215” or “10,000+”."""
        return Count(self.images, self.exact).text


@dataclass(frozen=True)
class Chart:
    """Bars under one title."""

    title: str
    bars: tuple[Bar, ...]

    def percent(self, bar: Bar) -> float:
        """Return the length of a bar in percent of the longest bar.

        A bar with at least one image has at least 0.5 percent.
        """
        longest = max(other.images for other in self.bars)
        return max(round(100 * bar.images / longest, 1), 0.5) if bar.images else 0


@dataclass(frozen=True)
class Overview:
    """The charts, and the number of all images that the scope sees."""

    total: int
    charts: tuple[Chart, ...]


@dataclass(frozen=True)
class _Sum:
    """The number of images of one cloud and one OS family in a slice (`conditions.Slice`).

    `distance` is the distance of the slice (`conditions.ScopeSlice`).
    """

    distance: int
    cloud: str
    family: str
    images: int
    search_counts: tuple[int, ...]
    """How many of these images each search of `_SUMMED_SEARCHES` finds."""


def load_overview(actor: Actor, scope: Scope) -> Overview:
    """Return the overview of the images that `scope` sees."""
    slices = conditions.scope_slices(scope, OWNED_OR_INHERITED)
    sums = _sum_facet_groups(slices)
    total = sum(each.images for each in sums)
    if not total:
        return Overview(0, ())
    images_by_search = {
        text: sum(each.search_counts[index] for each in sums)
        for index, text in enumerate(_SUMMED_SEARCHES)
    }
    attention = [Bar(label, images_by_search[text], text) for label, text in ATTENTION.items()]
    statuses = [
        Bar(label, images_by_search[text], text)
        for label, text in STATUSES.items()
        if images_by_search[text]
    ]
    charts = [
        Chart("Needs attention", tuple(attention)),
        Chart("By cloud", tuple(_clouds(sums))),
        Chart("By operating system", tuple(_families(sums))),
        Chart("By age", tuple(_ages(actor, slices, total))),
        Chart("By status", tuple(statuses)),
    ]
    if tag_bars := _tags(slices):
        charts.append(Chart("By tag", tuple(tag_bars)))
    if scope.above:
        charts.insert(4, Chart("By owner", tuple(_owners(sums, scope))))
    return Overview(total, tuple(charts))


@dataclass(frozen=True)
class ScopeBelow:
    """A scope directly below another scope, with the number of its images.

    For an account, `with_environments` also counts the images of its environments.
    """

    scope: Scope
    owned: int
    with_environments: int


@dataclass(frozen=True)
class ScopesBelow:
    """At most MAX_SCOPES scopes directly below a scope, the scope with the most images first.

    `total` is the number of all scopes directly below, and `images` the number of images in all
    scopes below.
    """

    rows: list[ScopeBelow]
    total: int
    images: int


def load_scopes_below(scope: Scope) -> ScopesBelow:
    """Return the MAX_SCOPES scopes directly below `scope` that have the most images."""
    counts = _count_images_below(scope)
    children = Scope.select_with_parents().where(
        (Scope.parent == scope) & Scope.deleted_at.is_null()
    )
    scope_ids = sorted(counts, key=lambda scope_id: (-counts[scope_id][1], scope_id))[:MAX_SCOPES]
    scopes = list(children.where(Scope.id.in_(scope_ids)))
    if len(scopes) < MAX_SCOPES:
        others = children.where(Scope.id.not_in(scope_ids)).order_by(Scope.name)
        scopes.extend(others.limit(MAX_SCOPES - len(scopes)))
    rows = [ScopeBelow(each, *counts.get(each.id, (0, 0))) for each in scopes]
    rows.sort(key=lambda row: (-row.with_environments, row.scope.name.lower()))
    total = children.count() if len(rows) == MAX_SCOPES else len(rows)
    return ScopesBelow(rows, total, sum(images for _, images in counts.values()))


def _count_images_below(scope: Scope) -> dict[int, tuple[int, int]]:
    """Return the numbers of images of each scope directly below `scope`, as in `ScopeBelow`.

    Scopes without images are missing.
    """
    child = "account_id" if scope.level is Level.SCALR else "scope_id"
    below = sql.rows_of("facet_group", conditions.owned_below(scope))
    owned = sql.sum_of("images", sql.columns_equal(child, "scope_id"))
    statement = sql.select([child, owned, sql.sum_of("images")], below, group_by=[child])
    return {
        child_id: (int(owned_images or 0), int(images))
        for child_id, owned_images, images in sql.fetch(statement)
    }


def _sum_facet_groups(slices: Sequence[Slice]) -> list[_Sum]:
    """Return the sums over the facet groups.

    One statement reads the groups of each slice once, in the order of their index.
    """
    search_counts = [
        sql.sum_of("images", conditions.group_condition(query))
        for query in _SUMMED_SEARCHES.values()
    ]
    columns = ["cloud", "os_family"]
    statements = [
        sql.select(
            [str(each.distance), *columns, sql.sum_of("images"), *search_counts],
            groups,
            group_by=columns,
        )
        for each, groups in zip(
            slices, planner.group_sources(slices, OWNED_OR_INHERITED), strict=True
        )
    ]
    return [
        _Sum(distance, cloud, family, int(images), tuple(int(number or 0) for number in numbers))
        for distance, cloud, family, images, *numbers in sql.fetch(sql.union(statements))
    ]


def _clouds(sums: Iterable[_Sum]) -> list[Bar]:
    counts: Counter[str] = Counter()
    for each in sums:
        counts[each.cloud] += each.images
    return [
        Bar(CLOUDS[key].label, images, str(Term(Key.CLOUD, key)))
        for key, images in _most_frequent_first(counts)
    ]


def _most_frequent_first(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda each: (-each[1], each[0]))


def _families(sums: Iterable[_Sum]) -> list[Bar]:
    """Return a bar for each of the most frequent families, and one bar for all other families."""
    counts: Counter[str] = Counter()
    for each in sums:
        counts[each.family] += each.images
    most_frequent = _most_frequent_first(counts)[:MAX_FAMILY_BARS]
    bars = [
        Bar(operating_systems.label(family), images, _search_for(Term(Key.OS, family)))
        for family, images in most_frequent
    ]
    if other_images := counts.total() - sum(images for _, images in most_frequent):
        excluded = (Term(Key.OS, family, excluded=True) for family, _ in most_frequent)
        bars.append(Bar("Others", other_images, _search_for(*excluded)))
    return bars


def _search_for(*terms: Term) -> str:
    """Return the text of the search with these terms, or '' if the text is too long.

    Each term must have a value that images have, because the parser could give any other value
    another meaning.
    """
    text = " ".join(map(str, terms))
    return text if len(text) <= MAX_TEXT_LENGTH else ""


def _owners(sums: Iterable[_Sum], scope: Scope) -> list[Bar]:
    counts: Counter[int] = Counter()
    for each in sums:
        counts[each.distance] += each.images
    own_bar = Bar(scope.label, counts[0], str(Term(Key.OWNER, "here")))
    bars_above = [
        Bar(each.label, counts[distance], str(Term(Key.SCOPE, each.level)))
        for distance, each in enumerate(scope.lineage[1:], start=1)
    ]
    return [own_bar, *bars_above]


def _tags(slices: Sequence[Slice]) -> list[Bar]:
    """Return a bar for each of the most frequent tags. Keys, such as `team=…`, have no bars."""
    uses = tags.most_frequent(slices, 3 * MAX_TAG_BARS)
    bars = [use for use in uses if not use.is_key][:MAX_TAG_BARS]
    return [Bar(use.name, use.images, _search_for(Term(Key.TAG, use.token))) for use in bars]


def _ages(actor: Actor, slices: Sequence[Slice], total: int) -> list[Bar]:
    """Return a bar for each age.

    If all ages except one have an exact number, the number of the remaining age is `total` minus
    the other numbers. So the oldest age is counted only if another age has more images than the
    limit. If several ages have more images than the limit, the bars of these ages are not exact.
    """
    searches = {label: _age_search(*days) for label, days in AGES.items()}
    limit = None if total <= VERY_MANY else COUNT_LIMIT

    def count(label: str) -> int | None:
        query = parse(searches[label])
        return _count_images(slices, conditions.ungrouped_condition(query, actor), limit)

    *younger, oldest = AGES
    counts = {label: count(label) for label in younger}
    counts[oldest] = count(oldest) if None in counts.values() else None
    uncounted = [label for label, images in counts.items() if images is None]
    if len(uncounted) == 1:
        # Images that were registered after `total` was read can make the difference negative.
        counts[uncounted[0]] = max(total - sum(images or 0 for images in counts.values()), 0)
    return [
        Bar(label, COUNT_LIMIT if images is None else images, searches[label], images is not None)
        for label, images in counts.items()
    ]


def _age_search(youngest: int, oldest: int | None) -> str:
    """Return the search for the images of one age. See `AGES` for the meaning of the numbers."""
    day = today()
    terms = []
    if oldest is not None:
        first_day = (day - timedelta(days=oldest)).isoformat()
        terms.append(Term(Key.CREATED, first_day, operator=">="))
    if youngest:
        end_day = (day - timedelta(days=youngest)).isoformat()
        terms.append(Term(Key.CREATED, end_day, operator="<"))
    return " ".join(map(str, terms))


def _count_images(slices: Sequence[Slice], condition: Sql, limit: int | None) -> int | None:
    """Return the number of images that meet a condition, or None if it is more than `limit`."""
    sources = (sql.rows_of("image", sql.all_of([each.condition, condition])) for each in slices)
    if limit is None:
        return sql.fetch_number(sql.sum_of_results(sql.count(source) for source in sources))
    found = sql.union(sql.select(["1"], source) for source in sources)
    number = sql.fetch_number(sql.count(sql.subquery(found, "found"), limit + 1))
    return number if number <= limit else None
