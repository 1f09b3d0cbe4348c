"""Translation of keystoneauth's exceptions, and of OpenStack's error responses, into CloudErrors.

Keystone and Glance are two servers. The person enters only the URL of Keystone. The URL of Glance
comes from Keystone's service catalog. So if Glance cannot be reached, the message does not ask the
person to check the auth URL.

This module imports keystoneauth, so it is imported only on first use.
"""

from __future__ import annotations

import re
from typing import Any

import requests
from keystoneauth1 import exceptions as ks
from urllib3.exceptions import LocationValueError

from webapp.clouds.connection_errors import (
    find_connection_failure,
    raising_modules,
    translate_connection_error,
)
from webapp.clouds.errors import (
    CloudError,
    CloudThrottled,
    CloudUnreachable,
    CredentialsRejected,
    ImageNotVisible,
    PermissionDenied,
)
from webapp.clouds.messages import join_names, waiting_time

LABEL = "OpenStack"
THROTTLED_STATUSES = {413, 429}
"""OpenStack used 413 for rate limits before 429 became the standard."""
REDIRECT_STATUSES = {301, 302, 303, 307, 308}
NAMES_SHOWN = 6
"""The maximum number of region names in a message."""
NOT_KEYSTONE = (
    "The server at the auth URL didn’t respond like Keystone, the OpenStack identity service. "
    "Check the auth URL, and whether a proxy or a login page is in front of it."
)
_NO_KEYSTONE_AT_PATH = (
    "There is a server at the auth URL, but no Keystone at that path. Check the path of the auth "
    "URL, which ends in /v3 or /identity/v3 in most clouds."
)
_USER_REJECTED = (
    "OpenStack rejected this user for this project and gave no reason. Check the username, the "
    "password, the project and both domains, and that the user has a role in the project."
)
_APPLICATION_CREDENTIAL_REJECTED = (
    "OpenStack rejected this application credential: its secret is wrong, it has expired, or its "
    "user can no longer use the project. Create a new one and enter it in the credentials."
)
_APPLICATION_CREDENTIAL_UNKNOWN = (
    "OpenStack has no application credential with this ID: it was deleted, or it belongs to "
    "another cloud. Check the ID and the auth URL, or create a new application credential."
)
_SECOND_FACTOR_REQUIRED = (
    "OpenStack requires a second factor for this user, which can’t be entered here. Create an "
    "application credential for the user and enter it instead."
)
_USER_STATES = {
    "password is expired": (
        "The password of this user has expired. Set a new one in OpenStack and enter it in the "
        "credentials."
    ),
    "account is locked": (
        "OpenStack has locked this user after too many failed logins. Check the password, wait "
        "until the lock ends, or ask your cloud administrator."
    ),
    "account is disabled": (
        "This user is disabled in OpenStack. Ask your cloud administrator to enable it, or choose "
        "other credentials."
    ),
}
"""The message to show, by words in Keystone's message. Few clouds are configured to send these
words."""


def login_error(error: Exception, *, uses_application_credential: bool) -> CloudError | None:
    """Return the CloudError for a failed login, or None if the cloud did not cause the failure."""
    if isinstance(error, ks.MissingAuthMethods):
        return CredentialsRejected(_SECOND_FACTOR_REQUIRED)
    if isinstance(error, ks.HttpError):
        return _keystone_error(error, uses_application_credential=uses_application_credential)
    if isinstance(error, ks.InvalidResponse):
        return _invalid_response_error(error.response.status_code)
    if isinstance(error, LocationValueError | UnicodeError):
        return CloudUnreachable(
            "The auth URL contains no valid server name. Check its host and its port."
        )
    if isinstance(error, ks.ClientException):
        return translate_connection_error(_requests_error(error), LABEL, "auth URL")
    return CloudUnreachable(NOT_KEYSTONE) if _raised_by_keystoneauth(error) else None


def image_connection_error(error: Exception, region: str, server: str) -> CloudError | None:
    """Return the CloudError for an image service that did not respond, or None for other errors.

    `server` is the host of the image service, with its port if the URL has one.
    """
    failure = find_connection_failure(_requests_error(error), "Glance", "auth URL")
    if failure is None:
        return None
    advice = "ask your cloud administrator whether this server may connect to that address"
    if failure.is_unverified_certificate:
        advice = "add its certificate authority to the CA certificates of the credentials"
    return CloudUnreachable(
        f"{failure.problem} The OpenStack service catalog lists the image service "
        f"{_in_region(region)} at {_displayable(server, 'another server')}: {advice}."
    )


def image_response_error(response: requests.Response, region: str, project: str) -> CloudError:
    """Return the CloudError for a response of the image service.

    The status of the response is neither 200 nor 404.
    """
    status = response.status_code
    if busy := _busy_error("image service", status, response.headers.get("Retry-After", "")):
        return busy
    if status == 401:
        return CredentialsRejected(
            f"OpenStack accepted these credentials, but its image service {_in_region(region)} "
            "rejected the token from Keystone. Ask your cloud administrator."
        )
    if status == 403:
        return PermissionDenied(
            f"These credentials can’t read images in {_project(project)}: the Glance policies "
            "get_image and get_images deny it. Ask your cloud administrator for the reader or "
            "member role in the project."
        )
    if status in REDIRECT_STATUSES:
        return _redirect_error(
            "The URL of the image service in the OpenStack service catalog",
            status,
            "Ask your cloud administrator to put the final URL into the catalog.",
        )
    return not_glance_error(region)


def image_may_exist_error(region: str) -> ImageNotVisible:
    """Return the error for an image that Glance did not find, if Glance cannot list images either.

    In this case, the image may exist.
    """
    return ImageNotVisible(
        f"The image service {_in_region(region)} found no image with this ID, but it couldn’t list "
        "its images, so the image may exist. Wait a minute and try again."
    )


def not_glance_error(region: str) -> CloudUnreachable:
    return CloudUnreachable(
        f"The server that OpenStack lists as the image service {_in_region(region)} didn’t respond "
        "like Glance. Ask your cloud administrator whether the service catalog is correct and "
        "whether a proxy is in front of Glance."
    )


def invalid_image_url_error(region: str) -> CloudUnreachable:
    return CloudUnreachable(
        "The OpenStack service catalog contains an invalid URL for the image service "
        f"{_in_region(region)}. Ask your cloud administrator to correct it."
    )


def join_region_names(regions: list[str]) -> str:
    """Return the names as text, such as "RegionOne, RegionTwo and 3 more".

    Names that are not safe to show are only counted.
    """
    shown = [region for region in regions if _displayable(region, "")][:NAMES_SHOWN]
    more = len(regions) - len(shown)
    if not shown:
        return f"{more}, with names that can’t be displayed"
    if more:
        return f"{', '.join(shown)} and {more} more"
    return join_names(shown)


def _keystone_error(error: ks.HttpError, *, uses_application_credential: bool) -> CloudError:
    status, message = error.http_status, str(error.message).lower()
    headers: Any = getattr(error.response, "headers", {})
    if busy := _busy_error("identity service", status, headers.get("Retry-After", "")):
        return busy
    if status == 404 and uses_application_credential and "application credential" in message:
        return CredentialsRejected(_APPLICATION_CREDENTIAL_UNKNOWN)
    if status in {404, 405, 410}:
        return CloudUnreachable(_NO_KEYSTONE_AT_PATH)
    if status == 401:
        reason = next((text for words, text in _USER_STATES.items() if words in message), "")
        if uses_application_credential:
            return CredentialsRejected(reason or _APPLICATION_CREDENTIAL_REJECTED)
        return CredentialsRejected(reason or _USER_REJECTED)
    return _other_keystone_error(error)


def _other_keystone_error(error: ks.HttpError) -> CloudError:
    if error.http_status == 403:
        return PermissionDenied(
            "OpenStack doesn’t allow these credentials to log in (HTTP 403). Ask your cloud "
            "administrator, or choose other credentials."
        )
    if error.http_status == 400 and _is_from_keystone(error):
        return CredentialsRejected(
            "OpenStack couldn’t process these credentials. Check the username, the project and "
            "both domains."
        )
    return CloudUnreachable(NOT_KEYSTONE)


def _is_from_keystone(error: ks.HttpError) -> bool:
    """Return whether the response has the form of Keystone's error messages."""
    try:
        body: Any = error.response.json() if error.response is not None else None
    except (ValueError, RecursionError):
        return False
    return isinstance(body, dict) and isinstance(body.get("error"), dict)


def _invalid_response_error(status: int) -> CloudError:
    """Return the error for a login whose response is neither a token nor an error."""
    if status in REDIRECT_STATUSES:
        advice = "Enter the final URL instead, which may begin with https."
        return _redirect_error("The auth URL", status, advice)
    return CloudUnreachable(NOT_KEYSTONE)


def _busy_error(service: str, status: int, retry_after: str) -> CloudError | None:
    """Return the error for a service that is too busy or has failed, or None for other responses.

    `retry_after` is the value of the header Retry-After, or ''.
    """
    if status in THROTTLED_STATUSES:
        wait = waiting_time(retry_after)
        return CloudThrottled(f"OpenStack is throttling requests. Wait {wait} and try again.")
    if status >= 500:
        return CloudUnreachable(
            f"The OpenStack {service} has a temporary problem (HTTP {status}). Wait a minute and "
            "try again."
        )
    return None


def _redirect_error(url: str, status: int, advice: str) -> CloudUnreachable:
    """Return the error for a redirect.

    Redirects are not followed, because a redirect could send a password or a token to any server.
    """
    return CloudUnreachable(
        f"{url} redirects to another URL (HTTP {status}), and redirects aren’t followed. {advice}"
    )


def _requests_error(error: Exception) -> BaseException:
    """Return the error of the requests library that caused a keystoneauth error.

    keystoneauth's own error is not precise enough: it describes every timeout as a missing
    connection. If keystoneauth's own error has no cause, return it.
    """
    return error.__context__ or error


def _in_region(region: str) -> str:
    return f"in {region}" if _displayable(region, "") else "in this region"


def _project(name: str) -> str:
    return f"the project {name}" if _displayable(name, "") else "their project"


def _displayable(text: str, default: str) -> str:
    """Return `text` from the cloud if it is safe to show in a sentence, else `default`."""
    return text if re.fullmatch(r"[\w.:@\[\] -]{1,50}", text) else default


def _raised_by_keystoneauth(error: Exception) -> bool:
    """Return whether keystoneauth raised `error`.

    keystoneauth assumes that each response is from Keystone. For any other response, keystoneauth
    can raise any exception.
    """
    return any(name.startswith("keystoneauth1.") for name in raising_modules(error))
