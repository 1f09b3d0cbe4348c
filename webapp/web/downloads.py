"""Stream exports to browsers and programs while the records are read from the database."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Response, g

from models import open_connection
from webapp.web.services import services


def stream(texts: Iterator[str], name: str, media_type: str) -> Response:
    """Return a download that is sent while `texts` is read.

    Memory use does not grow with the number of records. Raises TooManyExports.
    """
    response = Response(_with_connection(texts), content_type=f"{media_type}; charset=utf-8")
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
