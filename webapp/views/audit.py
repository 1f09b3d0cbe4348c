"""The audit log of a scope and of those below it."""

from __future__ import annotations

from flask import Response, g, request

from webapp import audit
from webapp.access import Right
from webapp.views.scope_pages import needs, pages
from webapp.web.rendering import render

PAGE_SIZE = 50


@pages.get("/audit")
@needs(Right.VIEW_AUDIT)
def audit_log() -> Response:
    given = request.args.get("page", "")
    page = int(given) if given.isdecimal() and 0 < len(given) < 8 else 1
    entries, more = audit.of_scope(g.scope, page=max(page, 1), page_size=PAGE_SIZE)
    return render(
        "audit/audit_log.html", label="Audit Log", entries=entries, page=max(page, 1), more=more
    )
