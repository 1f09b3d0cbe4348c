"""Protection against forged requests, injected markup, and NUL characters."""

from __future__ import annotations

from flask import Flask, Response, abort, request
from flask_wtf import CSRFProtect

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "font-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)

csrf = CSRFProtect()


def init_app(app: Flask) -> None:
    app.before_request(_reject_nul)
    csrf.init_app(app)
    app.after_request(_add_headers)


def _reject_nul() -> None:
    """Answer 400 if a text contains NUL. Nobody types a NUL, and PostgreSQL cannot store it."""
    texts = [request.path, *request.args.values(), *request.form.values()]
    if any("\x00" in text for text in texts):
        abort(400)


def _add_headers(response: Response) -> Response:
    headers = response.headers
    headers["Content-Security-Policy"] = POLICY
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "same-origin"
    # Pages may contain data that only this person may see. Responses with static files already have
    # a Cache-Control header.
    headers.setdefault("Cache-Control", "no-store")
    return response
