"""Protection against forged requests, injected markup, and text that cannot be stored."""

from __future__ import annotations

from flask import Flask, Response, abort, request
from flask.globals import request_ctx
from flask_wtf import CSRFProtect
from werkzeug.datastructures import Headers

from webapp.values.text import is_encodable

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "font-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)

csrf = CSRFProtect()


def init_app(app: Flask) -> None:
    app.before_request(_reject_invalid_host)
    app.before_request(_reject_unencodable_text)
    csrf.init_app(app)
    app.after_request(_add_headers)


def _reject_invalid_host() -> Response | None:
    """Answer 400 if the Host header is no host name.

    The answer is plain text, because a page can't contain URLs without a valid host name.
    """
    if request_ctx.url_adapter is not None:
        return None
    message = "The Host header of this request isn’t a valid host name."
    return Response(message, 400, content_type="text/plain; charset=utf-8")


def _reject_unencodable_text() -> None:
    """Answer 400 if a text in the request contains NUL or half of a surrogate pair.

    Nobody types such text, and PostgreSQL cannot store it.
    """
    pairs = (*request.args.items(multi=True), *request.form.items(multi=True))
    names = (upload.filename or "" for upload in request.files.values())
    texts = (request.path, *(text for pair in pairs for text in pair), *names)
    if not all(map(is_encodable, texts)):
        abort(400)


def _add_headers(response: Response) -> Response:
    add_security_headers(response.headers)
    # Pages may contain data that only this person may see.
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def add_security_headers(headers: Headers) -> None:
    """Add the headers that protect pages and static files."""
    headers["Content-Security-Policy"] = POLICY
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "same-origin"
