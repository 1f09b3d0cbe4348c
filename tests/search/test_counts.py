"""Counts are exact up to a limit, and lower bounds with a plus above it."""

from __future__ import annotations

import pytest

from models import Image, Scope, now, transaction
from tests.conftest import ActorOf, MakeImage, ScopeAt
from webapp.access import Actor
from webapp.search import catalogue, planner
from webapp.search.catalogue import Listing
from webapp.search.conditions import scope_slices
from webapp.search.counts import Count, round_down
from webapp.search.ordering import Order
from webapp.search.parser import parse


@pytest.mark.parametrize(
    ("count", "rounded"),
    [
        (0, 0), (1, 1), (4, 2), (9, 5), (10, 10), (19, 10), (463, 200), (999, 500), (1_000, 1_000),
        (9_999, 5_000), (49_999, 20_000), (56_880, 50_000), (100_000, 100_000), (-1, 0),
    ],
)  # fmt: skip
def test_a_count_is_rounded_down_to_one_two_or_five(count: int, rounded: int) -> None:
    assert round_down(count) == rounded


def test_a_plus_says_that_there_are_more() -> None:
    assert Count(1_215).text == "1,215"
    assert Count(10_000, exact=False).text == "10,000+"
    assert Count(50, exact=False, counted=False).text == "50+"


@pytest.fixture
def actor(actor_of: ActorOf, monkeypatch: pytest.MonkeyPatch) -> Actor:
    """Return a person. Lower the planner's limits, so that a few images count as very many."""
    monkeypatch.setattr(planner, "FEW", 3)
    monkeypatch.setattr(planner, "SAMPLE", 2)
    monkeypatch.setattr(planner, "RARE", 1)
    monkeypatch.setattr(planner, "COUNT_LIMIT", 20)
    return actor_of("scalr-admin")


SEARCHES = (
    "golden",
    "golden cloud:aws",
    "golden -silver",
    "-silver",
    "-silver cloud:aws",
    "size:>1",
    "size:>1 golden",
    "size:>1 by:Pipeline",
    "created:>2000-01-01 golden",
    "id:ami-",
    "映",
    "映像",
    "の映像",
    "本番 golden",
)


def create_images(path: str, numbers: range, name: str = "golden") -> None:
    """Create images without the checks of a registration, to save time."""
    scope = Scope.at(path)
    with transaction():
        for number in numbers:
            Image.create(
                scope=scope,
                cloud="aws",
                location="us-east-1",
                cloud_image_id=f"ami-{number:017x}" if name == "golden" else f"x-{number}",
                name=name,
                description="本番用の映像" if name == "golden" else "",
                os_family="ubuntu",
                os_version="24.04",
                size_gb=8 if name == "golden" else None,
                agent_installed=True,
                shared=False,
                state="available",
                details={},
                credentials_name="",
                registered_by_name="Pipeline",
                registered_at=now(),
            )


@pytest.mark.parametrize("images", [0, 1, 3, 4, 19, 20, 21, 22])
def test_the_count_is_exact_up_to_the_limit(actor: Actor, scope: ScopeAt, images: int) -> None:
    create_images("acme", range(images))
    create_images("acme", range(100, 105), "silver")
    create_images("globex", range(200, 230))
    for text in SEARCHES:
        count = catalogue.count_matches(actor, scope("acme"), parse(text))
        assert count.text == (str(images) if images <= 20 else "20+"), text


def test_paging_reaches_all_results_and_no_page_shows_too_many(
    actor: Actor, scope: ScopeAt
) -> None:
    create_images("acme", range(45))
    create_images("acme", range(100, 105), "silver")
    for text in SEARCHES:
        query, seen, after = parse(text), set(), ""
        while True:
            page = catalogue.find_page(actor, scope("acme"), Listing(query, size=9, after=after))
            seen |= {image.id for image in page.images}
            assert page.count.number < 45
            assert not page.count.exact
            if page.count.counted:
                assert page.count == catalogue.count_matches(actor, scope("acme"), query)
            if not page.next:
                break
            after = page.next
        assert len(seen) == 45, text


def test_only_terms_about_facets_are_counted_without_a_limit(actor: Actor, scope: ScopeAt) -> None:
    create_images("acme", range(25))
    for text in ("", "cloud:aws", "owner:here", "-cloud:gce owner:here"):
        page = catalogue.find_page(actor, scope("acme"), Listing(parse(text)))
        assert page.count == catalogue.count_matches(actor, scope("acme"), parse(text)) == Count(25)


def test_a_scan_leaves_out_slices_without_images_in_a_range(
    actor: Actor, scope: ScopeAt, make_image: MakeImage
) -> None:
    for number in range(5):
        make_image("acme", number, size_gb=200)
        make_image("", number + 5, size_gb=8)
    query, order = parse("size:>150"), Order("created", descending=True)
    slices = scope_slices(scope("acme"), query)
    search = planner.Search(actor, slices, query, order, None, size=2)
    found = search.page()
    assert [row.image.size_gb for row in found.rows] == [200] * 3
    assert [each.scope.path for each in search.slices] == ["acme"]


@pytest.mark.parametrize("sample", [2, 8])
def test_a_scan_for_words_ends_in_slices_without_matches(
    actor: Actor,
    scope: ScopeAt,
    make_image: MakeImage,
    monkeypatch: pytest.MonkeyPatch,
    sample: int,
) -> None:
    monkeypatch.setattr(planner, "SAMPLE", sample)
    monkeypatch.setattr(planner.Search, "_few_images_contain_words", lambda _self: False)
    monkeypatch.setattr(planner, "is_sqlite", lambda: False)  # Only PostgreSQL uses the sample.
    limits = []
    key_after_images = planner.Search._key_after_images

    def record(search: planner.Search, skipped: int) -> object:
        limits.append(skipped)
        return key_after_images(search, skipped)

    monkeypatch.setattr(planner.Search, "_key_after_images", record)
    for number in range(5):
        make_image("", number, name="silver")
        make_image("acme", number + 5, name="golden")
    query, order = parse("golden"), Order("created", descending=True)
    slices = scope_slices(scope("acme"), query)
    found = planner.Search(actor, slices, query, order, None, size=2).page()
    assert [row.image.name for row in found.rows] == ["golden"] * 3
    assert limits == [sample if sample == 8 else planner.FEW]
