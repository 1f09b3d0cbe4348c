"""Responses that report Compute Engine's errors, in Google's format and words."""

from __future__ import annotations

from typing import Any

Answer = tuple[dict[str, Any], int]
"""The body and the status of a response."""


def error(
    status: int, reason: str, message: str, *, domain: str = "global", info: str = ""
) -> Answer:
    """Return an error. `info` is the reason in Google's newer format, or '' to leave it out."""
    body: dict[str, Any] = {
        "code": status,
        "message": message,
        "errors": [{"message": message, "domain": domain, "reason": reason}],
    }
    if info:
        body["details"] = [
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": info,
                "domain": "googleapis.com",
                "metadata": {"service": "compute.googleapis.com"},
            }
        ]
    return {"error": body}, status


def unauthenticated(info: str = "ACCESS_TOKEN_TYPE_UNSUPPORTED") -> Answer:
    message = (
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login "
        "cookie or other valid authentication credential."
    )
    return error(401, "authError", message, info=info)


def forbidden(path: str, permission: str = "compute.images.get") -> Answer:
    message = f"Required '{permission}' permission for 'projects/{path}'"
    return error(403, "forbidden", message)


def not_enabled(project: str) -> Answer:
    message = (
        f"Compute Engine API has not been used in project {project} before or it is disabled. "
        "Enable it by visiting the console, then retry."
    )
    return error(403, "accessNotConfigured", message, domain="usageLimits", info="SERVICE_DISABLED")


def not_found(path: str) -> Answer:
    return error(404, "notFound", f"The resource 'projects/{path}' was not found")


def throttled() -> Answer:
    message = (
        "Quota exceeded for quota metric 'Read requests' and limit 'Read requests per minute' of "
        "service 'compute.googleapis.com'."
    )
    info = "RATE_LIMIT_EXCEEDED"
    return error(429, "rateLimitExceeded", message, domain="usageLimits", info=info)


def unavailable() -> Answer:
    return error(503, "backendError", "Internal error. Please try again or contact Google Support.")
