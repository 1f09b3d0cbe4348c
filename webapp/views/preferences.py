"""Save a person's settings for the Images page: columns, height of rows, images per page."""

from __future__ import annotations

from flask import Response, g

from webapp.access import Right
from webapp.forms.lists import ListSettingsForm
from webapp.people import preferences
from webapp.views.scope_pages import needs, page_url, pages
from webapp.web.rendering import redirect, toast


@pages.post("/preferences")
@needs(Right.VIEW_IMAGES)
def save_preferences() -> Response:
    form = ListSettingsForm()
    if form.validate_on_submit():
        columns, page_size = form.columns.data or (), int(form.page_size.data)
        density = form.density.data or "comfortable"
        preferences.save_preferences(g.actor.person, columns, page_size, density)
    else:
        toast(
            "The settings weren’t saved. Select the row height and the number of images per page "
            "again.",
            "danger",
        )
    return redirect(page_url(form.next.data or ""))
