"""The audit log of a scope and the scopes below it."""

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
    page = _page_number(request.args.get("page", ""))
    entries, more = audit.scope_entries(g.scope, page=page, page_size=PAGE_SIZE)
    return render("audit/audit_log.html", label="Audit log", entries=entries, page=page, more=more)


def _page_number(text: str) -> int:
    """Return the number in a URL, or 1 if there is none or it is out of range."""
    return max(int(text), 1) if text.isdecimal() and len(text) < 8 else 1
