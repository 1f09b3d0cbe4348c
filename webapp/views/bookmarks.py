"""Pin pages to the bookmarks bar, and reorder and remove bookmarks."""

from __future__ import annotations

from flask import Response, g, url_for

from webapp.access import Right
from webapp.forms.people import BookmarkForm, MoveBookmarkForm
from webapp.people import bookmarks
from webapp.people.bookmarks import Bookmark, BookmarkError
from webapp.views.scope_pages import needs, page_url, pages
from webapp.web.rendering import redirect, render, toast


@pages.get("/bookmarks")
@needs(Right.VIEW_IMAGES)
def bookmark_settings() -> Response:
    return render("people/bookmarks.html", fragment="people/_bookmark_settings.html")


@pages.post("/bookmarks")
@needs(Right.VIEW_IMAGES)
def pin_bookmark() -> Response:
    form = BookmarkForm()
    if not form.validate_on_submit():
        return redirect(url_for(".images"))
    bookmark = Bookmark(form.label.data or "", form.path.data)
    url = page_url(bookmark.path)
    try:
        bookmarks.pin_bookmark(g.actor, g.scope, bookmark)
    except BookmarkError as error:
        toast(error.message, "danger")
    else:
        toast(
            "{page} added to your bookmarks bar. {settings}",
            page=(bookmark.label, url),
            settings=("Manage bookmarks", url_for(".bookmark_settings")),
        )
    return redirect(url)


@pages.post("/bookmarks/remove")
@needs(Right.VIEW_IMAGES)
def remove_bookmark() -> Response:
    form = BookmarkForm()
    if form.validate_on_submit():
        bookmarks.remove_bookmark(g.actor, g.scope, form.path.data)
        toast("Bookmark removed.")
    return redirect(url_for(".bookmark_settings"))


@pages.post("/bookmarks/move")
@needs(Right.VIEW_IMAGES)
def move_bookmark() -> Response:
    form = MoveBookmarkForm()
    if form.validate_on_submit():
        bookmarks.move_bookmark(g.actor, g.scope, form.path.data, form.position.data)
    return redirect(url_for(".bookmark_settings"))
