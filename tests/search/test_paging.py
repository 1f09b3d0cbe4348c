"""Paging while another thread registers and deletes images.

Every image that exists during the whole test must be on exactly one page.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from flask import Flask

import models
from models import Image, Scope, now, transaction
from tests.conftest import ActorOf, ScopeAt
from webapp.access import Actor
from webapp.search import catalogue
from webapp.search.catalogue import Listing
from webapp.search.ordering import SORTS, Order
from webapp.search.parser import parse
from webapp.search.query import Query
from webapp.search.rows import ListedImage

IMAGES = 5_000
PAGE = 250
Direction = Callable[[Actor, Scope, Query, str], Iterator[Image]]


def create_image(number: int, scope: Scope, chance: random.Random) -> Image:
    created = Image(
        scope=scope,
        cloud="aws",
        location="us-east-1",
        cloud_image_id=f"ami-{number:017x}",
        name=f"{chance.choice(['golden', 'plain'])}-{chance.randrange(500)}",
        os_family="ubuntu",
        os_version="24.04",
        agent_installed=True,
        shared=scope.path != "acme/production",
        state="available",
        details={},
        credentials_name="",
        registered_by_name="Pipeline",
        registered_at=now() - timedelta(hours=chance.randrange(1000)),
    )
    created.derive()
    return created


@pytest.fixture
def permanent_images(db: Flask, scope: ScopeAt) -> set[int]:
    """Create images in three scopes. Return the IDs of the images that no thread deletes."""
    chance = random.Random(7)
    scopes = [scope(path) for path in ("", "acme", "acme/production")]
    with transaction():
        for number in range(IMAGES):
            create_image(number, chance.choice(scopes), chance).save(force_insert=True)
    return {each.id for each in Image.select(Image.id) if each.id % 10}


@contextmanager
def concurrent_changes(scope: Scope) -> Iterator[threading.Event]:
    """Register images, and delete every tenth image, in another thread.

    Yield an event that is set after the thread's first change.
    """
    chance, stop, has_written = random.Random(8), threading.Event(), threading.Event()

    def change_images() -> None:
        with models.database.connection_context():
            number = IMAGES
            to_delete = [each.id for each in Image.select(Image.id) if each.id % 10 == 0]
            while not stop.wait(0.02):
                with transaction():
                    for _ in range(5):
                        number += 1
                        create_image(number, scope, chance).save(force_insert=True)
                    if to_delete:
                        Image.delete().where(Image.id == to_delete.pop()).execute()
                has_written.set()

    thread = threading.Thread(target=change_images)
    thread.start()
    try:
        yield has_written
    finally:
        stop.set()
        thread.join()


def page_forwards(actor: Actor, scope: Scope, query: Query, sort: str) -> Iterator[ListedImage]:
    page = catalogue.find_page(actor, scope, Listing(query, sort, size=PAGE))
    yield from page.images
    while page.next:
        page = catalogue.find_page(actor, scope, Listing(query, sort, size=PAGE, after=page.next))
        yield from page.images


def page_backwards(actor: Actor, scope: Scope, query: Query, sort: str) -> Iterator[ListedImage]:
    """Yield the images of each page, from the last page to the first page.

    The first page is always full, so it may repeat images of the second page.
    """
    first = catalogue.find_page(actor, scope, Listing(query, sort, descending=False, size=PAGE))
    last = Order(sort, descending=True).cursor((*_keys(first.images[0], sort), 0))
    seen: set[int] = set()
    page = catalogue.find_page(actor, scope, Listing(query, sort, size=PAGE, before=last))
    while True:
        new_images = [image for image in page.images if page.previous or image.id not in seen]
        seen |= {image.id for image in new_images}
        yield from new_images
        if not page.previous:
            return
        page = catalogue.find_page(
            actor, scope, Listing(query, sort, size=PAGE, before=page.previous)
        )


def _keys(listed: ListedImage, sort: str) -> tuple[object, ...]:
    """Return the values that an image is sorted by. `ListedImage` does not have all of them."""
    image = Image.get_by_id(listed.id)
    return tuple(getattr(image, name) for name in SORTS[sort])


@pytest.mark.parametrize("direction", [page_forwards, page_backwards])
def test_every_permanent_image_is_on_exactly_one_page(
    permanent_images: set[int], actor_of: ActorOf, scope: ScopeAt, direction: Direction
) -> None:
    actor, production = actor_of("scalr-admin"), scope("acme/production")
    assert len(permanent_images) == IMAGES * 9 / 10
    golden = {each.id for each in Image.select().where(Image.name.startswith("golden"))}
    cases = [("", sort, permanent_images) for sort in ("created", "name", "agent")]
    cases += [("golden os:ubuntu", "name", permanent_images & golden)]
    with concurrent_changes(production) as has_written:
        assert has_written.wait(10)
        for text, sort, expected in cases:
            seen = [image.id for image in direction(actor, production, parse(text), sort)]
            assert len(seen) == len(set(seen)), (text, sort)
            assert expected <= set(seen), (text, sort)
    assert Image.select().where(Image.id > IMAGES).count() > 5
