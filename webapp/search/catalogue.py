"""The images that a scope sees: searched, sorted, paged and counted.

A scope sees its own images and the shared images of the scopes above it. Visibility is part of
every query, never of a template. `webapp.search.planner` finds a page without reading all images.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from peewee import Field

from models import Image, Scope
from webapp.access import Actor
from webapp.search import conditions, planner, sql
from webapp.search.conditions import ScopeSlice
from webapp.search.language import EVERYTHING, Query
from webapp.search.ordering import Order
from webapp.search.rows import ListedImage
from webapp.search.sql import Sql

CHUNK = 1_000
"""Images that `iterate_images` reads at once."""

_FIELDS: dict[str, Field] = Image._meta.fields  # noqa: SLF001  the only way to name them all
LIST_COLUMNS = [field for name, field in _FIELDS.items() if name not in {"details", "search_text"}]
"""The columns to read for many images. The others take longer to read than all of these."""


@dataclass(frozen=True)
class Listing:
    """One state of the Images page, which the URL of the page contains completely.

    `after` and `before` are cursors that an earlier page returned.
    """

    query: Query = EVERYTHING
    sort: str = "created"
    descending: bool = True
    size: int = 50
    after: str = ""
    before: str = ""


@dataclass(frozen=True)
class Page:
    """One page of results.

    `count` is the number of results on all pages; if it is not `exact`, there are more. `previous`
    and `next` are the cursors of the neighboring pages, '' if there is no such page.
    """

    images: list[ListedImage]
    count: int
    exact: bool
    previous: str
    next: str


def find_page(actor: Actor, scope: Scope, listing: Listing) -> Page:
    """Return one page of the images that `scope` sees. An invalid cursor means the first page."""
    slices = conditions.scope_slices(scope, listing.query)
    backwards = bool(listing.before)
    order = Order(listing.sort, descending=listing.descending != backwards)
    cursor = order.parse_cursor(listing.before or listing.after)
    first_page = replace(listing, before="")
    if backwards and cursor is None:
        return find_page(actor, scope, first_page)
    search = planner.Search(actor, slices, listing.query, order, cursor, listing.size)
    rows, count, exact = search.page()
    has_more, rows = len(rows) > listing.size, rows[: listing.size]
    if backwards:
        if not has_more:
            # These rows are the first page or a part of it.
            return find_page(actor, scope, first_page)
        rows.reverse()
    has_previous = has_more if backwards else cursor is not None
    has_next = has_more or backwards
    return Page(
        images=[row.image for row in rows],
        count=count,
        exact=exact,
        previous=order.cursor(rows[0].key) if rows and has_previous else "",
        next=order.cursor(rows[-1].key) if rows and has_next else "",
    )


def find_visible_image(scope: Scope, image_id: int) -> Image | None:
    """Return an image that `scope` owns or inherits."""
    image: Image | None = Image.get_or_none((Image.id == image_id) & Image.visible_from(scope))
    return image


def count_images(actor: Actor, scope: Scope, query: Query, *, owned_only: bool = False) -> int:
    """Return the exact number of matches. This may be slow."""
    slices = conditions.scope_slices(scope, query, owned_only=owned_only)
    if not conditions.ungrouped_condition(query, actor):
        return planner.count_groups(slices, query)
    condition = conditions.image_condition(query, actor)
    sources = (sql.rows_of("image", sql.all_of([slice_.condition, condition])) for slice_ in slices)
    return sum(sql.fetch_number(sql.count(source)) for source in sources)


def iterate_images(
    actor: Actor, scope: Scope, query: Query, *, owned_only: bool = False
) -> Iterator[Image]:
    """Yield all matches without their details, slice by slice and sorted by ID.

    They are read in chunks. Images that are registered or deleted in the meantime do not affect
    the others.
    """
    condition = conditions.image_condition(query, actor)
    for slice_ in conditions.scope_slices(scope, query, owned_only=owned_only):
        last = 0
        while images := _chunk(slice_, condition, last):
            for image in images:
                image.scope = slice_.scope
                yield image
            last = images[-1].id


def _chunk(slice_: ScopeSlice, condition: Sql, last: int) -> list[Image]:
    where = sql.as_peewee(sql.all_of([slice_.condition, condition]))
    query = Image.select(*LIST_COLUMNS).where(where, Image.id > last)
    return list(query.order_by(Image.id).limit(CHUNK))


def is_empty(scope: Scope) -> bool:
    """Return whether `scope` sees no image at all."""
    return not planner.count_groups(conditions.scope_slices(scope, EVERYTHING), EVERYTHING)
