"""Export: download the images that match a search."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from flask import Response, g, request

from models import Image, Scope, open_connection
from webapp.access import Right
from webapp.search import catalogue
from webapp.transfer import export
from webapp.views.scope_pages import needs, pages
from webapp.web.services import services

Chunks = Callable[[Iterable[Image], Scope], Iterator[str]]


@pages.get("/images/export.csv")
@needs(Right.VIEW_IMAGES)
def export_csv() -> Response:
    return _stream(export.csv_chunks, "csv", "text/csv")


@pages.get("/images/export.json")
@needs(Right.VIEW_IMAGES)
def export_json() -> Response:
    return _stream(export.json_chunks, "json", "application/json")


def _stream(chunks: Chunks, extension: str, content_type: str) -> Response:
    """Return a download that is sent while the images are read.

    Memory use therefore does not grow with the number of images. Raises TooManyExports.
    """
    query = catalogue.parse_search(g.scope, request.args.get("q", ""))
    texts = chunks(catalogue.iterate_images(g.actor, g.scope, query), g.scope)
    response = Response(_with_connection(texts), content_type=f"{content_type}; charset=utf-8")
    name = export.file_name(g.scope, extension)
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
