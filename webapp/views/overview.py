"""The Overview page of a scope: charts, and a table of the scopes directly below."""

from __future__ import annotations

from flask import Response, g

from webapp.access import Right
from webapp.search import overview
from webapp.views.scope_pages import needs, pages
from webapp.web.rendering import render


@pages.get("/overview", endpoint="overview")
@needs(Right.VIEW_IMAGES)
def show_overview() -> Response:
    return render(
        "overview/overview.html",
        label="Overview",
        overview=overview.load_overview(g.actor, g.scope),
        below=overview.load_scopes_below(g.scope) if g.scope.level.below else None,
    )
