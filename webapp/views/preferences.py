"""Save a person's settings for the Images page: the columns and the number of images per page."""

from __future__ import annotations

from flask import Response, g, url_for

from webapp.access import Right
from webapp.forms.lists import ListSettingsForm
from webapp.people import preferences
from webapp.people.bookmarks import PAGE_PATH
from webapp.views.scope_pages import needs, page_url, pages
from webapp.web.rendering import redirect, toast


@pages.post("/preferences")
@needs(Right.VIEW_IMAGES)
def save_preferences() -> Response:
    form = ListSettingsForm()
    if form.validate_on_submit():
        columns, page_size = form.columns.data or (), int(form.page_size.data)
        preferences.save_preferences(g.actor.person, columns, page_size)
    else:
        toast("The settings weren’t saved. Choose a page size from the list.", "danger")
    path = form.next.data or ""
    return redirect(page_url(path) if PAGE_PATH.fullmatch(path) else url_for(".images"))
