"""Error pages for every error that a view does not handle itself.

Each page says what happened and what to do next.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from flask import Flask, Response, g, request, url_for
from peewee import DatabaseError, IntegrityError
from werkzeug.exceptions import HTTPException, InternalServerError

from models import (
    DATABASE_FAILURES,
    Failure,
    Level,
    OutcomeUnknown,
    Person,
    RecordChanged,
    RecordGone,
)
from webapp.access import Forbidden, weakest_role_with
from webapp.credentials.vault import VaultError
from webapp.database import record_failure
from webapp.images.identity import AlreadyRegistered
from webapp.people import members
from webapp.people.accounts import HashingBusy
from webapp.refusals import Refusal
from webapp.revisions.conflicts import EditConflict, RecordDeleted
from webapp.search.audit_log.query import Query as AuditLogQuery
from webapp.search.language import NotUnderstood
from webapp.transfer.downloads import TooManyExports
from webapp.transfer.uploads import TooManyUploads
from webapp.web import plain_pages
from webapp.web.factor_missing import render_factor_missing
from webapp.web.logs import request_id
from webapp.web.rendering import render, render_outage, render_refusal
from webapp.web.resumed_forms import UnsentForm, current_unsent_form
from webapp.web.security import HEADERS

log = logging.getLogger(__name__)

TEXTS = {
    400: ("Bad request", "The server couldn’t read this request. Go back, reload, and try again."),
    401: ("Your session has ended", "Sign in, then try again."),
    403: (
        "You don’t have permission to do this",
        "You need a different role at this scope. Ask one of its admins.",
    ),
    404: (
        "Page not found",
        "It may have been deleted, or you may not have access to its scope. Check the URL.",
    ),
    405: ("This link can’t be opened directly", "Go back and use the buttons on the page."),
    409: (
        "This was changed at the same moment",
        "Nothing was saved. Go back, reload the page, and try again.",
    ),
    413: (
        "The request is too large",
        "Import files can have up to 10 MB, other requests up to 1 MB. Try again with less data.",
    ),
    414: (
        "The URL is too long",
        "Go back, shorten what you entered, and try again.",
    ),
    422: ("This couldn’t be done", "Go back, check what you entered, and try again."),
    429: ("Too many requests", "Wait a few minutes, then try again."),
    431: (
        "The headers of the request are too large",
        "Delete the cookies of this site in your browser, then try again.",
    ),
    500: (
        "Something went wrong",
        "The error was logged. No partial changes were saved. Try again.",
    ),
    503: ("The registry isn’t available", "Wait a moment, then try again."),
}
"""Title and advice by HTTP status."""
OUTAGES = {
    Failure.BUSY: (
        "The registry is busy",
        "The database didn’t answer in time. Wait a moment, then try again.",
    ),
    Failure.UNREACHABLE: (
        "The registry can’t reach its database",
        "This usually lasts only a moment. If it lasts longer, tell your administrator.",
    ),
    Failure.FULL: (
        "The registry can’t save changes",
        "The disk of its database is full or has failed. Tell your administrator.",
    ),
    Failure.READ_ONLY: (
        "The registry can’t save changes",
        "Its database is read-only at the moment. Tell your administrator if this lasts.",
    ),
    Failure.DAMAGED: (
        "The registry’s database is damaged",
        "Tell your administrator, who has to restore a backup.",
    ),
}
"""Title and advice by the kind of failure while the database does not work."""
NOT_SAVED = "Nothing was saved. "
MAYBE_SAVED = (
    "The connection to the database was lost while your change was being saved. Check whether it "
    "was saved before you try again. "
)
RETRY_SECONDS = 5
"""The value of the header Retry-After while the database does not work."""
SIGN_IN_FOR_LARGE_FORM = (
    "Nothing was imported or saved. Sign in, and then choose the file or paste the text again."
)


def init_app(app: Flask) -> None:
    app.register_error_handler(Refusal, _refusal)
    app.register_error_handler(NotUnderstood, _not_understood)
    app.register_error_handler(Forbidden, _forbidden)
    app.register_error_handler(VaultError, _vault_error)
    for conflict in (RecordChanged, RecordGone, IntegrityError):
        app.register_error_handler(conflict, _changed_meanwhile)
    for failure in (*DATABASE_FAILURES, DatabaseError):
        app.register_error_handler(failure, _database_failure)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(InternalServerError, _internal_error)


def refused_request(status: int) -> Response:
    """Return the response to a request that gunicorn refused, or that the app failed to answer.

    gunicorn chooses `status`: 414 if the URL is too long, 431 if the headers are too large, or 500
    if the app failed. With any other status, usually 400, the page says that the server couldn't
    read the request.
    """
    title, advice = TEXTS[status if status in {414, 431, 500} else 400]
    headers = {
        **HEADERS,
        "Content-Security-Policy": plain_pages.POLICY,
        "Cache-Control": "no-store",
    }
    return Response(plain_pages.plain_page(title, advice), status, headers)


def _refusal(error: Refusal) -> Response:
    """Show a refusal that a view did not catch."""
    is_conflict = isinstance(error, AlreadyRegistered | EditConflict)
    status = 404 if isinstance(error, RecordDeleted) else 409 if is_conflict else 422
    if isinstance(error, TooManyExports | TooManyUploads):
        status = 429
    message = error.message
    if isinstance(error, EditConflict):
        message = error.message_for(g.actor.person)
    if isinstance(error, HashingBusy):
        response = render_refusal("The registry is busy", message, 503)
        response.headers["Retry-After"] = str(error.retry_after)
        return response
    return render_refusal("This couldn’t be done", message, status)


def _not_understood(error: NotUnderstood) -> Response:
    is_audit_log = isinstance(error.query, AuditLogQuery)
    page, endpoint = ("Audit log", ".audit_log") if is_audit_log else ("Images", ".images")
    return render(
        "list/not_understood.html",
        query=error.query,
        page=page,
        page_url=url_for(endpoint),
        status=422,
    )


def _forbidden(error: Forbidden) -> Response:
    """Say which role is needed at which scope, and list the admins whom the person can ask."""
    log.info("refused: %s", error)
    actor, scope = g.actor, error.scope
    if actor.may(error.right, scope):
        # The person used the page of a scope that inherits the record.
        advice = (
            f"This record belongs to {scope.label}, and can be changed only there. Open it at "
            f"{scope.label}."
        )
        return _error_page(403, advice=advice)
    if actor.lacks_factor(scope, error.right):
        return render_factor_missing()
    try:
        admins = members.admins_known_to(actor, scope)
    except DATABASE_FAILURES as failure:
        return _database_failure(failure)
    role = weakest_role_with(error.right)
    above = "" if scope.level is Level.SCALR else " or of a scope above it"
    whom = "one of these admins:" if admins else f"an admin of {scope.label}{above}."
    advice = f"You need the role {role.capitalize()} at {scope.label}. Ask {whom}"
    return _error_page(403, advice=advice, people=admins)


def _vault_error(error: VaultError) -> Response:
    log.error("%s", error)
    return _error_page(500, "These credentials can’t be decrypted", error.message)


def _changed_meanwhile(error: Exception) -> Response:
    log.warning("refused a simultaneous change: %s", error, exc_info=error)
    return _error_page(409)


def _database_failure(error: Exception) -> Response:
    """Say what is wrong with the database. The response needs neither the database nor Redis.

    The response to HTMX is a toast, so the form of the person stays on the page. Without HTMX, the
    response is a page. During an outage, this page contains the form that could not be processed,
    so that the person can send it again. After any other error of the database, the page only says
    that something went wrong.
    """
    failure = record_failure(error)
    if failure is None:
        log.error("the database failed", exc_info=error)
        _leave_out_person()
        return _error_page(500)
    title, advice = OUTAGES[failure]
    if request.method not in {"GET", "HEAD"}:
        advice = (MAYBE_SAVED if isinstance(error, OutcomeUnknown) else NOT_SAVED) + advice
    _leave_out_person()
    response = render_outage(title, advice, _unsent_form())
    response.headers["Retry-After"] = str(RETRY_SECONDS)
    return response


def _leave_out_person() -> None:
    """Leave the person and the scope out of the layout, because showing them needs the database."""
    g.pop("actor", None)
    g.pop("scope", None)


def _unsent_form() -> UnsentForm | None:
    """Return the form in the current request, or None if there is none or it is too large."""
    try:
        return current_unsent_form()
    except HTTPException:
        return None


def _http_error(error: HTTPException) -> Response:
    if error.response is not None:
        return error.get_response()  # type: ignore[return-value]
    if error.code == 413 and not g.get("actor") and not g.get("allows_large_body"):
        # Only people who have signed in may send large forms.
        response = _error_page(413, "Your session has ended", SIGN_IN_FOR_LARGE_FORM)
    else:
        response = _error_page(error.code or 500)
    for name, value in error.get_headers():
        if name.lower() in {"allow", "retry-after"}:
            response.headers[name] = value
    return response


def _internal_error(_error: InternalServerError) -> Response:
    return _error_page(500)


def _error_page(
    status: int, title: str = "", advice: str = "", people: Sequence[Person] = ()
) -> Response:
    default_title, default_advice = TEXTS.get(
        status, ("The request failed", "Go back and try again.")
    )
    title, advice = title or default_title, advice or default_advice
    reference = request_id() if status >= 500 else ""
    contacts = ", ".join(f"{person.name} ({person.email})" for person in people)
    toast = f"{title}. {advice} {contacts}".rstrip()
    toast += f" Request ID: {reference}." if reference else ""
    try:
        return render_refusal(
            title, advice, status, toast_message=toast, request_id=reference, people=people
        )
    except DATABASE_FAILURES as error:
        # The bookmarks of the page could not be read from the database.
        return _database_failure(error)
