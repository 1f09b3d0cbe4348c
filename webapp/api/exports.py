"""Exports of images and of the audit log. The responses are files, and are sent in parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC
from typing import Annotated

from flask import g
from msgspec import Meta, Struct

from webapp.access import Right
from webapp.api.audit import TAG as AUDIT_TAG
from webapp.api.images import TAG as IMAGES_TAG
from webapp.api.operations import JSON, Answer, Download, operation
from webapp.audit.log import Entry
from webapp.search import catalogue
from webapp.search.audit_log import finder
from webapp.search.audit_log.parser import parse_search
from webapp.transfer import audit_export, export

CSV, JSON_LINES = "text/csv", "application/jsonl"
EXTENSIONS = {CSV: "csv", JSON: "json", JSON_LINES: "jsonl"}
PROBLEMS = ("search-not-understood", "too-many-requests")


class ExportQuery(Struct, forbid_unknown_fields=True):
    """The parameters of an export."""

    q: Annotated[
        str, Meta(description="A search, as in the search box of the Images or Audit log page.")
    ] = ""


@operation(
    "GET /images/export.csv",
    tag=IMAGES_TAG,
    right=Right.VIEW_IMAGES,
    problems=PROBLEMS,
    media_type=CSV,
)
def export_images_csv(query: ExportQuery) -> Answer[Download]:
    """Export all images that match a search, as CSV."""
    return _images(query, export.csv_chunks, CSV)


@operation("GET /images/export.json", tag=IMAGES_TAG, right=Right.VIEW_IMAGES, problems=PROBLEMS)
def export_images_json(query: ExportQuery) -> Answer[Download]:
    """Export all images that match a search, as JSON."""
    return _images(query, export.json_chunks, JSON)


@operation(
    "GET /audit/export.csv",
    tag=AUDIT_TAG,
    right=Right.VIEW_AUDIT,
    problems=PROBLEMS,
    media_type=CSV,
)
def export_audit_csv(query: ExportQuery) -> Answer[Download]:
    """Export all audit log entries that match a search, as CSV."""
    return _entries(query, audit_export.csv_chunks, CSV)


@operation("GET /audit/export.json", tag=AUDIT_TAG, right=Right.VIEW_AUDIT, problems=PROBLEMS)
def export_audit_json(query: ExportQuery) -> Answer[Download]:
    """Export all audit log entries that match a search, as JSON."""
    return _entries(query, audit_export.json_chunks, JSON)


@operation(
    "GET /audit/export.jsonl",
    tag=AUDIT_TAG,
    right=Right.VIEW_AUDIT,
    problems=PROBLEMS,
    media_type=JSON_LINES,
)
def export_audit_jsonl(query: ExportQuery) -> Answer[Download]:
    """Export all audit log entries that match a search, as JSON lines."""
    return _entries(query, audit_export.json_line_chunks, JSON_LINES)


def _images(
    query: ExportQuery, chunks: Callable[..., Iterator[str]], media_type: str
) -> Answer[Download]:
    parsed = catalogue.parse_search(g.scope, query.q)
    parsed.require_understood()
    images = catalogue.iterate_images(g.actor, g.scope, parsed)
    show_credentials = g.actor.may(Right.LIST_CREDENTIALS, g.scope)
    texts = chunks(images, g.scope, show_credentials=show_credentials)
    return _answer(texts, media_type, "images")


def _entries(
    query: ExportQuery,
    chunks: Callable[[Iterable[Iterable[Entry]]], Iterator[str]],
    media_type: str,
) -> Answer[Download]:
    parsed = parse_search(g.actor, g.scope, query.q, UTC)
    parsed.require_understood()
    texts = chunks(finder.iterate_entries(g.scope, parsed))
    return _answer(texts, media_type, "audit-log")


def _answer(texts: Iterator[str], media_type: str, subject: str) -> Answer[Download]:
    name = export.file_name(g.scope, EXTENSIONS[media_type], subject)
    return Answer(Download(texts, name, media_type))
