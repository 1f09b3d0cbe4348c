"""For any images and any search, the catalogue finds what a naive filter of all images finds.

This holds in every sort order, page by page, forwards and backwards.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models import Image, LifeCycle, Person, Scope, now, transaction
from tests.search import naive
from webapp.access import Actor
from webapp.clouds.base import ImageState
from webapp.people import accounts
from webapp.search import catalogue, planner
from webapp.search.catalogue import Listing
from webapp.search.language import Query, parse
from webapp.search.ordering import SORTS

PATHS = ("", "acme", "acme/production", "acme/staging", "globex")
WORDS = ("golden", "web", "Ünïcode", 'quo"te', "per%cent", "under_score", "back\\slash", "İstanbul")
TERMS = (
    "golden", "web", "ünï", '"quo\\"te"', "per%cent", "under_sc", '"back\\\\slash"', "den web",
    "ami-", "cloud:aws", "cloud:gce", "-cloud:azure", "location:eu-west-1", "os:ubuntu",
    'os:"ubuntu 24.04"', "os:Haiku", '-os:"Haiku R1"', "scope:account", "-scope:scalr",
    "owner:here", "owner:above", "shared:no", "shared:yes", "agent:no", "-agent:no", "arch:arm64",
    "status:deprecated", "-status:active", "status:gone", "verified:no", "size:>30", "size:<=8",
    "-size:>30", "size:8", "created:<2026-01-01", "created:>=2025-06-01", "-created:>2026-03-01",
    "by:me", "-by:me", 'by:"scalr-admin"', "id:00f", "-id:00a", "-golden",
)  # fmt: skip


@pytest.fixture
def many(db: Flask) -> Callable[[int], None]:
    """Return a function that fills the database with random images, from a seed."""

    def fill(seed: int, images: int = 60) -> None:
        chance = random.Random(seed)
        people_ = list(Person.select())
        scopes = [Scope.get(Scope.path == path) for path in PATHS]
        with transaction():
            Image.delete().execute()
            for number in range(images):
                _image(chance, number, chance.choice(scopes), chance.choice([None, *people_]))

    return fill


def _image(chance: random.Random, number: int, scope: Scope, person: Person | None) -> None:
    Image.create(
        scope=scope,
        cloud=chance.choice(["aws", "gce", "azure"]),
        location=chance.choice(["", "us-east-1", "eu-west-1"]),
        cloud_image_id=f"ami-{number:05x}{chance.randrange(16**3):03x}",
        name=f"{chance.choice(WORDS)} {chance.choice(WORDS)}",
        description=chance.choice(["", *WORDS]),
        **dict(
            zip(
                ("os_family", "os_version"),
                chance.choice([("ubuntu", "24.04"), ("ubuntu", "22.04"), ("Haiku", "R1")]),
                strict=True,
            )
        ),
        size_gb=chance.choice([None, 8, 30, 31, 100]),
        agent_installed=chance.random() < 0.5,
        shared=chance.random() < 0.6,
        architecture=chance.choice(["x86_64", "arm64", ""]),
        state=chance.choice(list(ImageState)),
        status=chance.choice(list(LifeCycle)),
        verified=chance.random() < 0.8,
        details={},
        credentials_name="",
        registered_by=person,
        registered_by_name=person.name if person else "Somebody gone",
        registered_at=now().replace(year=2026, month=6, day=1)
        - timedelta(days=chance.randrange(700), hours=chance.randrange(24)),
    )


@pytest.fixture(params=[5_000, 5, 0], ids=["few", "some", "many"])
def sizes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Lower the planner's limits, as if the database had few, some or very many images."""
    monkeypatch.setattr(planner, "FEW", request.param)
    monkeypatch.setattr(planner, "SAMPLE", max(request.param // 2, 2))
    monkeypatch.setattr(planner, "RARE", 2)
    return int(request.param)


def pages(actor: Actor, scope: Scope, listing: Listing) -> Iterator[catalogue.Page]:
    page = catalogue.find(actor, scope, listing)
    yield page
    left = 20
    while page.next and left:
        page = catalogue.find(actor, scope, _at(listing, after=page.next))
        left -= 1
        yield page
    assert left, "the pages repeat"


def _at(listing: Listing, **cursor: str) -> Listing:
    return Listing(listing.query, listing.sort, listing.descending, listing.size, **cursor)


def searches() -> st.SearchStrategy[Query]:
    return st.lists(st.sampled_from(TERMS), max_size=4, unique=True).map(
        lambda terms: parse(" ".join(terms))
    )


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
    many: Callable[[int], None],
    sizes: int,
    seed: int,
    query: Query,
    path: str,
    order: tuple[str, bool],
) -> None:
    assert not query.problems
    many(seed)
    scope, actor = Scope.at(path), accounts.actor_for(Person.get(name="scalr-admin"))
    assert scope is not None
    expected = {image.id for image in naive.found(actor, scope, query)}
    sort, descending = order
    listing = Listing(query, sort, descending, size=7)
    forwards = list(pages(actor, scope, listing))
    seen = [image.id for page in forwards for image in page.images]
    assert len(seen) == len(set(seen))
    assert set(seen) == expected
    for page in forwards:
        assert page.count == len(expected) if page.exact else page.count < len(expected)
    assert catalogue.count(actor, scope, query) == len(expected)
    assert {image.id for image in catalogue.iterate_images(actor, scope, query)} == expected
    opposite = Listing(query, sort, not descending, size=7)
    reversed_ = [image.id for page in pages(actor, scope, opposite) for image in page.images]
    assert reversed_ == seen[::-1]
    if len(forwards) > 1:
        back = catalogue.find(actor, scope, _at(listing, before=forwards[-1].previous))
        assert [image.id for image in back.images] == [image.id for image in forwards[-2].images]
