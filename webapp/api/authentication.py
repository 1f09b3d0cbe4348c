"""Find out who sends a request, and at which scope. The API accepts tokens and ignores cookies."""

from __future__ import annotations

from flask import Response, g, request

from models import Scope
from webapp.api.problems import CHALLENGE, ApiProblem
from webapp.clouds.outgoing.budgets import person_of_request
from webapp.tokens.rate_limits import WINDOW_SECONDS, Usage
from webapp.web.person_limits import api_token_in
from webapp.web.scope_paths import pop_scope_path
from webapp.web.services import services

IDEMPOTENCY_KEY = "Idempotency-Key"


def authenticate() -> None:
    """Set `g.actor` to the actor for the token in the request.

    The actor has at most the role of the token, and only at the scope of the token and below.

    For a short time after a token was rotated, a POST with an Idempotency-Key may still contain the
    previous text of the token. `g.may_only_repeat` is then true: the request gets a stored response
    or is refused.

    Raises ApiProblem if there is no token (401) or if the token sends too many requests (429). Also
    raises TokenRefused and TooManyAttempts.
    """
    text = _token_in_header()
    may_repeat = request.method == "POST" and IDEMPOTENCY_KEY in request.headers
    g.actor, g.may_only_repeat = services().token_verifier.authenticate_repeatable(
        text, request.remote_addr or "", may_repeat=may_repeat
    )
    person_of_request.set(g.actor.person.id)
    g.usage = services().rate_limits.count(g.actor.token.key)
    if g.usage.is_exceeded:
        raise ApiProblem(
            "too-many-requests",
            f"A token can send {g.usage.limit} requests in a minute. Wait {g.usage.seconds} "
            "seconds, then try again.",
            headers={"Retry-After": str(g.usage.seconds)},
        )


def describe_usage(response: Response) -> Response:
    """Add the headers that say how many requests the token may still send in this minute."""
    usage: Usage | None = g.get("usage")
    if usage is not None:
        response.headers["RateLimit-Policy"] = f'"token";q={usage.limit};w={WINDOW_SECONDS}'
        response.headers["RateLimit"] = f'"token";r={usage.remaining};t={usage.seconds}'
    return response


def forget(_error: BaseException | None) -> None:
    """Forget the person after the request, because the thread will serve other people."""
    person_of_request.set(None)


def find_scope(level: str, values: dict[str, str]) -> None:
    """Set `g.scope` to the scope in the URL, and remove the parts of its path from `values`.

    Raises ApiProblem (404) if there is no such scope, or if the token can't see it.
    """
    scope = Scope.at(pop_scope_path(values))
    if scope is None or scope.level != level or g.actor.role_at(scope) is None:
        raise ApiProblem("not-found")
    g.scope = scope


def _token_in_header() -> str:
    """Return the token in the header Authorization. Raises ApiProblem (401) if there is none."""
    if token := api_token_in(request.authorization):
        return token
    raise ApiProblem(
        "not-authenticated",
        "Send a token in the header “Authorization: Bearer imr_…”, or as the password of the "
        "scheme Basic.",
        headers={"WWW-Authenticate": CHALLENGE},
    )
