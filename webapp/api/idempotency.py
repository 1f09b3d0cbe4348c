"""Let clients use the header Idempotency-Key to repeat a POST whose response they did not get.

`webapp.repeatable_requests` stores the responses, and explains why a request claims its key.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from flask import Response, g, request

from models import DATABASE_FAILURES, transaction
from webapp import repeatable_requests
from webapp.api.authentication import IDEMPOTENCY_KEY
from webapp.api.problems import ApiProblem
from webapp.repeatable_requests import Claim, ClaimLost
from webapp.tokens.verifier import TokenRefused
from webapp.web.services import services

log = logging.getLogger(__name__)

HEADER = IDEMPOTENCY_KEY
KEY = re.compile(r"[!-~]{1,255}")
STORED_HEADERS = ("Content-Type", "Location", "ETag")


def answer_once(
    prepare: Callable[[], Any], answer: Callable[[Any], Response], *, atomic: bool
) -> Response:
    """Return the response of an operation, or the stored response to an earlier attempt.

    `prepare` does the work that needs no transaction, such as calls to a cloud. `answer` gets the
    result of `prepare`. If `atomic` is true, one transaction saves both the response and the
    changes that `answer` makes. Otherwise, the response is stored after the changes are saved.
    Only the responses of successful requests are stored, so a client can repeat a request that
    failed. A request with the previous text of a rotated token can get a stored response, but does
    no work. Raises ApiProblem, KeyInUse, KeyReused, TokenRefused and, if `atomic` is true,
    ClaimLost.
    """
    key = request.headers[HEADER]
    if not KEY.fullmatch(key):
        message = f"The header {HEADER} needs 1 to 255 visible ASCII characters."
        raise ApiProblem("invalid-request", message)
    request_bytes = f"{request.method} {request.full_path}\n".encode() + request.get_data()
    vault, owner = services().vault, g.actor.token.key
    if g.may_only_repeat:
        document = repeatable_requests.stored_response(vault, owner, key, request_bytes)
        if document is None:
            raise TokenRefused("This token was rotated. Use its new text.")
        return _stored_response(document)
    claim = repeatable_requests.claim(vault, owner, key, request_bytes)
    if not isinstance(claim, Claim):
        return _stored_response(claim)
    try:
        prepared = prepare()
        if atomic:
            with transaction():
                response = answer(prepared)
                claim.store(_to_json(response))
            return response
        response = answer(prepared)
    except Exception:
        with suppress(*DATABASE_FAILURES):  # If the release fails, the claim expires later.
            claim.release()
        raise
    try:
        claim.store(_to_json(response))
    except (ClaimLost, *DATABASE_FAILURES) as error:
        # The work is done, so an error would be wrong.
        log.warning(
            "could not store the response to a request with an Idempotency-Key", exc_info=error
        )
    return response


def _to_json(response: Response) -> dict[str, Any]:
    headers = {name: response.headers[name] for name in STORED_HEADERS if name in response.headers}
    return {"status": response.status_code, "headers": headers, "body": response.get_data(True)}


def _stored_response(document: dict[str, Any]) -> Response:
    response = Response(document["body"], document["status"], document["headers"])
    response.headers["Idempotency-Replayed"] = "true"
    return response
