"""What Google's SDK raises, in our words. Imports the SDK, so it is itself imported only when there
is an error to translate."""

from __future__ import annotations

import re
from typing import Any

from google.api_core import exceptions as api
from google.protobuf import json_format

from webapp.clouds.base import (
    CloudError,
    CloudThrottled,
    CloudUnreachable,
    CredentialsRejected,
    ImageNotFound,
    InvalidImageId,
    PermissionDenied,
)
from webapp.clouds.connection_errors import translate_connection_error
from webapp.clouds.gce.ids import ImageRef

LABEL = "Google Compute Engine"
NOT_GOOGLE = (
    "What answers there does not speak like Compute Engine. Check the endpoint URL of the "
    "credentials, and whether a proxy or a login page stands before it."
)
_ACCOUNT_GONE = (
    "The service account of these credentials is disabled or deleted. Enable it in Google Cloud "
    "under IAM & Admin, or choose other credentials."
)
_BILLING = (
    "The project of these credentials has no billing, or was suspended for it. Ask whoever manages "
    "it in Google Cloud to see to its billing account."
)
_PROJECT_GONE = (
    "The project of these credentials is deleted or suspended. Ask whoever manages it in Google "
    "Cloud, or choose other credentials."
)
_NOT_ENABLED = (
    "The Compute Engine API is not enabled in the project of these credentials. Enable it in "
    "Google Cloud under APIs & Services, wait a few minutes and try again."
)
_POLICY = (
    "A policy of the organisation keeps these credentials from Compute Engine: a service perimeter "
    "or a restriction by address. Ask whoever manages VPC Service Controls there to allow it."
)
_SCOPE = (
    "Google does not accept the token of this key for Compute Engine. Check the endpoint URL of "
    "the credentials."
)
_DENIED = {
    "accessNotConfigured": _NOT_ENABLED,
    "SERVICE_DISABLED": _NOT_ENABLED,
    "billingNotEnabled": _BILLING,
    "BILLING_DISABLED": _BILLING,
    "accountDisabled": _PROJECT_GONE,
    "CONSUMER_INVALID": _PROJECT_GONE,
    "CONSUMER_SUSPENDED": _PROJECT_GONE,
    "insufficientPermissions": _SCOPE,
    "ACCESS_TOKEN_SCOPE_INSUFFICIENT": _SCOPE,
    "SECURITY_POLICY_VIOLATED": _POLICY,
    "vpcServiceControls": _POLICY,
}
_THROTTLED = {
    "rateLimitExceeded",
    "userRateLimitExceeded",
    "quotaExceeded",
    "dailyLimitExceeded",
    "concurrentLimitExceeded",
    "RATE_LIMIT_EXCEEDED",
    "RESOURCE_QUOTA_EXCEEDED",
}
_PERMISSION = re.compile(r"Required '([a-zA-Z.]{3,80})' permission")
_OF_PROJECT = re.compile(r"'projects/([-a-z0-9.:]{1,100})[/']")
_NO_PROJECT = re.compile(
    r"resource 'projects/[-a-z0-9.:]{1,100}' was not found|Failed to find project"
    r"|[Pp]roject \S{1,100} (?:is|was) not found"
)
_WHILE_READING = {json_format.__name__, api.__name__}


def translate(error: Exception, wanted: ImageRef | None = None) -> CloudError | None:
    """`wanted` is what was asked for, where it was an image."""
    if isinstance(error, api.GoogleAPICallError):
        return _of_answer(error, wanted)
    if isinstance(error, json_format.ParseError) or _broke_while_reading(error):
        return CloudUnreachable(NOT_GOOGLE)
    return translate_connection_error(error, LABEL, "endpoint URL")


def lacks_permission(error: Exception) -> bool:
    """Whether Google knows who is asking, and misses nothing but a permission."""
    return isinstance(error, api.Forbidden) and _PERMISSION.search(str(error.message)) is not None


def _of_answer(error: api.GoogleAPICallError, wanted: ImageRef | None) -> CloudError:
    status = int(error.code or 0)
    if status == 429 or (status == 403 and _reasons(error) & _THROTTLED):
        return _throttled(error)
    if status >= 500:
        return CloudUnreachable(
            f"Google Compute Engine has trouble of its own at the moment (it answered {status}). "
            "Wait a minute and try again."
        )
    if not _is_googles(error):
        return _of_strangers(status)
    by_status = {400: _malformed, 401: _rejected, 403: _denied, 404: _not_found}
    return by_status.get(status, _unknown)(error, wanted)


def _reasons(error: api.GoogleAPICallError) -> set[str]:
    """Google gives one in its old form, one in its new, or both."""
    old = {str(each.get("reason")) for each in error.errors if isinstance(each, dict)}
    return {*old, str(error.reason)}


def _is_googles(error: api.GoogleAPICallError) -> bool:
    """Whether the answer has the form that all of Google's have."""
    try:
        said: Any = error.response.json()
    except (AttributeError, ValueError, RecursionError):
        return False
    return isinstance(said, dict) and isinstance(said.get("error"), dict)


def _of_strangers(status: int) -> CloudError:
    if status in {401, 403}:
        return CredentialsRejected(
            f"The endpoint refuses these credentials (it answered {status}), and not in Google's "
            "words. Check them, the endpoint URL, and any proxy before it."
        )
    return CloudUnreachable(NOT_GOOGLE)


def _throttled(error: api.GoogleAPICallError) -> CloudThrottled:
    wait = str(getattr(error.response, "headers", {}).get("Retry-After") or "")
    long = f"{int(wait)} seconds" if re.fullmatch("[1-9][0-9]{0,3}", wait) else "a minute"
    return CloudThrottled(
        f"Google asks for fewer calls from this project for now. Wait {long} and try again."
    )


def _malformed(error: api.GoogleAPICallError, wanted: ImageRef | None) -> CloudError:
    if wanted is None:
        return _unknown(error, wanted)
    return InvalidImageId(
        "Google does not take this for the id of an image. Copy it again from the image's selfLink."
    )


def _unknown(error: api.GoogleAPICallError, wanted: ImageRef | None) -> CloudError:  # noqa: ARG001
    return CloudUnreachable(
        f"Google Compute Engine does not answer this request (it said {error.code}). Try again; if "
        "it stays so, check the endpoint URL of the credentials."
    )


def _rejected(error: api.GoogleAPICallError, wanted: ImageRef | None) -> CloudError:  # noqa: ARG001
    reasons = _reasons(error)
    if "ACCOUNT_STATE_INVALID" in reasons:
        return CredentialsRejected(_ACCOUNT_GONE)
    if "ACCESS_TOKEN_EXPIRED" in reasons:
        return CredentialsRejected(
            "Google finds the request out of date: the clock of this server is wrong. Have it set, "
            "then try again."
        )
    return CredentialsRejected(
        "Google does not accept this key: it was deleted or disabled, or its service account was. "
        "Make a new key for it in Google Cloud and enter it in the credentials."
    )


def _denied(error: api.GoogleAPICallError, wanted: ImageRef | None) -> CloudError:
    message = str(error.message)
    if _NO_PROJECT.search(message):
        return PermissionDenied(_PROJECT_GONE)
    for reason in sorted(_reasons(error) & _DENIED.keys()):
        return PermissionDenied(_DENIED[reason])
    if "organization's policy" in message:
        return PermissionDenied(_POLICY)
    named = _PERMISSION.search(message)
    permission = named[1] if named else f"compute.images.{'get' if wanted else 'list'}"
    project = _OF_PROJECT.search(message)
    where = wanted.project if wanted else project[1] if project else "of their own"
    return PermissionDenied(
        f"These credentials lack the permission {permission} in the project {where}. Ask whoever "
        "manages it for the role Compute Image User, which has it and compute.images.useReadOnly, "
        "or choose other credentials."
    )


def _not_found(error: api.GoogleAPICallError, wanted: ImageRef | None) -> CloudError:
    if wanted is None:
        return CredentialsRejected(
            "Google knows no such project as this key is of: it was deleted. Enter the key of a "
            "service account in another project."
        )
    if _NO_PROJECT.search(str(error.message)):
        return ImageNotFound(
            f"Google knows no project {wanted.project}, so there is no {wanted}. Check the part "
            "before “/global/”."
        )
    if wanted.family:
        return ImageNotFound(
            f"There is no image family {wanted}, or all of its images are deprecated. Check the "
            "project and the name, or choose an image itself."
        )
    return ImageNotFound(
        f"There is no image {wanted}. Check the project and the name; it may have been deleted."
    )


def _broke_while_reading(error: Exception) -> bool:
    """The SDK trusts an answer to be Google's: one that is not can make it fail with any error."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__") in _WHILE_READING:
            return True
        trace = trace.tb_next
    return False
