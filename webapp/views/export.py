"""Export: download the images, or the entries of the audit log, that match a search."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from flask import Response, g, request

from webapp.access import Right
from webapp.audit.log import Entry
from webapp.search import catalogue
from webapp.search.audit_log import finder
from webapp.transfer import audit_export, export
from webapp.views.audit import requested_query
from webapp.views.image_access import sees_credentials
from webapp.views.scope_pages import needs, pages
from webapp.web import downloads

ImageChunks = Callable[..., Iterator[str]]
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


@pages.get("/audit/export.jsonl")
@needs(Right.VIEW_AUDIT)
def export_audit_jsonl() -> Response:
    return _stream_entries(audit_export.json_line_chunks, "jsonl", "application/jsonl")


def _stream_images(chunks: ImageChunks, extension: str, content_type: str) -> Response:
    query = catalogue.parse_search(g.scope, request.args.get("q", ""))
    images = catalogue.iterate_images(g.actor, g.scope, query)
    texts = chunks(images, g.scope, show_credentials=sees_credentials())
    return downloads.stream(texts, export.file_name(g.scope, extension), content_type)


def _stream_entries(chunks: EntryChunks, extension: str, content_type: str) -> Response:
    query = requested_query()
    query.require_understood()
    texts = chunks(finder.iterate_entries(g.scope, query))
    return downloads.stream(texts, export.file_name(g.scope, extension, "audit-log"), content_type)
