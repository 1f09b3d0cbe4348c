"""For any images and any search, the catalogue finds the same images as a naive filter.

The tests compare the results in every sort order, page by page, forwards and backwards.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import chain

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models import Image, Person, Scope, transaction
from tests.search import naive
from tests.search.random_images import PATHS, TERMS, create_random_image
from webapp.access import Actor
from webapp.people import accounts
from webapp.search import catalogue, planner
from webapp.search.catalogue import Listing
from webapp.search.ordering import SORTS
from webapp.search.parser import parse
from webapp.search.query import Query


@pytest.fixture
def fill_database(db: Flask) -> Callable[[int], None]:
    """Return a function that replaces all images by random images. A seed determines the images."""

    def fill(seed: int, images: int = 60) -> None:
        chance = random.Random(seed)
        people = list(Person.select())
        scopes = [Scope.get(Scope.path == path) for path in PATHS]
        with transaction():
            Image.delete().execute()
            for number in range(images):
                create_random_image(
                    chance, number, chance.choice(scopes), chance.choice([None, *people])
                )

    return fill


@pytest.fixture(params=[5_000, 5, 0], ids=["few", "some", "many"])
def planner_limit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Set the planner's limits as if the database had few, some or very many images."""
    monkeypatch.setattr(planner, "FEW", request.param)
    monkeypatch.setattr(planner, "SAMPLE", max(request.param // 2, 2))
    monkeypatch.setattr(planner, "RARE", 2)
    monkeypatch.setattr(planner, "MANY", request.param * 4)
    monkeypatch.setattr(planner, "VALUES_PER_STATEMENT", 1)
    monkeypatch.setattr(planner, "COUNT_LIMIT", request.param * 2)
    return int(request.param)


def pages(actor: Actor, scope: Scope, listing: Listing) -> Iterator[catalogue.Page]:
    page = catalogue.find_page(actor, scope, listing)
    yield page
    pages_left = 20
    while page.next and pages_left:
        page = catalogue.find_page(actor, scope, _at(listing, after=page.next))
        pages_left -= 1
        yield page
    assert pages_left, "the pages repeat"


def _at(listing: Listing, **cursor: str) -> Listing:
    return Listing(listing.query, listing.sort, listing.descending, listing.size, **cursor)


def searches() -> st.SearchStrategy[Query]:
    """Return searches with up to four terms. Half of the searches include the scopes below."""
    terms = st.lists(st.sampled_from(TERMS), max_size=4, unique=True)
    below = st.sampled_from([[], ["in:below"]])
    return st.builds(lambda *terms: parse(" ".join(chain(*terms))), terms, below)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 5),
    query=searches(),
    path=st.sampled_from(PATHS),
    order=st.tuples(st.sampled_from(list(SORTS)), st.booleans()),
)
def test_the_catalogue_equals_a_naive_filter(
    fill_database: Callable[[int], None],
    planner_limit: int,
    seed: int,
    query: Query,
    path: str,
    order: tuple[str, bool],
) -> None:
    assert not query.problems
    fill_database(seed)
    scope, actor = Scope.at(path), accounts.actor_for(Person.get(name="scalr-admin"))
    assert scope is not None
    expected = {image.id for image in naive.matching_images(actor, scope, query)}
    sort, descending = order
    listing = Listing(query, sort, descending, size=7)
    forwards = list(pages(actor, scope, listing))
    seen = [image.id for page in forwards for image in page.images]
    assert len(seen) == len(set(seen))
    assert set(seen) == expected
    for page in forwards:
        number = page.count.number
        assert number == len(expected) if page.count.exact else number < len(expected)
    counted = catalogue.count_matches(actor, scope, query)
    assert counted.counted
    if counted.exact:
        assert counted.number == len(expected)
    else:
        assert counted.number == planner.COUNT_LIMIT < len(expected)
    assert catalogue.count_images(actor, scope, query) == len(expected)
    assert {image.id for image in catalogue.iterate_images(actor, scope, query)} == expected
    opposite = Listing(query, sort, not descending, size=7)
    from_the_end = [image.id for page in pages(actor, scope, opposite) for image in page.images]
    assert from_the_end == seen[::-1]
    if len(forwards) > 1:
        back = catalogue.find_page(actor, scope, _at(listing, before=forwards[-1].previous))
        assert [image.id for image in back.images] == [image.id for image in forwards[-2].images]
