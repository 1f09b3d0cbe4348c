"""Translation of the exceptions of the Azure SDK into CloudErrors.

This module imports the SDK, so it is itself imported only on first use.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from json import JSONDecodeError

from azure.core import exceptions as sdk

from webapp.clouds.connection_errors import MAX_CAUSES, translate_connection_error
from webapp.clouds.errors import (
    CloudError,
    CloudThrottled,
    CloudUnreachable,
    CredentialsRejected,
    ImageNotFound,
    InvalidImageId,
    PermissionDenied,
    UnknownLocation,
)
from webapp.clouds.messages import waiting_time

LABEL = "Azure"
IMAGE_NOT_FOUND = {
    "NotFound",
    "ResourceNotFound",
    "PlatformImageNotFound",
    "GalleryNotFound",
    "GalleryImageNotFound",
    "GalleryImageVersionNotFound",
    "ImageNotFound",
    "ArtifactNotFound",
    "ParentResourceNotFound",
}
EXPIRED_LOGIN = {"ExpiredAuthenticationToken", "InvalidAuthenticationToken", "AuthenticationFailed"}
"""Codes with which Azure rejects a token. Azure may accept a token from a new login."""

_EDIT = "Edit the credentials"
_PROBLEM = "has a temporary problem"


class LoginFailed(Exception):
    """The login returned no token. The cause can be an exception of any type."""


BY_AADSTS: dict[str, tuple[type[CloudError], str]] = {
    "7000215": (
        CredentialsRejected,
        (
            "The client secret is wrong. Enter the value of the secret, not its ID, or create a "
            "new secret under Certificates & secrets in the app registration."
        ),
    ),
    "7000222": (
        CredentialsRejected,
        (
            "The client secret has expired. Create a new one under Certificates & secrets in the "
            "app registration in Microsoft Entra, and enter its value."
        ),
    ),
    "700016": (
        CredentialsRejected,
        (
            "This tenant has no application with this client ID. Check the tenant ID and the "
            "client ID under Overview in the app registration in Microsoft Entra."
        ),
    ),
    "90002": (
        CredentialsRejected,
        (
            f"The chosen Azure cloud has no tenant with this ID. {_EDIT}, and check the tenant ID "
            "and the Azure cloud."
        ),
    ),
    "900023": (
        CredentialsRejected,
        f"The tenant ID is neither the ID nor the domain of a tenant. {_EDIT}.",
    ),
    "7000112": (
        CredentialsRejected,
        (
            "The application is disabled. Ask your cloud administrator to enable sign-in for it in "
            "Microsoft Entra, under Enterprise applications."
        ),
    ),
    "7000218": (CredentialsRejected, f"The client secret is missing. {_EDIT} and enter it."),
    "500011": (
        CredentialsRejected,
        (
            "The management endpoint isn’t registered as a resource in this tenant. Check the "
            "Azure cloud or the endpoint URL in the credentials."
        ),
    ),
    "53003": (
        CredentialsRejected,
        (
            "A conditional access policy of the tenant blocks this login. Ask your cloud "
            "administrator to allow the application from the IP address of this server."
        ),
    ),
    "50196": (
        CloudThrottled,
        "Microsoft Entra is throttling logins. Wait a minute and try again.",
    ),
    "90033": (CloudUnreachable, f"Microsoft Entra {_PROBLEM}. Wait a minute and try again."),
}
BY_AADSTS["7000216"] = BY_AADSTS["7000218"]
"""Errors by the number after "AADSTS" in a message from Microsoft Entra."""

BY_CODE: dict[str, tuple[type[CloudError], str]] = {
    "SubscriptionNotFound": (
        CredentialsRejected,
        (
            "The subscription doesn’t exist in this tenant, or the application has no role in it. "
            "Check the subscription ID, and give the application the Reader role under Access "
            "control (IAM)."
        ),
    ),
    "InvalidSubscriptionId": (
        CredentialsRejected,
        f"Azure rejected the subscription ID as invalid. {_EDIT} and check it.",
    ),
    "ResourceGroupNotFound": (
        ImageNotFound,
        (
            "The resource group in this resource ID doesn’t exist: it was deleted, or the ID is "
            "wrong. Copy the ID again."
        ),
    ),
    "MissingSubscriptionRegistration": (
        PermissionDenied,
        (
            "The resource provider Microsoft.Compute isn’t registered in the subscription. "
            "Register it in the portal, under Resource providers of the subscription."
        ),
    ),
    "RequestDisallowedByPolicy": (
        PermissionDenied,
        (
            "An Azure Policy of the subscription denies this request. Ask your cloud administrator "
            "to allow it."
        ),
    ),
    "InvalidAuthenticationTokenTenant": (
        CredentialsRejected,
        (
            "The subscription belongs to a different tenant from the one in the credentials. Enter "
            "the tenant ID of the subscription."
        ),
    ),
    "InvalidAuthenticationTokenAudience": (
        CredentialsRejected,
        (
            "The endpoint expects tokens for a different URL than its own. Check the endpoint URL "
            "in the credentials."
        ),
    ),
    "ExpiredAuthenticationToken": (
        CredentialsRejected,
        (
            "Azure reports that the login has expired. Ask the administrator of this server to set "
            "its clock, then try again."
        ),
    ),
    "LocationNotAvailableForResourceType": (
        UnknownLocation,
        "Azure has no images in this location. Choose another location, or leave it empty.",
    ),
}
_DENIED = {"AuthorizationFailed", "LinkedAuthorizationFailed", "Forbidden"}
_THROTTLED = {
    "SubscriptionRequestsThrottled",
    "TenantRequestsThrottled",
    "ResourceRequestsThrottled",
    "TooManyRequests",
    "TooManyRequestsReceived",
}
_SERVER_ERRORS = {500, 502, 503, 504}
_UNSUPPORTED_API = {"InvalidApiVersionParameter", "InvalidResourceType", "UnsupportedApiVersion"}
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
    "The server at the endpoint didn’t respond like Azure Resource Manager. Check the endpoint URL "
    "in the credentials."
)
NOT_ENTRA = (
    "The login server didn’t respond like Microsoft Entra. Check the authority URL and the tenant "
    "ID in the credentials."
)
TOO_OLD = (
    "The endpoint doesn’t support the required version of the Azure API. Check the endpoint URL in "
    "the credentials, or ask its operator for an update."
)


def translate(error: Exception) -> CloudError | None:
    """Return the CloudError for an expected exception of the SDK, else None."""
    if isinstance(error, LoginFailed):
        return _login_error(error)
    if isinstance(error, sdk.HttpResponseError) and error.status_code is not None:
        return _response_error(error)
    connection_error = translate_connection_error(error, LABEL, "endpoint URL")
    if connection_error:
        return connection_error
    if isinstance(error, _UNREADABLE):
        return CloudUnreachable(NOT_AZURE)
    return None


def code_of(error: BaseException) -> str:
    """Return the error code in Azure's response, or ''."""
    if isinstance(error, sdk.HttpResponseError) and error.error:
        return str(error.error.code or "")
    return ""


def is_image_not_found(error: BaseException) -> bool:
    """Return whether Azure says that the image, or a resource that contains it, is missing."""
    return _status(error) == 404 and code_of(error) in IMAGE_NOT_FOUND


def is_expired_login(error: BaseException) -> bool:
    """Return whether Azure rejected the token, but may accept a token from a new login."""
    return _status(error) == 401 and code_of(error) in EXPIRED_LOGIN


def is_retryable(error: BaseException) -> bool:
    """Return whether a second attempt can succeed.

    A second attempt can succeed if Azure closed an idle connection, or if an Azure server failed.
    """
    if isinstance(error, LoginFailed):
        causes = _causes(error)
        return _login_status(causes) in _SERVER_ERRORS or any(map(is_retryable, causes))
    if isinstance(error, sdk.ServiceResponseError | sdk.IncompleteReadError):
        return not isinstance(error, sdk.ServiceResponseTimeoutError)
    return _status(error) in _SERVER_ERRORS


def _status(error: BaseException) -> int | None:
    return error.status_code if isinstance(error, sdk.HttpResponseError) else None


def _causes(error: BaseException) -> Sequence[BaseException]:
    """Return the chain of causes. The login library often wraps errors without `from`."""
    causes: list[BaseException] = []
    while (inner := error.__cause__ or error.__context__) and len(causes) < MAX_CAUSES:
        causes.append(inner)
        error = inner
    return causes


def _login_status(causes: Sequence[BaseException]) -> int:
    """Return the HTTP status of the login server's response, or 0."""
    status = next(filter(None, map(_status, causes)), None)
    match = _HTTP_STATUS.search(" ".join(map(str, causes)))
    return status or (int(match[1]) if match else 0)


def _login_error(error: LoginFailed) -> CloudError | None:
    causes = _causes(error)
    text = " ".join(map(str, causes))
    aadsts = _AADSTS.search(text)
    if aadsts:
        error_class, message = BY_AADSTS.get(
            aadsts[1],
            (
                CredentialsRejected,
                (
                    f"Microsoft Entra rejected this login with the code AADSTS{aadsts[1]}. Check "
                    "the tenant ID, the client ID and the client secret."
                ),
            ),
        )
        return error_class(message)
    if "invalid_client" in text or "unauthorized_client" in text:
        return CredentialsRejected(
            "The login server rejected this client ID and client secret. Check both."
        )
    connection_error = translate_connection_error(error, f"{LABEL}’s login", "authority URL")
    if connection_error:
        return connection_error
    status_error = _status_error(_login_status(causes), "Microsoft Entra")
    if status_error:
        return status_error
    if any(isinstance(each, sdk.AzureError) for each in causes):
        return CloudUnreachable(NOT_ENTRA)
    return None


def _status_error(status: int, server: str, wait: str = "Wait a minute") -> CloudError | None:
    """Return the error for an HTTP status, or None if the status does not explain the failure."""
    if status == 429:
        return CloudThrottled(f"{server} is throttling requests. {wait} and try again.")
    if status >= 500:
        return CloudUnreachable(f"{server} {_PROBLEM} (HTTP {status}). {wait} and try again.")
    if status == 401:
        return CredentialsRejected(
            f"{server} rejected this login (HTTP 401). Check the credentials, including the Azure "
            "cloud."
        )
    if status == 403:
        return PermissionDenied(
            f"{server} denied this request (HTTP 403). Ask your cloud administrator to allow it."
        )
    return None


def _response_error(error: sdk.HttpResponseError) -> CloudError | None:
    code, status = code_of(error), error.status_code or 0
    if code in _THROTTLED:
        status = 429
    cloud_error = _code_error(error, code) or _status_error(status, LABEL, _wait_advice(error))
    if cloud_error or code:
        return cloud_error or _invalid_id_error(code, status)
    return CloudUnreachable(NOT_AZURE)


def _code_error(error: sdk.HttpResponseError, code: str) -> CloudError | None:
    if code in BY_CODE:
        error_class, message = BY_CODE[code]
        return error_class(message)
    if code in _DENIED:
        return _permission_denied(error)
    if code == "NoRegisteredProviderFound":
        return _no_provider_error(error)
    if code in _UNSUPPORTED_API:
        return CloudUnreachable(TOO_OLD)
    if is_image_not_found(error):
        return ImageNotFound("Azure has no such image. Check its ID and the location.")
    return None


def _invalid_id_error(code: str, status: int) -> CloudError | None:
    """Return the error for status 400, or None for any other status.

    Azure returns status 400 if a part of the image ID is invalid.
    """
    if status != 400:
        return None
    return InvalidImageId(f"Azure rejected this image ID ({code[:60]}). Copy the ID again.")


def _wait_advice(error: sdk.HttpResponseError) -> str:
    headers = getattr(error.response, "headers", None) or {}
    return f"Wait {waiting_time(str(headers.get('Retry-After', '')))}"


def _permission_denied(error: sdk.HttpResponseError) -> PermissionDenied:
    """Return the error. If Azure's message names the missing permission, the error names it too."""
    action = _ACTION.search(error.message)
    permission = f"the permission {action[1]}" if action else "a permission"
    return PermissionDenied(
        f"The application lacks {permission}. Give it the Reader role on the subscription, the "
        "resource group or the gallery, under Access control (IAM), or choose other credentials."
    )


def _no_provider_error(error: sdk.HttpResponseError) -> CloudError:
    """Return the error for a code that means either an unknown location or an unknown API version.

    If the API version is unknown, Azure's message lists the API versions that it supports.
    """
    version = re.search(r"API version '([0-9A-Za-z-]{1,30})'", error.message)
    supported = re.search(r"supported api-versions are '([^']{0,8000})'", error.message)
    if version and supported and version[1] not in supported[1]:
        return CloudUnreachable(TOO_OLD)
    return unknown_location()


def unknown_location() -> UnknownLocation:
    """Return the error for a location that Azure does not have."""
    return UnknownLocation(
        "Azure has no location with this name. Choose one from the list, or leave it empty."
    )
