"""The audit log of a scope and the scopes below it."""

from __future__ import annotations

from flask import Response, g

from webapp import audit
from webapp.access import Right
from webapp.views.arguments import page_number
from webapp.views.scope_pages import needs, pages
from webapp.web.rendering import render

PAGE_SIZE = 50


@pages.get("/audit")
@needs(Right.VIEW_AUDIT)
def audit_log() -> Response:
    page = page_number()
    entries, has_older_entries = audit.scope_entries(g.scope, page=page, page_size=PAGE_SIZE)
    return render(
        "audit/audit_log.html",
        label="Audit log",
        entries=entries,
        page=page,
        has_older_entries=has_older_entries,
    )
