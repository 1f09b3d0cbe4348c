"""Translation of the exceptions of Google's SDK into CloudErrors.

This module imports the SDK, so it is imported inside functions, on first use.
"""

from __future__ import annotations

import re
from typing import Any

from google.api_core import exceptions as api
from google.protobuf import json_format

from webapp.clouds.connection_errors import raising_modules, translate_connection_error
from webapp.clouds.errors import (
    CloudError,
    CloudThrottled,
    CloudUnreachable,
    CredentialsRejected,
    ImageNotFound,
    InvalidImageId,
    PermissionDenied,
)
from webapp.clouds.gce.ids import ImageRef
from webapp.clouds.messages import waiting_time

LABEL = "Google Compute Engine"
NOT_GOOGLE = (
    "The server didn’t respond like Compute Engine. Check the endpoint URL of the credentials, and "
    "whether a proxy or a sign-in page is in front of it."
)
_SERVICE_ACCOUNT_UNUSABLE = (
    "The service account of these credentials is disabled or deleted. Enable it in Google Cloud "
    "under IAM & Admin, or choose other credentials."
)
_BILLING = (
    "Billing is disabled for the project of these credentials. Ask your cloud administrator to "
    "check the billing account in Google Cloud."
)
_ACCOUNT_DISABLED = (
    "Google has disabled the account of these credentials or of their project. Ask your cloud "
    "administrator, or choose other credentials."
)
_PROJECT_UNUSABLE = (
    "The project of these credentials is deleted or suspended. Ask your cloud administrator, or "
    "choose other credentials."
)
_NOT_ENABLED = (
    "The Compute Engine API isn’t enabled in the project of these credentials. Enable it in Google "
    "Cloud under APIs & Services, wait a few minutes, and try again."
)
_POLICY = (
    "An organization policy blocks these credentials: a service perimeter or an IP address "
    "restriction. Ask your cloud administrator for access."
)
_WRONG_AUDIENCE = (
    "Compute Engine rejected the tokens that are signed with this key. Check the endpoint URL of "
    "the credentials."
)
_DENIED_REASONS = {
    "accessNotConfigured": _NOT_ENABLED,
    "SERVICE_DISABLED": _NOT_ENABLED,
    "billingNotEnabled": _BILLING,
    "BILLING_DISABLED": _BILLING,
    "accountDisabled": _ACCOUNT_DISABLED,
    "CONSUMER_INVALID": _PROJECT_UNUSABLE,
    "CONSUMER_SUSPENDED": _PROJECT_UNUSABLE,
    "insufficientPermissions": _WRONG_AUDIENCE,
    "ACCESS_WRONG_AUDIENCE_INSUFFICIENT": _WRONG_AUDIENCE,
    "SECURITY_POLICY_VIOLATED": _POLICY,
    "vpcServiceControls": _POLICY,
}
"""The messages, by the reason that Google sends with status 403."""
_THROTTLED_REASONS = {
    "rateLimitExceeded",
    "userRateLimitExceeded",
    "quotaExceeded",
    "dailyLimitExceeded",
    "concurrentLimitExceeded",
    "RATE_LIMIT_EXCEEDED",
    "RESOURCE_QUOTA_EXCEEDED",
}
"""The reasons that mean throttling if Google sends them with status 403."""
_PERMISSION = re.compile(r"Required '([a-zA-Z.]{3,80})' permission")
_PROJECT_IN_MESSAGE = re.compile(r"'projects/([-a-z0-9.:]{1,100})[/']")
_PROJECT_NOT_FOUND = re.compile(
    r"resource 'projects/[-a-z0-9.:]{1,100}' was not found|Failed to find project"
    r"|[Pp]roject \S{1,100} (?:is|was) not found"
)
_PARSING_MODULES = {json_format.__name__, api.__name__}


def translate(error: Exception, requested: ImageRef | None = None) -> CloudError | None:
    """Return the CloudError for `error`.

    Returns None if neither Google nor the connection caused `error`. `requested` is the image of
    the request, or None if the request was not about one image.
    """
    if isinstance(error, api.GoogleAPICallError):
        return _translate_response(error, requested)
    if isinstance(error, json_format.ParseError) or _failed_while_parsing(error):
        return CloudUnreachable(NOT_GOOGLE)
    return translate_connection_error(error, LABEL, "endpoint URL")


def lacks_permission(error: Exception) -> bool:
    """Return whether Google accepts the credentials, but a permission is missing."""
    return isinstance(error, api.Forbidden) and _PERMISSION.search(str(error.message)) is not None


def _translate_response(error: api.GoogleAPICallError, requested: ImageRef | None) -> CloudError:
    status = int(error.code or 0)
    if status == 429 or (status == 403 and _reasons(error) & _THROTTLED_REASONS):
        return _throttled_error(error)
    if status >= 500:
        return CloudUnreachable(
            f"Google Compute Engine has a temporary problem (HTTP {status}). Wait a minute and try "
            "again."
        )
    if not _is_from_google(error):
        return _translate_foreign_status(status)
    translate_status = {
        400: _bad_request_error,
        401: _unauthorized_error,
        403: _forbidden_error,
        404: _not_found_error,
    }
    return translate_status.get(status, _other_error)(error, requested)


def _reasons(error: api.GoogleAPICallError) -> set[str]:
    """Return the reasons for the error. Google has an old and a new format for reasons."""
    reasons = {str(each.get("reason")) for each in error.errors if isinstance(each, dict)}
    return {*reasons, str(error.reason)}


def _is_from_google(error: api.GoogleAPICallError) -> bool:
    """Return whether the response has the format of Google's errors."""
    try:
        body: Any = error.response.json()
    except (AttributeError, ValueError, RecursionError):
        return False
    return isinstance(body, dict) and isinstance(body.get("error"), dict)


def _translate_foreign_status(status: int) -> CloudError:
    """Return the error for a response that another server sent, for example a proxy."""
    if status in {401, 403}:
        return CredentialsRejected(
            f"The endpoint rejected these credentials (HTTP {status}), but didn’t respond like "
            "Google. Check the credentials, the endpoint URL, and any proxy in front of it."
        )
    return CloudUnreachable(NOT_GOOGLE)


def _throttled_error(error: api.GoogleAPICallError) -> CloudThrottled:
    retry_after = str(getattr(error.response, "headers", {}).get("Retry-After") or "")
    wait = waiting_time(retry_after)
    return CloudThrottled(
        f"Google is throttling requests from this project. Wait {wait} and try again."
    )


def _bad_request_error(error: api.GoogleAPICallError, requested: ImageRef | None) -> CloudError:
    if requested is None:
        return _other_error(error, requested)
    return InvalidImageId(
        "Google rejected this image ID. Copy it again from the selfLink of the image."
    )


def _other_error(error: api.GoogleAPICallError, requested: ImageRef | None) -> CloudError:  # noqa: ARG001
    return CloudUnreachable(
        f"Google Compute Engine rejected this request (HTTP {error.code}). Try again. If the "
        "problem persists, check the endpoint URL of the credentials."
    )


def _unauthorized_error(error: api.GoogleAPICallError, requested: ImageRef | None) -> CloudError:  # noqa: ARG001
    reasons = _reasons(error)
    if "ACCOUNT_STATE_INVALID" in reasons:
        return CredentialsRejected(_SERVICE_ACCOUNT_UNUSABLE)
    if "ACCESS_TOKEN_EXPIRED" in reasons:
        return CredentialsRejected(
            "Google rejected the request because the clock of this server is wrong. Ask the "
            "administrator of this server to set the clock, then try again."
        )
    return CredentialsRejected(
        "Google rejected this key. The key or its service account may have been deleted or "
        "disabled. Create a new key in Google Cloud and enter it in the credentials."
    )


def _forbidden_error(error: api.GoogleAPICallError, requested: ImageRef | None) -> CloudError:
    message = str(error.message)
    if _PROJECT_NOT_FOUND.search(message):
        return PermissionDenied(_PROJECT_UNUSABLE)
    for reason in sorted(_reasons(error) & _DENIED_REASONS.keys()):
        return PermissionDenied(_DENIED_REASONS[reason])
    if "organization's policy" in message:
        return PermissionDenied(_POLICY)
    match = _PERMISSION.search(message)
    permission = match[1] if match else f"compute.images.{'get' if requested else 'list'}"
    project = _PROJECT_IN_MESSAGE.search(message)
    name = requested.project if requested else project[1] if project else "of the key"
    return PermissionDenied(
        f"These credentials don’t have the permission {permission} in the project {name}. Ask your "
        "cloud administrator for the role Compute Image User, or choose other credentials. The "
        "role also includes the permission compute.images.useReadOnly."
    )


def _not_found_error(error: api.GoogleAPICallError, requested: ImageRef | None) -> CloudError:
    if requested is None:
        return CredentialsRejected(
            "The project of this key no longer exists. Enter the key of a service account in "
            "another project."
        )
    if _PROJECT_NOT_FOUND.search(str(error.message)):
        return ImageNotFound(
            f"There is no project {requested.project}, so there is no {requested}. Check the "
            "project, which is the part of the ID in front of “/global/”."
        )
    if requested.is_family:
        return ImageNotFound(
            f"There is no image family {requested}, or all of its images are deprecated. Check the "
            "project and the name, or choose an image."
        )
    return ImageNotFound(
        f"There is no image {requested}. Check the project and the name. The image may have been "
        "deleted."
    )


def _failed_while_parsing(error: Exception) -> bool:
    """Return whether the SDK raised `error` while it parsed a response.

    The SDK assumes that each response is from Google. For any other response, the SDK can raise any
    exception.
    """
    return not _PARSING_MODULES.isdisjoint(raising_modules(error))
