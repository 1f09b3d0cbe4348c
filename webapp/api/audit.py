"""The audit log of a scope."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated

from flask import g
from msgspec import Meta, Struct

from webapp.access import Right
from webapp.api.audit_documents import AuditEntry, entry_document
from webapp.api.operations import Answer, operation
from webapp.api.paging import LIMIT, EntryCursor, Limit, page_links
from webapp.api.problems import ApiProblem
from webapp.audit.log import scope_entry
from webapp.search.audit_log import finder
from webapp.search.audit_log.parser import parse_search

TAG = "Audit log"


class AuditQuery(Struct, forbid_unknown_fields=True):
    """The parameters of the audit log."""

    q: Annotated[
        str,
        Meta(description="A search, as in the search box of the Audit log page. Days are in UTC."),
    ] = ""
    limit: Limit = LIMIT
    cursor: EntryCursor = 0


class AuditLog(Struct):
    """One page of entries, newest first."""

    items: list[AuditEntry]
    next: str | None


@operation("GET /audit", tag=TAG, right=Right.VIEW_AUDIT, problems=("search-not-understood",))
def list_audit_log(query: AuditQuery) -> Answer[AuditLog]:
    """List or search the audit log of a scope and of the scopes below."""
    parsed = parse_search(g.actor, g.scope, query.q, UTC)
    parsed.require_understood()
    page = finder.find_page(g.scope, parsed, before=query.cursor, size=query.limit, fold=False)
    document = AuditLog([entry_document(line.entry) for line in page.lines], None)
    document.next, headers = page_links(str(page.older or ""))
    return Answer(document, headers=headers)


@operation("GET /audit/<int:entry_id>", tag=TAG, right=Right.VIEW_AUDIT)
def get_audit_entry(entry_id: int) -> Answer[AuditEntry]:
    """Get an entry of the audit log, with long values in full."""
    entry = scope_entry(g.scope, entry_id)
    if entry is None:
        raise ApiProblem("not-found")
    return Answer(entry_document(entry))
