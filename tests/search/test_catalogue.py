"""The images that a scope sees, their order and their count."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from models import Level, Scope
from tests.conftest import ActorOf, MakeImage, ScopeAt
from webapp.search import catalogue, facets, planner
from webapp.search.catalogue import Listing
from webapp.search.counts import Count
from webapp.search.keys import Key
from webapp.search.ordering import SORTS, Order
from webapp.search.parser import parse
from webapp.search.query import OWNED_OR_INHERITED


@pytest.fixture
def names(actor_of: ActorOf, scope: ScopeAt) -> Callable[..., list[str]]:
    """Return a function that returns the names of the images that a search finds, in order."""

    def names(path: str, text: str = "", **listing: object) -> list[str]:
        state = Listing(parse(text), **listing)  # type: ignore[arg-type]
        page = catalogue.find_page(actor_of("scalr-admin"), scope(path), state)
        return [image.name for image in page.images]

    return names


Names = Callable[..., list[str]]


@pytest.fixture
def four_images(make_image: MakeImage) -> None:
    """Create two images of Scalr, of which one is shared, and images of acme and production."""
    make_image("", 1, name="of Scalr")
    make_image("", 2, name="not shared by Scalr", shared=False)
    make_image("acme", 3, name="of acme", os_family="debian", os_version="12")
    make_image("acme/production", 4, name="of production", location="eu-west-1")


@pytest.mark.usefixtures("four_images")
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", {"of Scalr", "not shared by Scalr"}),
        ("acme", {"of Scalr", "of acme"}),
        ("acme/production", {"of Scalr", "of acme", "of production"}),
        ("acme/staging", {"of Scalr", "of acme"}),
        ("globex/lab", {"of Scalr"}),
    ],
)
def test_a_scope_sees_its_own_and_inherited_images(
    names: Names, actor_of: ActorOf, scope: ScopeAt, path: str, expected: set[str]
) -> None:
    assert set(names(path)) == expected
    actor, here = actor_of("scalr-admin"), scope(path)
    page = catalogue.find_page(actor, here, Listing())
    assert page.count == Count(len(expected))
    assert all(catalogue.find_visible_image(here, image.id) for image in page.images)
    own = {
        image.name
        for image in catalogue.iterate_images(actor, here, OWNED_OR_INHERITED, owned_only=True)
    }
    assert own == {image.name for image in page.images if image.scope_id == here.id}
    assert catalogue.count_images(actor, here, OWNED_OR_INHERITED, owned_only=True) == len(own)


@pytest.mark.usefixtures("four_images")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PROD", {"of production"}),
        ("location:eu-west-1", {"of production"}),
        ("ami-00000000000000003", {"of acme"}),
        ("id:0003", {"of acme"}),
        ("os:debian", {"of acme"}),
        ("os:bookworm", {"of acme"}),
        ('os:"debian 24.04"', set()),
        ("100%", set()),
        ("scope:scalr", {"of Scalr"}),
        ("owner:here", {"of production"}),
        ("cloud:azure", set()),
        ('"of " os:ubuntu', {"of Scalr", "of production"}),
    ],
)
def test_a_search_finds_the_matching_images(names: Names, text: str, expected: set[str]) -> None:
    assert set(names("acme/production", text)) == expected


def test_versions_are_sorted_as_numbers(make_image: MakeImage, names: Names) -> None:
    for number, version in enumerate(("10", "9", "9.10", "9.9"), start=1):
        make_image("acme", number, name=f"v{version}", os_family="rhel", os_version=version)
    assert names("acme", sort="os", descending=False) == ["v9", "v9.9", "v9.10", "v10"]


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize(
    "cursor",
    ["", "x", "%%%", "W10", "WzFd", "WzEsMl0", "W251bGwsMV0", "WyJhIiwiYiIsImMiLDFd", "eyJhIjoxfQ"],
)
def test_any_text_can_be_a_cursor(
    make_image: MakeImage, actor_of: ActorOf, scope: ScopeAt, sort: str, cursor: str
) -> None:
    make_image("acme")
    for listing in (Listing(sort=sort, after=cursor), Listing(sort=sort, before=cursor)):
        assert catalogue.find_page(actor_of("scalr-admin"), scope("acme"), listing).count.exact
    assert Order(sort, descending=True).parse_cursor("x" * 10_000) is None


def test_without_images_before_the_cursor_the_first_page_is_shown(
    make_image: MakeImage, actor_of: ActorOf, scope: ScopeAt
) -> None:
    for number in (1, 2, 3):
        make_image("acme", number, name=f"v{number}")
    actor, listing = actor_of("scalr-admin"), Listing(sort="name", descending=False, size=1)
    after = catalogue.find_page(actor, scope("acme"), listing).next
    second = catalogue.find_page(actor, scope("acme"), replace(listing, after=after))
    assert [image.name for image in second.images] == ["v2"]
    for before in ("x", second.previous):
        both = replace(listing, after=after, before=before)
        page = catalogue.find_page(actor, scope("acme"), both)
        assert [image.name for image in page.images] == ["v1"]


def test_a_page_whose_images_were_deleted_counts_none(
    make_image: MakeImage, actor_of: ActorOf, scope: ScopeAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planner, "FEW", 0)
    image = make_image("acme", name="golden")
    listing = Listing(parse("-golden"), "name", descending=False)
    listing = replace(listing, after=Order("name", descending=False).cursor((image.name_key, 1)))
    page = catalogue.find_page(actor_of("scalr-admin"), scope("acme"), listing)
    assert (page.images, page.count) == ([], Count(0))


def test_filter_menus_consider_the_other_filters(
    make_image: MakeImage, scope: ScopeAt, names: Names
) -> None:
    assert facets.filter_menus(scope("acme"), OWNED_OR_INHERITED) == []
    make_image("acme", 1, os_family="debian")
    make_image("acme", 2, os_family="ubuntu", agent_installed=False)
    make_image("globex", 3, os_family="rhel")
    menus = {
        menu.label: menu
        for menu in facets.filter_menus(scope("acme/production"), parse("agent:no"))
    }
    assert [(each.label, each.images) for each in menus["OS"].choices] == [("Ubuntu", 1)]
    agents = [(each.label, each.images, each.chosen) for each in menus["Scalr agent"].choices]
    assert sorted(agents) == [("No", 1, True), ("Yes", 1, False)]
    assert str(menus["OS"].choices[0].query) == "agent:no os:ubuntu"
    assert facets.visible_values(scope("acme"), OWNED_OR_INHERITED, [Key.OS])[Key.OS] == [
        "debian",
        "ubuntu",
    ]


def test_a_cursor_with_an_instant_before_utc_begins_is_invalid() -> None:
    text = json.dumps(["0001-01-01T00:00:00+23:59", 1]).encode()
    cursor = base64.urlsafe_b64encode(text).decode().rstrip("=")
    assert Order("created", descending=True).parse_cursor(cursor) is None


def test_a_cursor_with_a_size_too_large_for_its_column_is_invalid() -> None:
    cursor = base64.urlsafe_b64encode(json.dumps([10**30, 1]).encode()).decode().rstrip("=")
    assert Order("size", descending=True).parse_cursor(cursor) is None


@pytest.mark.usefixtures("db")
def test_a_scope_has_a_lineage_before_it_is_stored(scope: ScopeAt) -> None:
    parent = scope("acme")
    child = Scope(level=Level.ENVIRONMENT, parent=parent, path="acme/new", name="new")
    assert [each.path for each in child.lineage] == ["acme/new", "acme", ""]
