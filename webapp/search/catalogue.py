"""What a scope sees: its own images and those that it inherits, searched, sorted, paged and
counted. Visibility is part of the query, never of a template. How a page is found without going
through all images is in `webapp.search.planner`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from peewee import Field

from models import Image, Scope
from webapp.access import Actor
from webapp.search import conditions as matching
from webapp.search import planner as finding
from webapp.search import rows as listed
from webapp.search.conditions import Shelf
from webapp.search.language import EVERYTHING, Query
from webapp.search.ordering import Order
from webapp.search.rows import ListedImage

CHUNK = 1_000
"""Of images that are read one after the other."""

_FIELDS: dict[str, Field] = Image._meta.fields  # noqa: SLF001  the only way to name them all
READ = [field for name, field in _FIELDS.items() if name not in {"details", "search_text"}]
"""What is read of images that are gone through: the others take longer than the rest."""


@dataclass(frozen=True)
class Listing:
    """One state of the Images page; every part of it stands in the address. `after` and `before`
    are cursors that an earlier page gave."""

    query: Query = EVERYTHING
    sort: str = "created"
    descending: bool = True
    size: int = 50
    after: str = ""
    before: str = ""


@dataclass(frozen=True)
class Page:
    """One page of results. `count` is of all of them, not of the page; where it is not `exact`
    there are more. The cursors are '' where there is no such page."""

    images: list[ListedImage]
    count: int
    exact: bool
    previous: str
    next: str


def find(actor: Actor, scope: Scope, listing: Listing) -> Page:
    """One page of what `scope` sees. A cursor that cannot be read means the first page."""
    shelves = matching.shelves(scope, listing.query)
    order = Order(listing.sort, falling=listing.descending != bool(listing.before))
    cursor = order.read(listing.before or listing.after)
    backwards = bool(listing.before)
    if backwards and cursor is None:
        return find(actor, scope, replace(listing, before=""))
    search = finding.Search(actor, shelves, listing.query, order, cursor, listing.size)
    places, counted, exact = search.page()
    more, places = len(places) > listing.size, places[: listing.size]
    if backwards:
        if not more:
            # So close to the first page that it is that one.
            return find(actor, scope, replace(listing, before=""))
        places.reverse()
    before = more if backwards else cursor is not None
    after = more or backwards
    return Page(
        images=listed.read([place[-1] for place in places], shelves),
        count=counted,
        exact=exact,
        previous=order.written(places[0]) if places and before else "",
        next=order.written(places[-1]) if places and after else "",
    )


def get(scope: Scope, image_id: int) -> Image | None:
    """An image that `scope` owns or inherits."""
    image: Image | None = Image.get_or_none((Image.id == image_id) & Image.seen_from(scope))
    return image


def count(actor: Actor, scope: Scope, query: Query, *, own: bool = False) -> int:
    """How many match, exactly, however long that takes."""
    shelves = matching.shelves(scope, query, own=own)
    conditions = matching.of_each(query, actor)
    if not conditions:
        return finding.in_groups(shelves, query)
    conditions += matching.facets(Image, query)
    return sum(Image.select().where(each.holds(), *conditions).count() for each in shelves)


def each(actor: Actor, scope: Scope, query: Query, *, own: bool = False) -> Iterator[Image]:
    """All that match, without their details: shelf by shelf in the order of ids, read in chunks,
    so that what is registered or deleted meanwhile does not disturb the others."""
    conditions = [*matching.facets(Image, query), *matching.of_each(query, actor)]
    for shelf in matching.shelves(scope, query, own=own):
        last = 0
        while rows := _chunk(shelf, last, conditions):
            for image in rows:
                image.scope = shelf.scope
                yield image
            last = rows[-1].id


def _chunk(shelf: Shelf, last: int, conditions: Sequence[Any]) -> list[Image]:
    following = shelf.holds(), Image.id > last, *conditions
    return list(Image.select(*READ).where(*following).order_by(Image.id).limit(CHUNK))


def is_empty(scope: Scope) -> bool:
    return not finding.in_groups(matching.shelves(scope, EVERYTHING), EVERYTHING)
