"""What goes wrong outside a form, as pages: each says what happened and what to do next."""

from __future__ import annotations

import logging

from flask import Flask, Response
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException, InternalServerError

from webapp.access import Forbidden
from webapp.credentials.vault import VaultError
from webapp.web.logs import request_id
from webapp.web.rendering import render

log = logging.getLogger(__name__)

WORDS = {
    400: ("This request was not understood", "Go back, reload the page and try once more."),
    403: ("You may not do this here", "Ask an admin of this scope for the role that it needs."),
    404: (
        "There is no such page",
        "It may have been deleted, or you may not be a member of its scope.",
    ),
    405: ("This address does not work that way", "Go back and use the page's own buttons."),
    413: ("That is too much at once", "Send less than one megabyte, or, to import, ten."),
    500: ("Something went wrong here", "It is in the log. Try again; nothing was half done."),
}


def init_app(app: Flask) -> None:
    app.register_error_handler(Forbidden, _forbidden)
    app.register_error_handler(VaultError, _vault)
    app.register_error_handler(CSRFError, _csrf)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(InternalServerError, _internal)


def _forbidden(error: Forbidden) -> Response:
    log.info("refused: %s", error)
    return _page(403)


def _csrf(_error: CSRFError) -> Response:
    return _page(
        400, "This form is too old", "You were signed out since, or the page is stale. Reload it."
    )


def _vault(error: VaultError) -> Response:
    log.error("%s", error)
    return _page(500, "These credentials cannot be read", str(error))


def _http(error: HTTPException) -> Response:
    response = _page(error.code or 500)
    if error.response is not None:
        return error.get_response()  # type: ignore[return-value]
    for name, value in error.get_headers():
        if name.lower() in {"allow", "retry-after"}:
            response.headers[name] = value
    return response


def _internal(_error: InternalServerError) -> Response:
    return _page(500)


def _page(status: int, title: str = "", advice: str = "") -> Response:
    words = WORDS.get(status, ("This did not work", "Go back and try again."))
    return render(
        "layout/error.html",
        status=status,
        title=title or words[0],
        advice=advice or words[1],
        request_id=request_id() if status >= 500 else "",
    )
