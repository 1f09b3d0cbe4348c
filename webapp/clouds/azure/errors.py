"""What Azure's SDK raises, in our words. Imports the SDK, so it is itself imported only when there
is an error to translate, or the SDK has been loaded already."""

from __future__ import annotations

import re
from collections.abc import Sequence
from json import JSONDecodeError

from azure.core import exceptions as sdk

from webapp.clouds.base import (
    CloudError,
    CloudThrottled,
    CloudUnreachable,
    CredentialsRejected,
    ImageNotFound,
    InvalidImageId,
    PermissionDenied,
    UnknownLocation,
)
from webapp.clouds.connection_errors import MAX_CAUSES, translate_connection_error

LABEL = "Azure"
LONGEST_WAIT = 3600
"""Seconds; what Azure says beyond that is not repeated."""
IMAGE_NOT_FOUND = {
    "NotFound",
    "ResourceNotFound",
    "PlatformImageNotFound",
    "GalleryImageNotFound",
    "ImageNotFound",
    "ArtifactNotFound",
    "ParentResourceNotFound",
}
STALE = {"ExpiredAuthenticationToken", "InvalidAuthenticationToken", "AuthenticationFailed"}
"""Codes with which a token that was good may be refused."""

_EDIT = "Edit the credentials"
_TROUBLE = "has trouble of its own at the moment"


class LoginFailed(Exception):
    """No token was given. The cause says why; it may be of any kind."""


BY_AADSTS: dict[str, tuple[type[CloudError], str]] = {
    "7000215": (
        CredentialsRejected,
        (
            "The client secret is wrong. Enter the value of the secret, not its id, or make a new "
            "secret under Certificates & secrets of the app registration."
        ),
    ),
    "7000222": (
        CredentialsRejected,
        (
            "The client secret has expired. Make a new one under Certificates & secrets of the app "
            "registration in Microsoft Entra, and enter its value."
        ),
    ),
    "700016": (
        CredentialsRejected,
        (
            "This tenant has no application with this client id. Check both; they stand under "
            "Overview of the app registration in Microsoft Entra."
        ),
    ),
    "90002": (
        CredentialsRejected,
        f"There is no tenant with this id in the chosen Azure cloud. {_EDIT} and check both.",
    ),
    "900023": (
        CredentialsRejected,
        f"The tenant id is neither an id nor the domain of a tenant. {_EDIT}.",
    ),
    "7000112": (
        CredentialsRejected,
        (
            "The application is disabled. Whoever manages it in Microsoft Entra can enable sign-in "
            "for it under Enterprise applications."
        ),
    ),
    "7000218": (CredentialsRejected, f"The client secret is missing. {_EDIT} and enter it."),
    "500011": (
        CredentialsRejected,
        (
            "This tenant does not know the management endpoint as a resource. Check which Azure "
            "cloud, or which endpoint URL, the credentials name."
        ),
    ),
    "53003": (
        CredentialsRejected,
        (
            "A conditional access policy of the tenant blocks this login. Ask whoever manages it "
            "to allow the application from the address of this server."
        ),
    ),
    "50196": (
        CloudThrottled,
        "Microsoft Entra asks for fewer logins. Wait a minute and try again.",
    ),
    "90033": (CloudUnreachable, f"Microsoft Entra {_TROUBLE}. Wait a minute and try again."),
}
BY_AADSTS["7000216"] = BY_AADSTS["7000218"]

BY_CODE: dict[str, tuple[type[CloudError], str]] = {
    "SubscriptionNotFound": (
        CredentialsRejected,
        (
            "The subscription does not exist in this tenant, or the application has no role in it. "
            "Check its id, and give the application the role Reader under Access control (IAM)."
        ),
    ),
    "InvalidSubscriptionId": (
        CredentialsRejected,
        f"Azure does not take the subscription id for one. {_EDIT} and check it.",
    ),
    "ResourceGroupNotFound": (
        ImageNotFound,
        (
            "The subscription has no resource group as in this resource id: it was deleted, or the "
            "id is wrong. Copy the id again."
        ),
    ),
    "MissingSubscriptionRegistration": (
        PermissionDenied,
        (
            "The subscription does not use Microsoft.Compute yet. Register this resource provider "
            "in the portal, under the subscription and Resource providers."
        ),
    ),
    "RequestDisallowedByPolicy": (
        PermissionDenied,
        "A policy of the subscription forbids this call. Ask whoever manages Azure Policy in it.",
    ),
    "InvalidAuthenticationTokenTenant": (
        CredentialsRejected,
        (
            "The subscription belongs to another tenant than the one of the credentials. Enter the "
            "tenant that the subscription is in."
        ),
    ),
    "InvalidAuthenticationTokenAudience": (
        CredentialsRejected,
        (
            "The endpoint wants tokens for another address than its own. Check the endpoint URL of "
            "the credentials."
        ),
    ),
    "ExpiredAuthenticationToken": (
        CredentialsRejected,
        "Azure finds the login out of date. Have the clock of this server set, then try again.",
    ),
    "LocationNotAvailableForResourceType": (
        UnknownLocation,
        "Azure offers no images in this location. Choose another, or leave it empty.",
    ),
}
_DENIED = {"AuthorizationFailed", "LinkedAuthorizationFailed", "Forbidden"}
_TOO_MANY = {
    "SubscriptionRequestsThrottled",
    "TenantRequestsThrottled",
    "ResourceRequestsThrottled",
    "TooManyRequests",
    "TooManyRequestsReceived",
}
_STUMBLES = {500, 502, 503, 504}
_NOT_SPOKEN = {"InvalidApiVersionParameter", "InvalidResourceType", "UnsupportedApiVersion"}
_UNREADABLE = (
    sdk.DecodeError,
    sdk.DeserializationError,
    sdk.HttpResponseError,
    JSONDecodeError,
    UnicodeDecodeError,
)
_ACTION = re.compile(r"action '([A-Za-z0-9./*_-]{1,120})'")
_AADSTS = re.compile(r"AADSTS([0-9]{4,9})")
_HTTP_STATUS = re.compile(r"HTTP (?:status|Error): ([0-9]{3})")

NOT_AZURE = (
    "What answers at the endpoint does not speak like Azure Resource Manager. Check the endpoint "
    "URL of the credentials."
)
NOT_ENTRA = (
    "What answers at the login address does not speak like Microsoft Entra. Check the authority "
    "URL, and the tenant id, of the credentials."
)
TOO_OLD = (
    "The endpoint does not know the version of Azure's API that is needed here. Check the endpoint "
    "URL of the credentials, or ask whoever runs it for an update."
)


def translate(error: Exception) -> CloudError | None:
    if isinstance(error, LoginFailed):
        return _of_login(error)
    if isinstance(error, sdk.HttpResponseError) and error.status_code is not None:
        return _of_answer(error)
    found = translate_connection_error(error, LABEL, "endpoint URL")
    if found:
        return found
    if isinstance(error, _UNREADABLE):
        return CloudUnreachable(NOT_AZURE)
    return None


def code_of(error: BaseException) -> str:
    """The code that Azure gave, '' where there is none."""
    if isinstance(error, sdk.HttpResponseError) and error.error:
        return str(error.error.code or "")
    return ""


def is_image_not_found(error: BaseException) -> bool:
    return _status(error) == 404 and code_of(error) in IMAGE_NOT_FOUND


def is_stale(error: BaseException) -> bool:
    """Whether another login may help."""
    return _status(error) == 401 and code_of(error) in STALE


def is_worth_another_try(error: BaseException) -> bool:
    """The second attempt is for a connection that Azure had closed meanwhile, and for a server of
    its own that stumbles."""
    if isinstance(error, LoginFailed):
        causes = _causes(error)
        return _login_status(causes) in _STUMBLES or any(map(is_worth_another_try, causes))
    if isinstance(error, sdk.ServiceResponseError | sdk.IncompleteReadError):
        return not isinstance(error, sdk.ServiceResponseTimeoutError)
    return _status(error) in _STUMBLES


def _status(error: BaseException) -> int | None:
    return error.status_code if isinstance(error, sdk.HttpResponseError) else None


def _causes(error: BaseException) -> Sequence[BaseException]:
    """The login's library wraps its errors, not always saying so."""
    found: list[BaseException] = []
    while (inner := error.__cause__ or error.__context__) and len(found) < MAX_CAUSES:
        found.append(inner)
        error = inner
    return found


def _login_status(causes: Sequence[BaseException]) -> int:
    """With which the login server answered; 0 where it is not known."""
    status = next(filter(None, map(_status, causes)), None)
    told = _HTTP_STATUS.search(" ".join(map(str, causes)))
    return status or (int(told[1]) if told else 0)


def _of_login(error: LoginFailed) -> CloudError | None:
    causes = _causes(error)
    said = " ".join(map(str, causes))
    aadsts = _AADSTS.search(said)
    if aadsts:
        kind, words = BY_AADSTS.get(
            aadsts[1],
            (
                CredentialsRejected,
                (
                    f"Microsoft Entra refuses this login with the code AADSTS{aadsts[1]}. Check "
                    "the tenant id, the client id and the client secret."
                ),
            ),
        )
        return kind(words)
    if "invalid_client" in said or "unauthorized_client" in said:
        return CredentialsRejected(
            "The login server does not accept this client id with this client secret. Check both."
        )
    found = translate_connection_error(error, f"{LABEL}'s login", "authority URL")
    if found:
        return found
    known = _of_status(_login_status(causes), "Microsoft Entra")
    if known:
        return known
    if any(isinstance(each, sdk.AzureError) for each in causes):
        return CloudUnreachable(NOT_ENTRA)
    return None


def _of_status(status: int, who: str, wait: str = "Wait a minute") -> CloudError | None:
    """For an answer without a code, or with one that is not known here."""
    if status == 429:
        return CloudThrottled(f"{who} asks for fewer calls for now. {wait} and try again.")
    if status >= 500:
        return CloudUnreachable(f"{who} {_TROUBLE} (it answered {status}). {wait} and try again.")
    if status == 401:
        return CredentialsRejected(
            f"{who} does not accept this login (it answered 401). Check the credentials, and which "
            "Azure cloud they name."
        )
    if status == 403:
        return PermissionDenied(
            f"{who} refuses this call (it answered 403). Ask whoever manages access to it to allow "
            "it."
        )
    return None


def _of_answer(error: sdk.HttpResponseError) -> CloudError | None:
    code, status = code_of(error), error.status_code or 0
    if code in _TOO_MANY:
        status = 429
    known = _of_code(error, code) or _of_status(status, LABEL, _wait(error))
    if known or code:
        return known or _of_refusal(code, status)
    return CloudUnreachable(NOT_AZURE)


def _of_code(error: sdk.HttpResponseError, code: str) -> CloudError | None:
    if code in BY_CODE:
        kind, words = BY_CODE[code]
        return kind(words)
    if code in _DENIED:
        return _denied(error)
    if code == "NoRegisteredProviderFound":
        return _no_provider(error)
    if code in _NOT_SPOKEN:
        return CloudUnreachable(TOO_OLD)
    if is_image_not_found(error):
        return ImageNotFound("Azure knows no such image. Check its id and the location.")
    return None


def _of_refusal(code: str, status: int) -> CloudError | None:
    """With 400 Azure refuses what it was asked for: the parts of the id."""
    if status != 400:
        return None
    return InvalidImageId(
        f"Azure does not take this for an image (it answers {code[:60]}). Copy the id again."
    )


def _wait(error: sdk.HttpResponseError) -> str:
    headers = getattr(error.response, "headers", None) or {}
    said = str(headers.get("Retry-After", ""))
    if said.isdecimal() and 0 < int(said) <= LONGEST_WAIT:
        return f"Wait {int(said)} seconds"
    return "Wait a minute"


def _denied(error: sdk.HttpResponseError) -> PermissionDenied:
    """Azure names the action in most of its messages."""
    named = _ACTION.search(error.message)
    lacks = f"lacks the permission {named[1]}" if named else "lacks a permission"
    return PermissionDenied(
        f"The application {lacks}. Give it the role Reader on the subscription, the resource group "
        "or the gallery, under Access control (IAM), or choose other credentials."
    )


def _no_provider(error: sdk.HttpResponseError) -> CloudError:
    """Azure says the same of a location and of a version of its API that it does not have."""
    version = re.search(r"API version '([0-9A-Za-z-]{1,30})'", error.message)
    supported = re.search(r"supported api-versions are '([^']{0,8000})'", error.message)
    if version and supported and version[1] not in supported[1]:
        return CloudUnreachable(TOO_OLD)
    return no_region()


def no_region() -> UnknownLocation:
    return UnknownLocation(
        "Azure has no location of this name. Choose one from the list, or leave it empty."
    )
