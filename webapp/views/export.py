"""Export: download the images, or the entries of the audit log, that match a search."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from flask import Response, g, request

from models import Image, Scope, open_connection
from webapp.access import Right
from webapp.audit.log import Entry
from webapp.search import catalogue
from webapp.search.audit_log import finder
from webapp.transfer import audit_export, export
from webapp.views.audit import requested_query
from webapp.views.scope_pages import needs, pages
from webapp.web.services import services

Chunks = Callable[[Iterable[Image], Scope], Iterator[str]]
EntryChunks = Callable[[Iterable[Iterable[Entry]]], Iterator[str]]


@pages.get("/images/export.csv")
@needs(Right.VIEW_IMAGES)
def export_csv() -> Response:
    return _stream_images(export.csv_chunks, "csv", "text/csv")


@pages.get("/images/export.json")
@needs(Right.VIEW_IMAGES)
def export_json() -> Response:
    return _stream_images(export.json_chunks, "json", "application/json")


@pages.get("/audit/export.csv")
@needs(Right.VIEW_AUDIT)
def export_audit_csv() -> Response:
    return _stream_entries(audit_export.csv_chunks, "csv", "text/csv")


@pages.get("/audit/export.json")
@needs(Right.VIEW_AUDIT)
def export_audit_json() -> Response:
    return _stream_entries(audit_export.json_chunks, "json", "application/json")


def _stream_images(chunks: Chunks, extension: str, content_type: str) -> Response:
    query = catalogue.parse_search(g.scope, request.args.get("q", ""))
    texts = chunks(catalogue.iterate_images(g.actor, g.scope, query), g.scope)
    return _stream(texts, export.file_name(g.scope, extension), content_type)


def _stream_entries(chunks: EntryChunks, extension: str, content_type: str) -> Response:
    query = requested_query()
    query.require_understood()
    texts = chunks(finder.iterate_entries(g.scope, query))
    return _stream(texts, export.file_name(g.scope, extension, "audit-log"), content_type)


def _stream(texts: Iterator[str], name: str, content_type: str) -> Response:
    """Return a download that is sent while the records are read.

    Memory use therefore does not grow with the number of records. Raises TooManyExports.
    """
    response = Response(_with_connection(texts), content_type=f"{content_type}; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    account = g.scope.path.partition("/")[0]
    response.call_on_close(services().downloads.begin(g.actor.person.id, account))
    return response


def _with_connection(texts: Iterator[str]) -> Iterator[str]:
    """Yield the chunks of text with an open database connection.

    Flask reads the chunks after the request has ended. At that time, the request's own connection
    is already closed.
    """
    with open_connection():
        yield from texts
