"""Bookmarks: pin the present page, and the settings where they are removed and reordered."""

from __future__ import annotations

from flask import Response, g, url_for

from webapp.access import Right
from webapp.forms.people import BookmarkForm, MoveBookmarkForm
from webapp.people import bookmarks
from webapp.people.bookmarks import Bookmark, BookmarkError
from webapp.views.scope_pages import needs, pages
from webapp.web.rendering import redirect, render, scope_url, toast


@pages.get("/bookmarks")
@needs(Right.VIEW_IMAGES)
def bookmark_settings() -> Response:
    form = MoveBookmarkForm(formdata=None)
    return render("people/bookmarks.html", fragment="people/_bookmark_settings.html", form=form)


@pages.post("/bookmarks")
@needs(Right.VIEW_IMAGES)
def pin() -> Response:
    form = BookmarkForm()
    if not form.validate_on_submit():
        return redirect(url_for(".images"))
    bookmark = Bookmark(form.label.data or "", form.path.data)
    try:
        bookmarks.pin(g.actor, g.scope, bookmark)
    except BookmarkError as error:
        toast(str(error), "danger")
    else:
        toast(
            "{page} is in your bookmarks bar now. {settings} reorder or remove bookmarks.",
            page=(bookmark.label, _address(bookmark)),
            settings=("The settings", url_for(".bookmark_settings")),
        )
    return redirect(_address(bookmark))


@pages.post("/bookmarks/remove")
@needs(Right.VIEW_IMAGES)
def remove_bookmark() -> Response:
    form = BookmarkForm()
    if form.validate_on_submit():
        bookmarks.remove(g.actor, g.scope, form.path.data)
        toast("The bookmark is removed.")
    return redirect(url_for(".bookmark_settings"))


@pages.post("/bookmarks/move")
@needs(Right.VIEW_IMAGES)
def move_bookmark() -> Response:
    form = MoveBookmarkForm()
    if form.validate_on_submit():
        bookmarks.move(g.actor, g.scope, form.path.data, form.position.data)
    return redirect(url_for(".bookmark_settings"))


def _address(bookmark: Bookmark) -> str:
    """Always below the scope's own address, whatever the path holds."""
    return scope_url(g.scope, "home") + bookmark.path.lstrip("/\\")
