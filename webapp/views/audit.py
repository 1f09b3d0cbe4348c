"""The audit log of a scope and the scopes below it, and the history of an image."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from urllib.parse import urlencode

from flask import Response, abort, g, request, url_for

from webapp.access import Right
from webapp.audit.log import Entry, image_entry, image_page, scope_entry
from webapp.search.audit_log import finder, suggestions
from webapp.search.audit_log.parser import parse_search
from webapp.search.audit_log.query import Query
from webapp.search.audit_log.subjects import find_subjects
from webapp.search.audit_log.times import find_zone
from webapp.search.language import MAX_TEXT_LENGTH
from webapp.values.text import replace_control_characters
from webapp.views.arguments import id_argument, number_argument
from webapp.views.image_access import sees_credentials, visible_image_or_404
from webapp.views.scope_pages import needs, pages
from webapp.web.rendering import redirect, render, scope_url


@pages.get("/audit")
@needs(Right.VIEW_AUDIT)
def audit_log() -> Response:
    query, before, after = requested_query(), id_argument("before"), id_argument("after")
    url = _search_url(query)
    if "page" in request.args:
        # Older versions numbered the pages.
        return redirect(url)
    if not all(request.args.get(name, "-") for name in ("q", "zone")):
        # The search form also sends empty fields. Leave them out of the URL.
        return redirect(url)
    page = finder.find_page(g.scope, query, before=before, after=after)
    return render(
        "audit/audit_log.html",
        fragment="audit/_results.html",
        label=", ".join(["Audit log", *(term.short_label for term in query.terms)]),
        url=_search_url(query, before=0 if after else before, after=after),
        current_path=url.removeprefix(url_for(".home")),
        page=page,
        subject_urls=_subject_urls(page.entries),
        query=query,
        search_url=partial(_search_url, query),
        url_of_query=_search_url,
        export_urls={
            kind: _search_url(query, endpoint=f".export_audit_{kind}")
            for kind in ("csv", "json", "jsonl")
        },
    )


@pages.get("/audit/suggestions")
@needs(Right.VIEW_AUDIT)
def audit_suggestions() -> Response:
    text = replace_control_characters(request.args.get("q", ""))[:MAX_TEXT_LENGTH]
    caret = min(number_argument("caret", len(text)), len(text))
    return render("list/_suggestions.html", suggestions=suggestions.suggest(g.scope, text, caret))


@pages.get("/audit/<int:entry_id>")
@needs(Right.VIEW_AUDIT)
def audit_entry(entry_id: int) -> Response:
    entry = scope_entry(g.scope, entry_id)
    if entry is None:
        abort(404)
    return render("audit/entry.html", entry=entry, image=None)


@pages.get("/images/<int:image_id>/history")
@needs(Right.VIEW_IMAGES)
def image_history(image_id: int) -> Response:
    image = visible_image_or_404(image_id)
    page = image_page(
        image,
        show_credentials=sees_credentials(),
        before=id_argument("before"),
        after=id_argument("after"),
    )
    return render(
        "audit/image_history.html",
        image=image,
        page=page,
        search_url=partial(url_for, ".image_history", image_id=image.id),
    )


@pages.get("/images/<int:image_id>/history/<int:entry_id>")
@needs(Right.VIEW_IMAGES)
def image_history_entry(image_id: int, entry_id: int) -> Response:
    image = visible_image_or_404(image_id)
    entry = image_entry(image, entry_id, show_credentials=sees_credentials())
    if entry is None:
        abort(404)
    return render("audit/entry.html", entry=entry, image=image)


def requested_query() -> Query:
    """Return the search that the URL describes."""
    zone = find_zone(request.args.get("zone", ""))
    return parse_search(g.actor, g.scope, request.args.get("q", ""), zone)


_SUBJECT_PAGES = {
    "image": ("image", Right.VIEW_IMAGES),
    "scope": ("home", Right.VIEW_IMAGES),
    "cloud_credentials": ("credentials", Right.LIST_CREDENTIALS),
    "membership": ("member_list", Right.MANAGE_MEMBERS),
    "saved_view": ("view_list", Right.VIEW_IMAGES),
    "api_token": ("token_list", Right.MANAGE_TOKENS),
}
"""The endpoint of the page or list that shows a record, and the required right, by kind."""


def _subject_urls(entries: Iterable[Entry]) -> dict[str, str]:
    """Return the URL of each record that the entries are about, by the reference of the record.

    The URL opens the page of the record, or the list that contains the record. Records that the
    person may not see are left out. An image that was deleted in the last 24 hours has a URL too,
    because its page offers to restore the image.
    """
    urls = {}
    for reference, subject in find_subjects(entries).items():
        endpoint, right = _SUBJECT_PAGES[subject.kind]
        values = {"image_id": subject.id} if subject.kind == "image" else {}
        if g.actor.may(right, subject.scope):
            urls[reference] = scope_url(subject.scope, endpoint, **values)
        elif subject.is_shared and subject.scope.id in g.scope.above:
            urls[reference] = url_for(".image", image_id=subject.id)
    return urls


def _search_url(
    query: Query, *, before: int = 0, after: int = 0, endpoint: str = ".audit_log"
) -> str:
    """Return the URL of a search.

    The URL contains the time zone only if a term contains a day and the zone is not UTC.
    """
    zones = {term.zone for term in query.terms} - {"", "UTC"}
    parameters = {"q": query.text, "zone": "".join(zones), "before": before, "after": after}
    query_string = urlencode({name: value for name, value in parameters.items() if value})
    return url_for(endpoint) + (f"?{query_string}" if query_string else "")
