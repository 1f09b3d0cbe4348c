"""The overview: every number equals the number of images that its search finds."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from flask import Flask

from models import Image, LifeCycle, Scope, now, transaction
from tests.conftest import ActorOf, ScopeAt
from tests.search import naive
from webapp.clouds import CLOUDS
from webapp.clouds.details import ImageState
from webapp.search import overview
from webapp.search.overview import Bar, Chart, Overview
from webapp.search.parser import parse
from webapp.search.query import OWNED_OR_INHERITED

FAMILIES = [
    "ubuntu",
    "debian",
    "windows-client",
    "rhel",
    "Haiku",
    'with "quotes"',
    "-minus",
    "two words",
]


def register(scope: Scope, number: int, **changes: object) -> Image:
    """Create an image with default values, except for `changes`."""
    defaults = {
        "cloud": next(iter(CLOUDS)),
        "name": f"image {number}",
        "os_family": "ubuntu",
        "os_version": "24.04",
        "agent_installed": True,
        "shared": True,
        "state": ImageState.AVAILABLE,
    }
    fixed = {"details": {}, "credentials_name": "", "registered_by_name": "", "scope": scope}
    image: Image = Image.create(
        cloud_image_id=f"image-{number}", **{**defaults, **fixed, **changes}
    )
    return image


@pytest.fixture
def many_images(scope: ScopeAt) -> None:
    """Create images of all kinds at five scopes."""
    chance = random.Random(7)
    scopes = [scope(path) for path in ("", "acme", "acme/production", "acme/staging", "globex")]
    with transaction():
        for number in range(150):
            register(
                chance.choice(scopes),
                number,
                cloud=chance.choice(list(CLOUDS)),
                os_family=chance.choice(FAMILIES),
                agent_installed=chance.random() < 0.6,
                shared=chance.random() < 0.6,
                state=chance.choice(list(ImageState)),
                status=chance.choice(list(LifeCycle)),
                registered_at=now() - timedelta(days=chance.randrange(1200)),
            )


def charts_by_title(loaded: Overview) -> dict[str, Chart]:
    return {chart.title: chart for chart in loaded.charts}


def numbers(chart: Chart) -> dict[str, int]:
    return {bar.label: bar.images for bar in chart.bars}


@pytest.mark.parametrize("path", ["", "acme", "acme/production", "globex/lab"])
@pytest.mark.usefixtures("many_images")
def test_every_number_equals_the_number_of_results_of_its_search(
    actor_of: ActorOf, scope: ScopeAt, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(overview, "MAX_FAMILY_BARS", 4)
    actor, here = actor_of("scalr-admin"), scope(path)
    loaded = overview.load_overview(actor, here)
    assert loaded.total == len(naive.visible_images(here, OWNED_OR_INHERITED)) > 0
    for chart in loaded.charts:
        for bar in chart.bars:
            query = parse(bar.search)
            assert not query.problems
            assert bar.exact
            assert bar.images == len(naive.matching_images(actor, here, query)), (chart.title, bar)
    for title in ("By cloud", "By operating system", "By age"):
        assert sum(numbers(charts_by_title(loaded)[title]).values()) == loaded.total
    assert len(charts_by_title(loaded)["By operating system"].bars) == 5


def test_images_of_lower_and_sibling_scopes_are_not_counted(
    actor_of: ActorOf, scope: ScopeAt
) -> None:
    """A scope sees its own images, and the images that the scopes above it share."""
    for number, (path, shared) in enumerate(
        [("", True), ("", False), ("acme", True), ("acme", False), ("acme/staging", True)]
    ):
        register(scope(path), number, shared=shared)
    admin = actor_of("scalr-admin")
    totals = {
        path: overview.load_overview(admin, scope(path)).total
        for path in ("", "acme", "acme/staging", "acme/production", "globex")
    }
    assert totals == {"": 2, "acme": 3, "acme/staging": 3, "acme/production": 2, "globex": 1}
    by_owner = charts_by_title(overview.load_overview(admin, scope("acme/staging")))["By owner"]
    assert numbers(by_owner) == {
        "Environment acme / staging": 1,
        "Account acme": 1,
        "Scalr": 1,
    }
    assert "By owner" not in charts_by_title(overview.load_overview(admin, scope("")))


def test_a_scope_without_images_has_no_charts(actor_of: ActorOf, scope: ScopeAt) -> None:
    register(scope("globex"), 1)
    assert overview.load_overview(actor_of("account-viewer"), scope("acme")) == Overview(0, ())


def test_the_needs_attention_chart_also_shows_zero(actor_of: ActorOf, scope: ScopeAt) -> None:
    register(scope("acme"), 1)
    register(scope("acme"), 2, state=ImageState.UNKNOWN, agent_installed=False)
    register(scope("acme"), 3, state=ImageState.GONE, status=LifeCycle.DEPRECATED)
    register(scope("acme"), 4, state=ImageState.DEPRECATED)
    loaded = overview.load_overview(actor_of("account-viewer"), scope("acme"))
    charts = charts_by_title(loaded)
    assert numbers(charts["Needs attention"]) == {
        "Without agent": 1,
        "Not checked": 1,
        "Deprecated": 2,
        "Retired": 0,
        "Failed or gone": 1,
    }
    assert numbers(charts["By status"]) == {
        "Active": 3,
        "Deprecated": 2,
        "Gone from the cloud": 1,
        "Not checked in the cloud": 1,
    }


def test_images_of_one_age_are_counted_up_to_a_limit(
    actor_of: ActorOf, scope: ScopeAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "VERY_MANY", 6)
    monkeypatch.setattr(overview, "COUNT_LIMIT", 2)
    acme, viewer = scope("acme"), actor_of("account-viewer")

    def add(first: int, *days: int) -> list[tuple[int, bool]]:
        for number, ago in enumerate(days, start=first):
            register(acme, number, registered_at=now() - timedelta(days=ago))
        bars = charts_by_title(overview.load_overview(viewer, acme))["By age"].bars
        return [(bar.images, bar.exact) for bar in bars]

    exact = [(2, True), (1, True), (0, True), (0, True)]
    assert add(1, 0, 29, 31) == [*exact, (0, True)]
    # If one number is above the limit, it is computed from the others. Two numbers cannot be.
    assert add(4, 800, 900, 1000, 2000) == [*exact, (4, True)]
    assert add(8, 1) == [(2, False), *exact[1:], (2, False)]


@pytest.mark.parametrize(
    ("days", "label"),
    [
        (0, "In the last 30 days"),
        (30, "In the last 30 days"),
        (31, "30 to 90 days ago"),
        (91, "90 days to a year ago"),
        (366, "1 to 2 years ago"),
        (731, "More than 2 years ago"),
        (9999, "More than 2 years ago"),
    ],
)
def test_ages_are_counted_in_whole_days(
    actor_of: ActorOf, scope: ScopeAt, days: int, label: str
) -> None:
    register(scope("acme"), 1, registered_at=now() - timedelta(days=days))
    ages = charts_by_title(overview.load_overview(actor_of("account-viewer"), scope("acme")))[
        "By age"
    ]
    assert {bar.label for bar in ages.bars if bar.images} == {label}


def test_a_bar_has_no_search_if_the_search_is_too_long(actor_of: ActorOf, scope: ScopeAt) -> None:

    def families() -> list[Bar]:
        loaded = overview.load_overview(actor_of("account-viewer"), scope("acme"))
        return list(charts_by_title(loaded)["By operating system"].bars)

    register(scope("acme"), 99, os_family="Windows")
    assert families() == [Bar("Windows", 1, "os:Windows")]
    for number in range(overview.MAX_FAMILY_BARS):
        register(scope("acme"), number, os_family=f"{number:02}" + "x" * 60)
    assert families()[-1] == Bar("Others", 1, "")


def test_bars_are_percentages_of_the_longest_bar() -> None:
    bars = tuple(Bar("", images, "") for images in (0, 1, 500, 1000))
    chart = Chart("", bars)
    assert [chart.percent(bar) for bar in bars] == [0, 0.5, 50, 100]
    nothing = Chart("", bars[:1])
    assert nothing.percent(bars[0]) == 0


def test_summed_searches_use_only_facets(db: Flask) -> None:
    """The searches whose numbers are sums of facet groups must have only terms about facets."""
    for text in (*overview.ATTENTION.values(), *overview.STATUSES.values()):
        query = parse(text)
        assert query.terms
        assert not query.problems
        assert {term.key.value for term in query.terms} <= {"agent", "verified", "status"}
