"""The errors of the API, as problem documents (RFC 9457).

Every response with an error is such a document, whatever raised the error: a use case, the parser
of the request, Flask, or the database. `KINDS` and `docs/api.md` list the kinds of problems.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from flask import Flask, Response, g, request
from msgspec import UNSET, Meta, Struct, UnsetType
from peewee import DatabaseError, IntegrityError
from werkzeug.exceptions import HTTPException

from models import (
    DATABASE_FAILURES,
    Image,
    OutcomeUnknown,
    RecordChanged,
    RecordGone,
)
from webapp.access import Forbidden, weakest_role_with
from webapp.api.urls import image_url
from webapp.clouds.errors import CallsInProgress, CloudError, CloudThrottled, CloudUnreachable
from webapp.credentials.vault import VaultError
from webapp.database import record_failure
from webapp.images.identity import AlreadyRegistered
from webapp.people.accounts import HashingBusy
from webapp.people.attempts import TooManyAttempts
from webapp.refusals import Refusal
from webapp.repeatable_requests import ClaimLost, KeyInUse, KeyReused
from webapp.revisions.conflicts import EditConflict, RecordDeleted
from webapp.search.language import NotUnderstood
from webapp.single_sign_on.issuers import AnswerRefused, ProviderUnavailable
from webapp.single_sign_on.token_exchange import ExchangeRefused
from webapp.tokens.verifier import TokenRefused
from webapp.transfer.downloads import TooManyExports
from webapp.transfer.uploads import TooManyUploads
from webapp.web.error_pages import MAYBE_SAVED, NOT_SAVED, OUTAGES, RETRY_SECONDS
from webapp.web.logs import new_request_id, request_id
from webapp.web.security import HEADERS

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:problem-type:"
CLOUD_RETRY_SECONDS = 10
"""The value of the header Retry-After if a cloud is busy and does not say how long to wait.

It is also the value if an identity provider is unavailable.
"""

LONGEST_ECHO = 60
"""The maximum length of a text that an error quotes from the request. See `shorten`."""
TOKEN_ENDPOINT = "api.exchange_token"  # noqa: S105  the name of a view
TOO_MANY = "too-many-requests"
KINDS: Mapping[str, tuple[int, str]] = {
    "invalid-request": (400, "The request can’t be read"),
    "id-token-refused": (400, "This ID token can’t be exchanged"),
    "search-not-understood": (400, "A part of the search can’t be used"),
    "not-authenticated": (401, "A valid token is required"),
    "forbidden": (403, "This token doesn’t allow this request"),
    "not-found": (404, "There is nothing at this URL"),
    "method-not-allowed": (405, "This URL doesn’t accept this method"),
    "conflict": (409, "The record is not in the state that this request needs"),
    "idempotency-key-in-use": (409, "A request with this key is in progress"),
    "already-registered": (409, "The image is already registered"),
    "deleted": (410, "The image was deleted"),
    "precondition-failed": (412, "The record has changed"),
    "too-large": (413, "The request is too large"),
    "url-too-long": (414, "The URL is too long"),
    "unsupported-media-type": (415, "The body must be JSON"),
    "invalid-values": (422, "Some values can’t be used"),
    "refused": (422, "This couldn’t be done"),
    "idempotency-key-reused": (422, "This key belongs to another request"),
    "cloud-refused": (422, "The cloud refused the request"),
    "precondition-required": (428, "The header If-Match is required"),
    TOO_MANY: (429, "Too many requests"),
    "headers-too-large": (431, "The headers of the request are too large"),
    "internal-error": (500, "Something went wrong"),
    "credentials-unreadable": (500, "These credentials can’t be decrypted"),
    "unavailable": (503, "The registry isn’t available"),
    "cloud-busy": (503, "The cloud or the registry limits calls"),
    "cloud-unreachable": (504, "The cloud didn’t respond"),
}
"""The status and the title of each kind of problem. The type of a problem contains its kind."""
STATUS_KINDS = {
    400: "invalid-request",
    401: "not-authenticated",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    414: "url-too-long",
    415: "unsupported-media-type",
    431: "headers-too-large",
}
"""The kinds of the errors that Flask or the server itself raises, by status."""
ADVICE = {
    "not-found": (
        "The record may have been deleted, or this token may not have access to the record’s "
        "scope. Check the URL."
    ),
    "method-not-allowed": "The header Allow has the methods that this URL accepts.",
    "too-large": "The body of a request can have up to 1 MB, or up to 20 MB for an import.",
    "url-too-long": "A URL can have up to 8,000 characters. Send fewer or shorter parameters.",
    "headers-too-large": "A request can have up to 100 headers, each of up to 8,000 characters.",
    "unsupported-media-type": "Send JSON, with the header “Content-Type: application/json”.",
    "internal-error": (
        "The error was logged. No partial changes were saved. Try again. If the problem persists, "
        "tell your administrator the request ID."
    ),
    "conflict": "Nothing was saved. Read the record again, then try again.",
}
"""The detail of a problem if the error itself has no message."""
FIELD_NAMES = {"confirmed": "accept_losses", "image_id": "cloud_image_id"}
"""The names of fields in the API, by their names in use cases.

Fields that have the same name in both are left out.
"""


class FieldError(Struct):
    """One value that can't be used."""

    field: Annotated[
        str, Meta(description="The name of the field or query parameter, or '' for the whole body.")
    ]
    detail: str


class Existing(Struct):
    """The image that is already registered."""

    id: int
    name: str
    url: str


class Problem(Struct):
    """An error (RFC 9457)."""

    type: Annotated[str, Meta(description="Identifies the kind of problem.")]
    title: str
    status: int
    detail: Annotated[str, Meta(description="What is wrong, and what to do next.")]
    request_id: Annotated[str, Meta(description="Identifies the request in the server's log.")]
    errors: list[FieldError] | UnsetType = UNSET
    existing: Existing | UnsetType = UNSET
    error: Annotated[
        str | UnsetType, Meta(description="The error code of OAuth 2.0. Only for `POST /token`.")
    ] = UNSET


class ApiProblem(Exception):
    """A problem that the API itself finds, such as a malformed request.

    `kind` is a key of KINDS.
    """

    def __init__(
        self,
        kind: str,
        detail: str = "",
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail or kind)
        self.kind, self.detail = kind, detail or ADVICE.get(kind, "")
        self.errors, self.headers = list(errors), dict(headers or {})


def invalid_value(field: str, message: str) -> ApiProblem:
    """Return the problem that the value of one field can't be used."""
    return ApiProblem("invalid-values", message, [FieldError(field, message)])


def init_app(app: Flask) -> None:
    """Answer every error with a problem document."""
    app.register_error_handler(ApiProblem, _api_problem)
    app.register_error_handler(Refusal, _refusal)
    app.register_error_handler(NotUnderstood, _not_understood)
    app.register_error_handler(AlreadyRegistered, _already_registered)
    app.register_error_handler(Forbidden, _forbidden)
    app.register_error_handler(CloudError, _cloud_error)
    app.register_error_handler(VaultError, _vault_error)
    for conflict in (RecordChanged, RecordGone, ClaimLost, IntegrityError):
        app.register_error_handler(conflict, _simultaneous_change)
    for failure in (*DATABASE_FAILURES, DatabaseError):
        app.register_error_handler(failure, _database_failure)
    app.register_error_handler(HTTPException, _http_error)


def answer_problem(
    kind: str,
    detail: str = "",
    *,
    errors: Sequence[FieldError] = (),
    existing: Image | None = None,
    title: str = "",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the response for a problem. `kind` is a key of KINDS."""
    status, default_title = KINDS[kind]
    problem = Problem(
        type=TYPE_PREFIX + kind,
        title=title or default_title,
        status=status,
        detail=detail or ADVICE.get(kind, ""),
        request_id=request_id(),
        errors=list(errors) or UNSET,
        existing=Existing(existing.id, existing.name, image_url(existing)) if existing else UNSET,
        error=_oauth_error(status) if request.endpoint == TOKEN_ENDPOINT else UNSET,
    )
    response = Response(msgspec.json.encode(problem), status, mimetype=MEDIA_TYPE)
    response.headers.extend(dict(headers or {}))
    return response


def _oauth_error(status: int) -> str:
    """Return the error code that clients of OAuth expect (RFC 6749)."""
    if status >= 500:
        return "server_error" if status == 500 else "temporarily_unavailable"
    return "invalid_request"


def too_many_at_once(request_id: str) -> Response:
    """Return the response to a request that `PersonLimits` refuses, before Flask sees it."""
    status, title = KINDS[TOO_MANY]
    detail = "Too many of your requests are in progress. Wait a moment, then try again."
    problem = Problem(TYPE_PREFIX + TOO_MANY, title, status, detail, request_id)
    return Response(msgspec.json.encode(problem), status, mimetype=MEDIA_TYPE)


def refused_request(status: int) -> Response:
    """Return the response to a request that the server refused before the app saw it.

    See `webapp.web.error_pages.refused_request`, which is for requests to pages.
    """
    kind = STATUS_KINDS[status if status in {414, 431} else 400]
    if status == 500:
        kind = "internal-error"
    status, title = KINDS[kind]
    detail = ADVICE.get(kind, "The server couldn’t read this request.")
    reference = new_request_id()
    log.warning("refused a request to the API (%s): %s", reference, kind)
    problem = Problem(TYPE_PREFIX + kind, title, status, detail, reference)
    headers = {**HEADERS, "Cache-Control": "no-store", "X-Request-ID": reference}
    return Response(msgspec.json.encode(problem), status, headers, mimetype=MEDIA_TYPE)


def _api_problem(error: ApiProblem) -> Response:
    return answer_problem(error.kind, error.detail, errors=error.errors, headers=error.headers)


def _refusal(error: Refusal) -> Response:
    headers: dict[str, str] = {}
    if retry_after := getattr(error, "retry_after", None):
        headers["Retry-After"] = str(retry_after)
    if isinstance(error, ProviderUnavailable):
        headers["Retry-After"] = str(CLOUD_RETRY_SECONDS)
    message = error.message
    if isinstance(error, EditConflict):
        message = error.message_for(g.actor.person)
    if isinstance(error, TokenRefused):
        headers["WWW-Authenticate"] = CHALLENGE
    name = FIELD_NAMES.get(error.field, error.field)
    errors = [FieldError(name, message)] if name else []
    return answer_problem(_kind_of(error), message, errors=errors, headers=headers)


CHALLENGE = 'Bearer realm="Image Registry", Basic realm="Image Registry"'
"""The value of the header WWW-Authenticate of a response with the status 401."""
_REFUSAL_KINDS: Sequence[tuple[type[Refusal], str]] = (
    (TokenRefused, "not-authenticated"),
    (TooManyAttempts, TOO_MANY),
    (TooManyExports, TOO_MANY),
    (TooManyUploads, TOO_MANY),
    (HashingBusy, "unavailable"),
    (ProviderUnavailable, "unavailable"),
    (ExchangeRefused, "id-token-refused"),
    (AnswerRefused, "id-token-refused"),
    (KeyInUse, "idempotency-key-in-use"),
    (KeyReused, "idempotency-key-reused"),
    (RecordDeleted, "not-found"),
    (EditConflict, "conflict"),
)


def _kind_of(error: Refusal) -> str:
    for refusal, kind in _REFUSAL_KINDS:
        if isinstance(error, refusal):
            return kind
    return "invalid-values" if error.field else "refused"


def _not_understood(error: NotUnderstood) -> Response:
    """Return the problem with an error for each part of the search that can’t be used."""
    problems = error.query.problems
    detail = " ".join(problem.message for problem in problems)
    errors = [FieldError("q", problem.message) for problem in problems]
    return answer_problem("search-not-understood", detail, errors=errors)


def _already_registered(error: AlreadyRegistered) -> Response:
    return answer_problem("already-registered", error.message, existing=error.image)


def _forbidden(error: Forbidden) -> Response:
    """Return the problem, which says what to do next.

    The client has to use the URL at the scope that owns the record, the owner of the token has to
    set up a second factor, or the token needs a stronger role.
    """
    log.info("refused: %s", error)
    scope = error.scope
    if g.actor.may(error.right, scope):
        # The request used the URL of a scope that inherits the record.
        detail = (
            f"This record belongs to {scope.label}, and can be changed only there. Use the "
            f"record’s URL at {scope.label}."
        )
    elif g.actor.lacks_factor(scope, error.right):
        detail = (
            f"At {scope.label}, a role of the token’s owner counts only with a second factor. The "
            "owner can set one up on the Sign-in and security page."
        )
    else:
        role = weakest_role_with(error.right).capitalize()
        detail = f"The token needs the role {role} at {scope.label}."
    return answer_problem("forbidden", detail)


def _cloud_error(error: CloudError) -> Response:
    if isinstance(error, CloudThrottled | CallsInProgress):
        seconds = math.ceil(error.retry_after) or CLOUD_RETRY_SECONDS
        return answer_problem("cloud-busy", str(error), headers={"Retry-After": str(seconds)})
    if isinstance(error, CloudUnreachable):
        return answer_problem("cloud-unreachable", str(error))
    return answer_problem("cloud-refused", str(error))


def _vault_error(error: VaultError) -> Response:
    log.error("%s", error)
    return answer_problem("credentials-unreadable", error.message)


def _simultaneous_change(error: Exception) -> Response:
    log.warning("refused a simultaneous change: %s", error, exc_info=error)
    return answer_problem("conflict")


def _database_failure(error: Exception) -> Response:
    """Return the problem for a failure of the database, without using the database or Redis."""
    failure = record_failure(error)
    if failure is None:
        log.error("the database failed", exc_info=error)
        return answer_problem("internal-error")
    title, advice = OUTAGES[failure]
    if request.method not in {"GET", "HEAD"}:
        advice = (MAYBE_SAVED if isinstance(error, OutcomeUnknown) else NOT_SAVED) + advice
    headers = {"Retry-After": str(RETRY_SECONDS)}
    return answer_problem("unavailable", advice, title=title, headers=headers)


def _http_error(error: HTTPException) -> Response:
    if error.response is not None:
        return error.get_response()  # type: ignore[return-value]
    status = error.code or 500
    kind = STATUS_KINDS.get(status, "invalid-request" if status < 500 else "internal-error")
    copied_names: Any = ("allow", "retry-after")
    headers = {name: value for name, value in error.get_headers() if name.lower() in copied_names}
    return answer_problem(kind, headers=headers)
