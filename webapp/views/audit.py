"""The audit log of a scope and the scopes below it, and the history of an image."""

from __future__ import annotations

from flask import Response, abort, g, request, url_for

from webapp.access import Right
from webapp.audit.log import image_entry, image_page, scope_entry, scope_page
from webapp.views.arguments import id_argument
from webapp.views.image_access import visible_image_or_404
from webapp.views.scope_pages import needs, pages
from webapp.web.rendering import redirect, render


@pages.get("/audit")
@needs(Right.VIEW_AUDIT)
def audit_log() -> Response:
    if "page" in request.args:
        # Older versions numbered the pages.
        return redirect(url_for(".audit_log"))
    page = scope_page(g.scope, before=id_argument("before"), after=id_argument("after"))
    return render("audit/audit_log.html", label="Audit log", page=page)


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
    page = image_page(image, before=id_argument("before"), after=id_argument("after"))
    return render("audit/image_history.html", image=image, page=page)


@pages.get("/images/<int:image_id>/history/<int:entry_id>")
@needs(Right.VIEW_IMAGES)
def image_history_entry(image_id: int, entry_id: int) -> Response:
    image = visible_image_or_404(image_id)
    entry = image_entry(image, entry_id)
    if entry is None:
        abort(404)
    return render("audit/entry.html", entry=entry, image=image)
