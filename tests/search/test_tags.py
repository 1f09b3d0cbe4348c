"""Counting tags, for the Filters panel, the Overview page and suggestions."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from models import Image
from tests.conftest import ActorOf, ClientOf, MakeImage, ScopeAt
from tests.search import naive
from webapp.search import catalogue, facets, overview, planner, suggestions, tags
from webapp.search import tag_menu as tag_menu_module
from webapp.search.catalogue import Listing
from webapp.search.conditions import required_tokens, scope_slices
from webapp.search.facets import Menu
from webapp.search.keys import Key
from webapp.search.parser import parse
from webapp.search.query import OWNED_OR_INHERITED, Query, Term


@pytest.fixture
def tagged_images(make_image: MakeImage) -> None:
    make_image("", 1, tags=["Team=Web", "cis"])
    make_image("acme", 2, tags=["team=web"], os_family="debian", os_version="12")
    make_image("acme", 3, tags=["team=db"], shared=False)
    make_image("acme", 4)
    make_image("globex", 5, tags=["secret"])
    make_image("acme/staging", 6, tags=["below"])


def tag_menu(scope_at: ScopeAt, text: str, path: str = "acme") -> dict[str, tuple[int | None, str]]:
    """Return the number and the search of each choice of the menu, by its label."""
    menus = facets.filter_menus(scope_at(path), parse(text))
    menu = next((each for each in menus if each.label == "Tag"), Menu("Tag", []))
    return {each.label: (each.images, str(each.query)) for each in menu.choices}


@pytest.mark.usefixtures("tagged_images")
def test_the_menu_counts_the_tags_of_visible_images(scope: ScopeAt) -> None:
    assert tag_menu(scope, "") == {
        "Team=…": (3, "tag:team"),
        "Team=Web": (2, "tag:team=web"),
        "cis": (1, "tag:cis"),
        "team=db": (1, "tag:team=db"),
    }
    assert tag_menu(scope, "owner:here").keys() == {"team=…", "team=web", "team=db"}
    assert tag_menu(scope, "", "acme/production").keys() == {"Team=Web", "cis"}


@pytest.mark.usefixtures("tagged_images")
def test_the_menu_counts_the_tags_of_the_scopes_below(scope: ScopeAt) -> None:
    assert tag_menu(scope, "in:below")["below"] == (1, "in:below tag:below")
    found = tag_menu(scope, "in:below", "")
    assert {label: number for label, (number, _) in found.items()} == {
        "Team=…": 3,
        "Team=Web": 2,
        "below": 1,
        "cis": 1,
        "secret": 1,
        "team=db": 1,
    }


@pytest.mark.usefixtures("tagged_images")
def test_the_menu_counts_images_that_match_the_other_filters_and_tags(scope: ScopeAt) -> None:
    assert tag_menu(scope, "os:debian") == {"team=web": (1, "os:debian tag:team=web")}
    assert tag_menu(scope, "os:debian tag:team")["team=…"] == (1, "os:debian")
    found = tag_menu(scope, "tag:team=web -os:debian")
    assert found["cis"] == (1, "tag:team=web -os:debian tag:cis")
    assert found["Team=Web"] == (1, "-os:debian")
    assert "team=db" not in found
    assert tag_menu(scope, "tag:nothing") == {"nothing": (0, "")}


@pytest.mark.usefixtures("tagged_images")
def test_the_menu_has_no_numbers_if_counting_takes_too_long(
    scope: ScopeAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tag_menu_module, "MAX_COUNTED_IMAGES", 0)
    assert {number for number, _ in tag_menu(scope, "os:ubuntu").values()} == {None}
    assert tag_menu(scope, "")["Team=…"] == (3, "tag:team")


@pytest.mark.usefixtures("tagged_images")
def test_every_number_on_the_overview_is_found_by_its_search(
    actor_of: ActorOf, scope: ScopeAt
) -> None:
    actor, acme = actor_of("account-viewer"), scope("acme")
    charts = {each.title: each for each in overview.load_overview(actor, acme).charts}
    bars = charts["By tag"].bars
    assert [(bar.label, bar.images) for bar in bars] == [
        ("Team=Web", 2),
        ("cis", 1),
        ("team=db", 1),
    ]
    for bar in bars:
        page = catalogue.find_page(actor, acme, Listing(parse(bar.search)))
        assert page.count.number == bar.images


@pytest.mark.usefixtures("tagged_images")
@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("tag:we", {"tag:team=web"}),
        ("tag:TEAM", {"tag:team", "tag:team=web", "tag:team=db"}),
        ("-tag:ci", {"-tag:cis"}),
        ("cis", {"tag:cis"}),
        ("tag:sec", set()),
        ("tag:below", set()),
    ],
)
def test_suggestions_are_tags_of_visible_images(
    scope: ScopeAt, typed: str, expected: set[str]
) -> None:
    found = suggestions.suggest(scope("acme"), typed, len(typed))
    assert {each.label for each in found} == expected


@pytest.mark.usefixtures("tagged_images")
@pytest.mark.parametrize(
    ("text", "number"),
    [("tag:te", 3), ("tag:team=w", 2), ("-tag:te", 1), ("tag:secre", 0), ("tag:te tag:ci", 1)],
)
@pytest.mark.parametrize("few", [5_000, 1, 0])
def test_an_unfinished_tag_finds_every_tag_that_begins_with_it(
    actor_of: ActorOf,
    scope: ScopeAt,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    number: int,
    few: int,
) -> None:
    monkeypatch.setattr(planner, "FEW", few)
    acme, actor = scope("acme"), actor_of("account-viewer")
    query = catalogue.parse_search(acme, text)
    assert not query.problems
    page = catalogue.find_page(actor, acme, Listing(query))
    assert len(page.images) == number
    assert catalogue.count_matches(actor, acme, query).number == number


@pytest.mark.usefixtures("tagged_images")
def test_forms_suggest_the_tags_of_visible_images(client_of: ClientOf) -> None:
    image = Image.get(Image.name == "noble", Image.shared == False)  # noqa: E712  SQL
    page = client_of("account-editor").get(f"/account/acme/images/{image.id}/edit").text
    for tag in ("Team=", "Team=Web", "cis", "team=db"):
        assert f'<option value="{tag}">' in page
    assert 'value="secret"' not in page
    assert 'value="below"' not in page


def test_a_rare_tag_is_found_by_its_beginning(
    make_image: MakeImage, scope: ScopeAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tags, "MAX_READ", 1)
    make_image("acme", 1, tags=["common"])
    make_image("acme", 2, tags=["common", "rare"])
    slices = scope_slices(scope("acme"), OWNED_OR_INHERITED)
    assert [use.token for use in tags.most_frequent(slices, 5, "ra")] == ["rare"]
    assert tags.most_frequent(slices, 5, "are") == []
    assert tags.uses_of(slices, ["rare", "none"]) == [tags.TagUse("rare", "rare", 1)]


@pytest.mark.parametrize("few", [0, 2, 5_000])
@pytest.mark.parametrize(
    "text",
    [
        "tag:old",
        "tag:old cloud:aws",
        "tag:old tag:team=web",
        "tag:team=web tag:old golden",
        "tag:ol os:debian",
        "tag:team created:<2026-01-05",
        "tag:old -tag:team",
        "in:below tag:old cloud:aws -os:debian",
        "tag:old tag:none",
    ],
)
def test_images_with_a_tag_and_other_terms_are_listed_in_order(
    make_image: MakeImage,
    scope: ScopeAt,
    actor_of: ActorOf,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    few: int,
) -> None:
    monkeypatch.setattr(planner, "FEW", few)
    monkeypatch.setattr(planner, "SAMPLE", 1)
    for number in range(12):
        image_tags = ["old"] if number < 6 else []
        image_tags += ["team=web"] if number % 3 == 1 else []
        image = make_image(
            "acme/production" if number == 3 else "acme",
            number,
            name=f"{'golden' if number % 2 else 'silver'} {number}",
            tags=image_tags,
            **({"os_family": "debian", "os_version": "12"} if number % 4 == 0 else {}),
        )
        image.registered_at = datetime(2026, 1, 1 + number // 2, tzinfo=UTC)
        image.save()
    acme, actor = scope("acme"), actor_of("scalr-admin")
    query = catalogue.parse_search(acme, text)
    assert not query.problems
    finished = catalogue.parse_search(acme, text.replace("tag:ol ", "tag:old "))
    expected = naive.matching_images(actor, acme, finished)
    assert bool(expected) is ("none" not in text)
    expected.sort(key=lambda image: (image.registered_at, image.id))
    for descending in (True, False):
        found: list[int] = []
        page = catalogue.find_page(actor, acme, Listing(query, descending=descending, size=2))
        found += [image.id for image in page.images]
        while page.next:
            listing = Listing(query, descending=descending, size=2, after=page.next)
            page = catalogue.find_page(actor, acme, listing)
            found += [image.id for image in page.images]
        ids = [image.id for image in expected]
        assert found == (ids[::-1] if descending else ids)


def test_a_key_stands_for_its_tags() -> None:
    term = Term(Key.TAG, "te", completions=(("team",), ("team=web",), ("test=a",), ("te",)))
    assert required_tokens(Query((term,), (), "")) == [("team", "test=a", "te")]
