"""The Images page of a scope. Every search, filter, sort order and page has its own URL."""

from __future__ import annotations

from functools import partial
from urllib.parse import urlencode

from flask import Response, g, request, url_for

from models import Image
from webapp.access import Right
from webapp.clouds import clouds_for_image_id
from webapp.forms.fields import record_id
from webapp.images import identity
from webapp.jobs import claims
from webapp.jobs.actions import title_of
from webapp.people import preferences
from webapp.people.preferences import COLUMNS, REQUIRED_COLUMN, Preferences
from webapp.search import catalogue, facets, saved_views, suggestions
from webapp.search.catalogue import Listing, Page
from webapp.search.keys import Key
from webapp.search.language import MAX_TEXT_LENGTH
from webapp.search.ordering import SORTS
from webapp.search.query import Query
from webapp.values.text import replace_control_characters
from webapp.views.arguments import number_argument
from webapp.views.image_access import image_url
from webapp.views.scope_pages import needs, pages
from webapp.web.components import RowOptions
from webapp.web.rendering import redirect, render, scope_url, url_at

DEFAULT_SORT = "-created"
UNCOUNTED_KEYS = (Key.WORD, Key.ID, Key.SIZE, Key.CREATED, Key.BY)
"""Search keys that do not change the counts in the filter menus."""


@pages.get("/images")
@needs(Right.VIEW_IMAGES)
def images() -> Response:
    own_preferences = preferences.load_preferences(g.actor.person)
    listing = _requested_listing(own_preferences.page_size)
    page, query = catalogue.find_page(g.actor, g.scope, listing), listing.query
    url = _canonical_url(listing, page)
    if not request.args.get("q", "-") or request.args.get("sort") in {"", DEFAULT_SORT}:
        # The search form also sends an empty search. Leave empty and default values out of the URL.
        return redirect(url)
    may_edit = g.actor.may(Right.EDIT_IMAGES, g.scope)
    has_no_filter = query.terms == query.reach.terms
    is_empty = not page.images and has_no_filter and catalogue.is_empty(g.scope, query.reach)
    return render(
        "list/images.html",
        fragment="list/_images.html",
        label=_page_label(query),
        url=url,
        current_path=_bookmark_path(listing),
        page=page,
        count=page.count,
        listing=listing,
        query=query,
        listing_url=partial(_listing_url, url_for(".images")),
        sort=_parameters(listing).get("sort"),
        preferences=own_preferences,
        row_options=_row_options(own_preferences, query, selectable=may_edit),
        filter_count=sum(term.key not in {Key.WORD, Key.IN} for term in query.terms),
        name_label=COLUMNS[REQUIRED_COLUMN],
        views=saved_views.visible_views(g.actor, g.scope),
        job_queue=claims.queue_of(g.actor, g.scope),
        title_of=title_of,
        scope_is_empty=is_empty,
        images_below=catalogue.count_below(g.scope) if is_empty and g.scope.level.below else 0,
        matching_clouds=_matching_clouds(query, page),
        images_with_id=[(_image_url(image), image) for image in _images_with_id(query, page)],
        may_edit=may_edit,
    )


@pages.get("/images/filters")
@needs(Right.VIEW_IMAGES)
def image_filters() -> Response:
    """Render the filter menus for a search as a fragment or, without JavaScript, as a page."""
    listing = _requested_listing(preferences.load_preferences(g.actor.person).page_size)
    return render(
        "list/filters.html",
        fragment="list/_filters.html",
        background=True,
        query=listing.query,
        menus=facets.filter_menus(g.scope, listing.query),
        has_tag_terms=bool(listing.query.terms_for(Key.TAG)),
        has_uncounted_terms=any(listing.query.terms_for(key) for key in UNCOUNTED_KEYS),
        listing=listing,
        listing_url=partial(_listing_url, url_for(".images")),
    )


@pages.get("/images/count")
@needs(Right.VIEW_IMAGES)
def image_count() -> Response:
    """Render the number of results as a fragment or, without JavaScript, as a page."""
    listing = _requested_listing(preferences.load_preferences(g.actor.person).page_size)
    return render(
        "list/count.html",
        fragment="list/_count.html",
        background=True,
        query=listing.query,
        count=catalogue.count_matches(g.actor, g.scope, listing.query),
        listing=listing,
        listing_url=partial(_listing_url, url_for(".images")),
    )


@pages.get("/images/suggestions")
@needs(Right.VIEW_IMAGES)
def image_suggestions() -> Response:
    text = replace_control_characters(request.args.get("q", ""))[:MAX_TEXT_LENGTH]
    caret = min(number_argument("caret", len(text)), len(text))
    return render("list/_suggestions.html", suggestions=suggestions.suggest(g.scope, text, caret))


def _requested_listing(page_size: int) -> Listing:
    """Return the listing that the URL describes.

    Ignore invalid parameters. For example, a bookmark must still work if a newer version of the
    application no longer has the bookmark's sort order.
    """
    arguments = request.args
    sort = arguments.get("sort") or DEFAULT_SORT
    if sort.removeprefix("-") not in SORTS:
        sort = DEFAULT_SORT
    return Listing(
        query=catalogue.parse_search(g.scope, arguments.get("q", "")),
        sort=sort.removeprefix("-"),
        descending=sort.startswith("-"),
        size=page_size,
        after=arguments.get("after", ""),
        before=arguments.get("before", ""),
    )


def _row_options(own_preferences: Preferences, query: Query, *, selectable: bool) -> RowOptions:
    keys = own_preferences.columns
    if query.includes_below and "owner" not in keys:
        keys = ("owner", *keys)
    return RowOptions(
        columns=tuple((key, COLUMNS[key]) for key in keys),
        id_below_name="id" not in keys,
        images_url=url_for(".images"),
        scope_id=g.scope.id,
        scope_ids_above=g.scope.above,
        selectable=selectable,
        url_below=url_at,
        selected_ids=frozenset(record_id(each) for each in request.args.getlist("image")),
    )


def _listing_url(
    images_url: str, listing: Listing, query: Query | None = None, *, sort: str = "", **cursor: str
) -> str:
    """Return the URL of a listing, omitting default parameters.

    `query` and `sort` replace the query and the sort order of `listing`. `cursor` is `after=…` or
    `before=…`.
    """
    query_string = urlencode(_parameters(listing, query, sort, **cursor), safe=":/")
    return f"{images_url}?{query_string}" if query_string else images_url


def _canonical_url(listing: Listing, page: Page) -> str:
    """Return the URL of a page of results. The first page has no cursor."""
    url = url_for(".images")
    if page.images and not page.previous:
        return _listing_url(url, listing)
    after = "" if listing.before else listing.after
    return _listing_url(url, listing, after=after, before=listing.before)


def _bookmark_path(listing: Listing) -> str:
    """Return the path to store in a bookmark of `listing`. The bookmark opens the first page."""
    query_string = urlencode(_parameters(listing))
    return f"images?{query_string}" if query_string else "images"


def _parameters(
    listing: Listing, query: Query | None = None, sort: str = "", **cursor: str
) -> dict[str, str]:
    """Return the parameters of a listing's URL, omitting default parameters."""
    sort = sort or ("-" if listing.descending else "") + listing.sort
    text = (listing.query if query is None else query).text
    parameters = {"q": text, "sort": "" if sort == DEFAULT_SORT else sort, **cursor}
    return {name: value for name, value in parameters.items() if value}


def _page_label(query: Query) -> str:
    """Return the page's label in the bookmarks bar, such as 'Images, AWS, Ubuntu'.

    A part of the search that could not be parsed is in the label as the person typed it.
    """
    labels = [term.short_label for term in query.terms]
    return ", ".join(["Images", *labels, *(problem.text for problem in query.problems)])


def _matching_clouds(query: Query, page: Page) -> str:
    """Return the names of the clouds in which the search text could be an image ID.

    Return '' if there is no such cloud, or if the search finds an image.
    """
    clouds = clouds_for_image_id(query.text) if not page.count.number else []
    return " or ".join(cloud.label for cloud, _ in clouds)


def _images_with_id(query: Query, page: Page) -> list[Image]:
    """Return the images whose cloud image ID is in the text of the search.

    The search itself may find none of them, because the text may contain other words too, for
    example if it was copied from the output of a tool. If the search finds an image, return [].
    """
    if page.count.number:
        return []
    condition = identity.image_id_condition(query.text)
    if condition is None:
        return []
    visible = catalogue.visible_condition(g.scope, query.reach)
    return list(Image.select().where(condition & visible).order_by(Image.id))


def _image_url(image: Image) -> str:
    """Return the URL of the image's page here, or at the scope below that owns the image."""
    if image.scope_id in {g.scope.id, *g.scope.above}:
        return image_url(image)
    return scope_url(image.scope, "image", image_id=image.id)
