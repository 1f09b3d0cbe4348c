"""Keep which columns, and how many images on a page, somebody wants."""

from __future__ import annotations

from flask import Response, g, url_for

from webapp.access import Right
from webapp.forms.lists import ListSettingsForm
from webapp.people import preferences
from webapp.people.bookmarks import PATH
from webapp.views.scope_pages import needs, pages
from webapp.web.rendering import redirect, toast


@pages.post("/preferences")
@needs(Right.VIEW_IMAGES)
def keep_preferences() -> Response:
    form = ListSettingsForm()
    if form.validate_on_submit():
        preferences.keep(g.actor.person, form.columns.data or (), int(form.page_size.data))
    else:
        toast("The settings were not understood. Choose them from the list.", "danger")
    path = form.next.data or ""
    return redirect(url_for(".home") + path if PATH.fullmatch(path) else url_for(".images"))
