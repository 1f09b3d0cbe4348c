"""The Images page of a scope: search, filters, order, pages. Every state of it is an address."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple
from urllib.parse import urlencode

from flask import Response, g, request, url_for

from webapp.access import Right
from webapp.clouds import recognise
from webapp.jobs import runner as jobs
from webapp.people import preferences
from webapp.people.preferences import Preferences
from webapp.search import catalogue, facets, saved_views, suggestions
from webapp.search import language as search
from webapp.search.catalogue import Listing, Page
from webapp.search.language import Key, Query
from webapp.search.ordering import SORTS
from webapp.views.scope_pages import needs, pages
from webapp.web.rendering import render

DEFAULT_SORT = "-created"
BEFORE_TOKENS = {"cloud": Key.CLOUD, "os": Key.OS, "owner": Key.SCOPE}
"""Filters that addresses had of their own once; bookmarks still have them."""


@pages.get("/images")
@needs(Right.VIEW_IMAGES)
def images() -> Response:
    listing = _listing()
    page = catalogue.find(g.actor, g.scope, listing)
    query, chosen = listing.query, preferences.of(g.actor.person)
    may_edit = g.actor.may(Right.EDIT_IMAGES, g.scope)
    return render(
        "list/images.html",
        fragment="list/_images.html",
        label=_label(query),
        page=page,
        listing=listing,
        query=query,
        address=partial(_address, url_for(".images")),
        preferences=chosen,
        shown=_shown(chosen, picks=may_edit),
        name_label=preferences.COLUMNS[preferences.ALWAYS],
        views=saved_views.of(g.actor, g.scope),
        running=jobs.running(g.actor, g.scope),
        nothing_here=not page.images and not query and catalogue.is_empty(g.scope),
        looks_like=_looks_like(query, page),
        may_edit=may_edit,
    )


@pages.get("/images/filters")
@needs(Right.VIEW_IMAGES)
def image_filters() -> Response:
    """The filter menus of a search: a page of its own without JavaScript, else a panel."""
    listing = _listing()
    menus = facets.menus(g.scope, listing.query)
    asked = any(listing.query.of(key) for key in (Key.WORD, Key.ID, Key.SIZE, Key.CREATED, Key.BY))
    return render(
        "list/filters.html",
        fragment="list/_filters.html",
        menus=menus,
        asked=asked,
        query=listing.query,
        address=partial(_address, url_for(".images")),
        listing=listing,
    )


@pages.get("/images/suggestions")
@needs(Right.VIEW_IMAGES)
def image_suggestions() -> Response:
    text = request.args.get("q", "")[: search.LONGEST]
    caret = request.args.get("caret", "")
    at = min(int(caret), len(text)) if caret.isdecimal() and len(caret) < 5 else len(text)
    found = suggestions.suggest(g.scope, text, at)
    return render("list/_suggestions.html", suggestions=found)


def _listing() -> Listing:
    """What does not fit is taken as not said: a bookmark must outlive what it names."""
    given = request.args
    sort = given.get("sort") or DEFAULT_SORT
    if sort.removeprefix("-") not in SORTS:
        sort = DEFAULT_SORT
    text = given.get("q", "")
    tokens = [f'{key}:"{given[name]}"' for name, key in BEFORE_TOKENS.items() if given.get(name)]
    return Listing(
        query=search.parse(" ".join([text, *tokens])),
        sort=sort.removeprefix("-"),
        descending=sort.startswith("-"),
        size=preferences.of(g.actor.person).page_size,
        after=given.get("after", ""),
        before=given.get("before", ""),
    )


class Shown(NamedTuple):
    """How rows are shown, and where: `address` is that of the page, `picks` whether rows of the
    scope itself can be ticked."""

    columns: tuple[tuple[str, str], ...]
    id_below: bool
    address: str
    scope_id: int
    picks: bool


def _shown(chosen: Preferences, *, picks: bool) -> Shown:
    columns = tuple((key, preferences.COLUMNS[key]) for key in chosen.columns)
    return Shown(columns, "id" not in chosen.columns, url_for(".images"), g.scope.id, picks)


def _address(
    page: str, listing: Listing, query: Query | None = None, *, sort: str = "", **place: str
) -> str:
    """That of a state of the page, which is at `page`, without what is as it is anyhow."""
    sort = sort or ("-" if listing.descending else "") + listing.sort
    text = (listing.query if query is None else query).text
    state = {"q": text, "sort": "" if sort == DEFAULT_SORT else sort, **place}
    said = urlencode({name: value for name, value in state.items() if value}, safe=":/")
    return f"{page}?{said}" if said else page


def _label(query: Query) -> str:
    """What the page is called in the bookmarks bar: 'Images, AWS, Ubuntu'."""
    labels = (term.label for term in query.terms)
    short = (each if each.startswith("not ") else each.split(": ", 1)[-1] for each in labels)
    return ", ".join(["Images", *short])


def _looks_like(query: Query, page: Page) -> str:
    """The clouds whose image ids look like a search without result, in words; '' for none."""
    found = recognise(query.text) if not page.count else []
    return " or ".join(cloud.label for cloud, _ in found)
