"""Error pages for every error that a view does not handle itself.

Each page says what happened and what to do next.
"""

from __future__ import annotations

import logging

from flask import Flask, Response, g
from peewee import IntegrityError
from werkzeug.exceptions import HTTPException, InternalServerError

from models import (
    DATABASE_FAILURES,
    RecordChanged,
    RecordGone,
    database,
    is_transient,
)
from webapp.access import Forbidden
from webapp.credentials.vault import VaultError
from webapp.images.identity import AlreadyRegistered
from webapp.refusals import Refusal
from webapp.revisions.conflicts import EditConflict, RecordDeleted
from webapp.search.language import NotUnderstood
from webapp.web.logs import request_id
from webapp.web.rendering import render, render_refusal

log = logging.getLogger(__name__)

TEXTS = {
    400: ("Bad request", "The server couldn’t read this request. Go back, reload, and try again."),
    403: (
        "You don’t have permission to do this",
        "You need a different role at this scope. Ask one of its admins.",
    ),
    404: (
        "Page not found",
        "It may have been deleted, or you may not have access to its scope.",
    ),
    405: ("This link can’t be opened directly", "Go back and use the buttons on the page."),
    413: (
        "The request is too large",
        "Import files can have up to 10 MB, other requests up to 1 MB.",
    ),
    409: (
        "Somebody else changed this at the same moment",
        "Nothing was saved. Go back, reload the page, and try again.",
    ),
    503: (
        "The registry is busy",
        "The database didn’t answer in time, so nothing was saved. Wait a moment, then try again.",
    ),
    500: (
        "Something went wrong",
        "The error was logged. No partial changes were saved. Try again.",
    ),
}
"""Title and advice by HTTP status."""
SIGN_IN_FOR_LARGE_FORM = (
    "Nothing was imported or saved. Sign in, and then choose the file or paste the text again."
)


def init_app(app: Flask) -> None:
    app.register_error_handler(Refusal, _refusal)
    app.register_error_handler(NotUnderstood, _not_understood)
    app.register_error_handler(Forbidden, _forbidden)
    app.register_error_handler(VaultError, _vault_error)
    for changed in (RecordChanged, RecordGone, IntegrityError):
        app.register_error_handler(changed, _changed_meanwhile)
    for failure in DATABASE_FAILURES:
        app.register_error_handler(failure, _database_failure)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(InternalServerError, _internal_error)


def _refusal(error: Refusal) -> Response:
    """Show a refusal that a view did not catch."""
    is_conflict = isinstance(error, AlreadyRegistered | EditConflict)
    status = 404 if isinstance(error, RecordDeleted) else 409 if is_conflict else 422
    return render_refusal("This couldn’t be done", error.message, status)


def _not_understood(error: NotUnderstood) -> Response:
    return render("list/not_understood.html", query=error.query, status=422)


def _forbidden(error: Forbidden) -> Response:
    log.info("refused: %s", error)
    return _error_page(403)


def _vault_error(error: VaultError) -> Response:
    log.error("%s", error)
    return _error_page(500, "These credentials can’t be decrypted", error.message)


def _changed_meanwhile(error: Exception) -> Response:
    log.warning("refused a simultaneous change: %s", error, exc_info=error)
    return _error_page(409)


def _database_failure(error: Exception) -> Response:
    """Ask the person to try again, if that can help. Otherwise the error is unexpected."""
    if not is_transient(error):
        log.error("the database failed", exc_info=error)
        return _error_page(500)
    log.warning("the database is busy: %s", error)
    if not database.is_closed():
        database.close()
    try:
        response = _error_page(503)
    except DATABASE_FAILURES:
        response = Response(" ".join(TEXTS[503]), 503, content_type="text/plain; charset=utf-8")
    response.headers["Retry-After"] = "5"
    return response


def _http_error(error: HTTPException) -> Response:
    if error.code == 413 and not g.get("actor"):
        # Only people who have signed in may send large forms.
        response = _error_page(413, "Your session has ended", SIGN_IN_FOR_LARGE_FORM)
    else:
        response = _error_page(error.code or 500)
    if error.response is not None:
        return error.get_response()  # type: ignore[return-value]
    for name, value in error.get_headers():
        if name.lower() in {"allow", "retry-after"}:
            response.headers[name] = value
    return response


def _internal_error(_error: InternalServerError) -> Response:
    return _error_page(500)


def _error_page(status: int, title: str = "", advice: str = "") -> Response:
    default_title, default_advice = TEXTS.get(
        status, ("The request failed", "Go back and try again.")
    )
    return render(
        "layout/error.html",
        status=status,
        title=title or default_title,
        advice=advice or default_advice,
        request_id=request_id() if status >= 500 else "",
    )
