"""Headers and tokens that keep other sites and injected markup out."""

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
    app.before_request(_refuse_nul)
    csrf.init_app(app)
    app.after_request(_headers)


def _refuse_nul() -> None:
    """No text that a person types holds a NUL, and PostgreSQL cannot store one: 400."""
    texts = [request.path, *request.args.values(), *request.form.values()]
    if any("\x00" in text for text in texts):
        abort(400)


def _headers(response: Response) -> Response:
    headers = response.headers
    headers["Content-Security-Policy"] = POLICY
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "same-origin"
    # Pages show what only this person may see; files under static/ are the same for all.
    headers.setdefault("Cache-Control", "no-store")
    return response
