"""Behaviors of Azure for `sandbox.faulty`, for single tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sandbox import azure, faulty
from sandbox.azure_manager import json_answer
from sandbox.faulty import Answer, Behavior, Request

LOGIN = ("/oauth2/", "/.well-known/")
TRACE = "Trace ID: 1 Correlation ID: 2 Timestamp: 2026-11-01 00:00:00Z"
MISSING_ACTION = "Microsoft.Compute/images/read"


def is_login(request: Request) -> bool:
    return any(part in request.path for part in LOGIN)


def after_login(manager: Behavior, login: Behavior | None = None) -> Behavior:
    """Return the behavior of a server that is both the login server and the Resource Manager.

    `login` answers the requests of logins, which succeed by default. `manager` answers all other
    requests.
    """
    login = login or azure.Azure()

    def behave(request: Request) -> Answer | None:
        return login(request) if is_login(request) else manager(request)

    return behave


def by_path(otherwise: Behavior, **parts: Behavior) -> Behavior:
    """Return a behavior that uses the first of `parts` whose name is in the path of the request.

    A name in `parts` has "__" instead of "/". `otherwise` answers all other requests.
    """

    def behave(request: Request) -> Answer | None:
        for name, each in parts.items():
            if name.replace("__", "/") in request.path:
                return each(request)
        return otherwise(request)

    return behave


def answering(body: Any, status: int = 200) -> Behavior:
    """Return a behavior that answers every request with `body` as JSON."""
    return lambda _: json_answer(body, status)


def arm_error(
    code: str, message: str = "No.", status: int = 400, headers: Mapping[str, str] | None = None
) -> Behavior:
    """Return a behavior that answers every request with an error of the Resource Manager."""
    body = json.dumps({"error": {"code": code, "message": message}}).encode()
    return lambda _: Answer(status, body, "application/json", headers or {})


def denied(action: str = MISSING_ACTION) -> Behavior:
    """Return a behavior that denies every request, because the permission `action` is missing."""
    message = (
        f"The client 'a' with object id 'b' does not have authorization to perform action "
        f"'{action}' over scope '/subscriptions/s' or the scope is invalid."
    )
    return arm_error("AuthorizationFailed", message, 403)


def aadsts(code: int, error: str = "invalid_client", status: int = 401) -> Behavior:
    """Return the behavior of a token server that finds the tenant, but returns the error `code`."""
    body = {
        "error": error,
        "error_description": f"AADSTS{code}: No. {TRACE}",
        "error_codes": [code],
    }
    return by_path(otherwise=azure.Azure(), oauth2=answering(body, status))


def login_answering(status: int, body: str, content_type: str = "application/json") -> Behavior:
    """Return the behavior of a token server that sends `body` instead of a token."""
    return by_path(otherwise=azure.Azure(), oauth2=faulty.answering(status, body, content_type))
