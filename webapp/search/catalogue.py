"""Find, sort, page and count the images that a scope sees.

A scope sees its own images and the shared images of the scopes above it. A search with `in:below`
also finds the images of the scopes below. A person who sees a scope may see these images too,
because a role at a scope applies at every scope below. Every query in this module selects only
images that the person may see, so templates never have to check visibility.

`webapp.search.planner` finds a page without reading all images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from peewee import Field

from models import Image, Scope, load_scopes
from webapp.access import Actor
from webapp.search import completions, conditions, planner, sql, tags
from webapp.search.conditions import ScopeSlice, Slice
from webapp.search.counts import Count
from webapp.search.keys import Key
from webapp.search.ordering import Order
from webapp.search.parser import includes_below, parse
from webapp.search.query import (
    INCLUDE_BELOW,
    INCLUDING_BELOW,
    OWNED_OR_INHERITED,
    Query,
    Term,
)
from webapp.search.rows import ListedImage
from webapp.search.sql import Sql
from webapp.search.visible_values import VisibleValues, has_registrar

CHUNK = 1_000
"""The maximum number of images that `iterate_images` reads with one statement."""
VALUES_CHUNK = 10_000
"""The maximum number of images that `iterate_values` reads with one statement."""

_FIELDS: dict[str, Field] = Image._meta.fields  # noqa: SLF001  Peewee has no public list
UNLISTED_COLUMNS = {"details", "search_text", "tag_index"}
LIST_COLUMNS = [field for name, field in _FIELDS.items() if name not in UNLISTED_COLUMNS]
"""The columns to read for a list of many images.

UNLISTED_COLUMNS are left out, because they take longer to read than all other columns together.
"""


@dataclass(frozen=True)
class Listing:
    """The search, the sort order and the position that the URL of the Images page contains.

    `after` and `before` are cursors from an earlier `Page`. The results begin after the image of
    `after`, or end before the image of `before`. If both are set, `after` is ignored.
    """

    query: Query = OWNED_OR_INHERITED
    sort: str = "created"
    descending: bool = True
    size: int = 50
    after: str = ""
    before: str = ""


@dataclass(frozen=True)
class Page:
    """One page of results.

    `count` is the number of results on all pages. If `count.counted` is False, the results were not
    counted, because this would take longer than finding the page. `count_matches` counts them.
    To get the previous page, pass `previous` as `Listing.before`. To get the next page, pass `next`
    as `Listing.after`. If there is no such page, `previous` or `next` is ''.
    """

    images: list[ListedImage]
    count: Count
    previous: str
    next: str


def parse_search(scope: Scope, text: str) -> Query:
    """Parse the text that a person typed at `scope`, and return the query.

    An excluded value of `location`, `os`, `arch`, `by` or `tag` becomes a problem of the query if
    `_is_known` returns False for it. Such a value is probably mistyped. For example, an action on a
    search with "-os:ubunut" would also select the Ubuntu images.
    """
    reach = INCLUDING_BELOW if includes_below(text) and scope.level.below else OWNED_OR_INHERITED
    visible_values = VisibleValues(scope, reach)
    query = _with_completions(visible_values, parse(text, visible_values.find))
    for term in query.terms:
        if message := _reach_problem(scope, query, term):
            query = query.with_problem(term, message)
    for term in query.terms:
        if (
            term.excluded
            and term.key in _CHECKED_KEYS
            and not _is_known(visible_values.slices, term)
        ):
            message = f"“{term}” excludes nothing, because no image here has this value."
            query = query.with_problem(term, message)
    return query


def _with_completions(visible_values: VisibleValues, query: Query) -> Query:
    """Return the query with the completions of its unfinished values (`Term.completions`).

    If an unfinished value can become too many values, its term becomes a problem of the query.
    """
    for term in query.terms:
        found = _find_completions(visible_values, term)
        if len(found) > completions.MAX_COMPLETIONS:
            message = (
                f"“{term}” can mean more than {completions.MAX_COMPLETIONS} values. Type more."
            )
            query = query.with_problem(term, message)
        elif found:
            query = query.with_term_replaced(term, replace(term, completions=found))
    return query


def _find_completions(visible_values: VisibleValues, term: Term) -> tuple[tuple[str, ...], ...]:
    """Return the values that an unfinished value can become, or () if the value is finished.

    For `tag`, the result has at most `completions.MAX_COMPLETIONS` + 1 values.
    """
    if completions.is_unfinished(term):
        values = visible_values.completion_candidates(term.key, term.value)
        return () if (term.value,) in values else completions.completions(term, values)
    if term.key is not Key.TAG or tags.count_images(visible_values.slices, term.value):
        return ()
    found = tags.tokens_beginning_with(
        visible_values.slices, term.value, completions.MAX_COMPLETIONS + 1
    )
    return tuple((token,) for token in found)


def _reach_problem(scope: Scope, query: Query, term: Term) -> str:
    """Return why a term about the scopes below can’t be used here, or ''."""
    if term.key is Key.IN and not scope.level.below:
        return (
            f"“{term}” works only at the Scalr scope and at accounts, because an environment has "
            "no scopes below it. Remove this term."
        )
    if term.key is Key.IN and term.excluded:
        return (
            f"“{term}” can’t be used. Remove this term: a search without “{INCLUDE_BELOW}” already "
            "leaves out the images of the scopes below."
        )
    if term.key is Key.OWNER and term.value == "below" and not query.includes_below:
        return (
            f"“{term}” works only together with “{INCLUDE_BELOW}”. Add “{INCLUDE_BELOW}”, or "
            "remove this term."
        )
    return ""


_CHECKED_KEYS = (Key.LOCATION, Key.OS, Key.ARCH, Key.BY, Key.TAG)
"""The keys whose excluded values `parse_search` checks with `_is_known`.

The values of the other keys are fixed, or are texts, numbers or dates.
"""


def _is_known(slices: Sequence[Slice], term: Term) -> bool:
    """Return whether an excluded term has a known value.

    The values in the built-in lists are known, and so are the values of visible images.

    Also return True for `by:me`, and for an unfinished value that has completions.
    """
    if term.is_in_builtin_list or term.completions:
        return True
    required = Query((replace(term, excluded=False),), (), "")
    if term.key is Key.TAG:
        return tags.count_images(slices, term.value) > 0
    if term.key is Key.BY:
        return term.value == "me" or has_registrar(slices, term.value)
    return planner.count_grouped_images(slices, required) > 0


def find_page(actor: Actor, scope: Scope, listing: Listing) -> Page:
    """Return one page of the images that `scope` sees and that match the search.

    Problems of the query are ignored. If the cursor is invalid, return the first page.
    """
    slices = conditions.scope_slices(scope, listing.query)
    backwards = bool(listing.before)
    descending = listing.descending != backwards
    order = Order(listing.sort, descending=descending, below=listing.query.includes_below)
    cursor = order.parse_cursor(listing.before or listing.after)
    first_page = replace(listing, after="", before="")
    if backwards and cursor is None:
        return find_page(actor, scope, first_page)
    search = planner.Search(actor, slices, listing.query, order, cursor, listing.size)
    rows, count = search.page()
    if not rows and not count.exact:
        # No image comes after the cursor, for example because the last images were deleted. The
        # count is a placeholder, so replace it with the count of the first page.
        first = find_page(actor, scope, first_page)
        return replace(first, images=[], previous="", next="")
    has_more, rows = len(rows) > listing.size, rows[: listing.size]
    if backwards:
        if not has_more:
            # No image comes before these rows, and they may be too few to fill a page.
            return find_page(actor, scope, first_page)
        rows.reverse()
    has_previous = has_more if backwards else cursor is not None
    has_next = has_more or backwards
    return Page(
        images=[row.image for row in rows],
        count=count,
        previous=order.cursor(rows[0].key) if rows and has_previous else "",
        next=order.cursor(rows[-1].key) if rows and has_next else "",
    )


def is_valid_cursor(listing: Listing) -> bool:
    """Return whether the cursor of a listing is empty, or fits the sort order of the listing."""
    cursor = listing.before or listing.after
    below = listing.query.includes_below
    order = Order(listing.sort, descending=listing.descending, below=below)
    return not cursor or order.parse_cursor(cursor) is not None


def count_matches(actor: Actor, scope: Scope, query: Query) -> Count:
    """Return the number of images that match.

    For some searches, the number is always exact (see `planner.Search.count`). For all other
    searches, it is exact up to `planner.COUNT_LIMIT`. Problems of the query are ignored, as in
    `find_page`.
    """
    return _count_in_slices(actor, conditions.scope_slices(scope, query), query)


def count_matches_below(actor: Actor, scope: Scope, query: Query) -> Count:
    """Return the number of images that match and that the scopes below `scope` own.

    See `count_matches`. The number is 0 if the query does not include the scopes below.
    """
    return _count_in_slices(actor, conditions.scope_slices(scope, query, below_only=True), query)


def _count_in_slices(actor: Actor, slices: Sequence[Slice], query: Query) -> Count:
    order = Order("created", descending=True)
    return planner.Search(actor, slices, query, order, None, 0).count()


def find_visible_image(scope: Scope, image_id: int) -> Image | None:
    """Return the image with this ID, or None if `scope` neither owns nor inherits it."""
    image: Image | None = Image.get_or_none((Image.id == image_id) & Image.visible_from(scope))
    return image


def count_images(actor: Actor, scope: Scope, query: Query, *, owned_only: bool = False) -> int:
    """Return the exact number of images that match. Counting may be slow.

    With `owned_only`, only the images of `scope` itself are counted. Raises NotUnderstood.
    """
    query.require_understood()
    slices = conditions.scope_slices(scope, query, owned_only=owned_only)
    if not conditions.ungrouped_condition(query, actor):
        return planner.count_grouped_images(slices, query)
    condition = conditions.image_condition(query, actor)
    sources = (sql.rows_of("image", sql.all_of([slice_.condition, condition])) for slice_ in slices)
    return sum(sql.fetch_number(sql.count(source)) for source in sources)


def iterate_images(
    actor: Actor, scope: Scope, query: Query, *, owned_only: bool = False
) -> Iterator[Image]:
    """Return an iterator over all images that match, with only the columns `LIST_COLUMNS`.

    The images are sorted by slice (`webapp.search.conditions`), and by ID within a slice. With
    `owned_only`, only the images of `scope` itself are returned. Images are read in chunks. If an
    image is registered or deleted meanwhile, no other image is skipped or repeated. If the deletion
    of a scope begins meanwhile, the images of the scope are left out from the next chunk on. Raises
    NotUnderstood.
    """
    query.require_understood()
    slices = conditions.scope_slices(scope, query, owned_only=owned_only, for_several_reads=True)
    return _read_slices(slices, conditions.image_condition(query, actor))


def iterate_values(
    actor: Actor, scope: Scope, query: Query, columns: Sequence[str], *, owned_only: bool = False
) -> Iterator[tuple[Any, ...]]:
    """Return an iterator over the values of `columns` of all images that match.

    This function is several times faster than `iterate_images`. The values have the types of the
    database: a boolean can be a number, and a date can be a text. The images have the same order as
    in `iterate_images`. NotUnderstood is raised when the first value is requested.
    """
    query.require_understood()
    condition = conditions.image_condition(query, actor)
    for slice_ in conditions.scope_slices(
        scope, query, owned_only=owned_only, for_several_reads=True
    ):
        last_id = 0
        while True:
            after = sql.compare("image.id", ">", last_id)
            source = sql.rows_of("image", sql.all_of([slice_.condition, condition, after]))
            names = ["image.id", *(f"image.{name}" for name in columns)]
            statement = sql.select(names, source, order_by="image.id", limit=VALUES_CHUNK)
            rows = sql.fetch(statement)
            for row in rows:
                yield row[1:]
            if len(rows) < VALUES_CHUNK:
                break
            last_id = rows[-1][0]


def _read_slices(slices: Sequence[Slice], condition: Sql) -> Iterator[Image]:
    for slice_ in slices:
        last_id = 0
        while images := _read_chunk(slice_, condition, last_id):
            if isinstance(slice_, ScopeSlice):
                for image in images:
                    image.scope = slice_.scope
            else:
                load_scopes(images)
            yield from images
            last_id = images[-1].id


def _read_chunk(slice_: Slice, condition: Sql, last_id: int) -> list[Image]:
    where = sql.as_peewee(sql.all_of([slice_.condition, condition]))
    query = Image.select(*LIST_COLUMNS).where(where, Image.id > last_id)
    return list(query.order_by(Image.id).limit(CHUNK))


def frequent_tags(scope: Scope, limit: int) -> list[str]:
    """Return the labels of the tags with the most visible images, the most frequent first.

    `tags.TagUse` describes the labels. The key of a tag such as `team=web` has the label `team=`.
    """
    uses = tags.most_frequent(conditions.scope_slices(scope, OWNED_OR_INHERITED), limit)
    return [use.label for use in uses]


def visible_condition(scope: Scope, reach: Query) -> Any:
    """Return the Peewee condition for all images in the scopes that a search at `scope` covers.

    `reach` is `Query.reach` of the search. The database cannot use an index of slices for this
    condition, so add a second condition that another index can answer.
    """
    slices = conditions.scope_slices(scope, reach)
    return sql.as_peewee(conditions.in_any_slice(slices, indexed=False))


def is_empty(scope: Scope, reach: Query) -> bool:
    """Return whether there are no images in the scopes that a search at `scope` covers.

    See `visible_condition` for `reach`.
    """
    return not planner.count_grouped_images(conditions.scope_slices(scope, reach), reach)


def count_below(scope: Scope) -> int:
    """Return the number of images that the scopes below `scope` own."""
    below = sql.rows_of("facet_group", conditions.owned_below(scope))
    return sql.fetch_number(sql.select([sql.sum_of("images")], below))
