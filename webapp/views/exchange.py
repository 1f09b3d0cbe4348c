"""Export: what a search finds, as a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from flask import Response, g, request

import models
from models import Image, Scope
from webapp.access import Right
from webapp.search import catalogue
from webapp.search import language as search
from webapp.transfer import export as exchange
from webapp.views.scope_pages import needs, pages

Writer = Callable[[Iterable[Image], Scope], Iterator[str]]


@pages.get("/images/export.csv")
@needs(Right.VIEW_IMAGES)
def export_csv() -> Response:
    return _download(exchange.as_csv, "csv", "text/csv")


@pages.get("/images/export.json")
@needs(Right.VIEW_IMAGES)
def export_json() -> Response:
    return _download(exchange.as_json, "json", "application/json")


def _download(write: Writer, ending: str, kind: str) -> Response:
    """Sent while it is read, so that neither memory nor patience bounds it."""
    query = search.parse(request.args.get("q", ""))
    text = write(catalogue.each(g.actor, g.scope, query), g.scope)
    response = Response(_connected(text), content_type=f"{kind}; charset=utf-8")
    name = exchange.file_name(g.scope, ending)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _connected(text: Iterator[str]) -> Iterator[str]:
    """By the time that it is read the request is over, and its connection given back."""
    opened = models.database.connect(reuse_if_open=True)
    try:
        yield from text
    finally:
        if opened:
            models.database.close()
