"""What keystoneauth raises, and what Keystone and Glance answer, in our words. Imports
keystoneauth, so it is itself imported on first use only.

Keystone and Glance are two servers. Where the second one cannot be reached nothing is wrong with
what a person has entered: its address is in the catalogue that the first one keeps.
"""

from __future__ import annotations

import re
from typing import Any

import requests
from keystoneauth1 import exceptions as ks
from urllib3.exceptions import LocationValueError

from webapp.clouds.base import (
    CloudError,
    CloudThrottled,
    CloudUnreachable,
    CredentialsRejected,
    PermissionDenied,
)
from webapp.clouds.connection_errors import translate_connection_error
from webapp.clouds.follow_up import join_names

LABEL = "OpenStack"
THROTTLED = {413, 429}
"""Before 429 there was, OpenStack took 413 for it."""
ELSEWHERE = {301, 302, 303, 307, 308}
NAMES_SHOWN = 6
NOT_KEYSTONE = (
    "What answers at the auth URL does not speak like Keystone, OpenStack's identity service. "
    "Check the auth URL, and whether a proxy or a login page stands before it."
)
_NO_KEYSTONE_THERE = (
    "There is a server at the auth URL, but no Keystone under that path. Check the path of the "
    "auth URL, which in most clouds ends in /v3 or in /identity/v3."
)
_REJECTED = (
    "OpenStack does not accept this user for this project, and does not say why. Check the user "
    "name, the password, the project and both domains, and that the user has a role in the project."
)
_APPLICATION_REJECTED = (
    "OpenStack does not accept this application credential: its secret is wrong, it has expired, "
    "or its user may no longer use the project. Make a new one and enter it in the credentials."
)
_APPLICATION_UNKNOWN = (
    "OpenStack knows no application credential of this id: it was deleted, or is of another cloud. "
    "Check the id and the auth URL, or make a new one."
)
_SECOND_FACTOR = (
    "OpenStack asks this user for a second factor, which cannot be given here. Make an application "
    "credential for it and use that instead."
)
_STATES_OF_A_USER = {
    "password is expired": (
        "The password of this user has expired. Set a new one in OpenStack and enter it in the "
        "credentials."
    ),
    "account is locked": (
        "OpenStack has locked this user, as too many logins failed. Check the password, wait for "
        "as long as your cloud says, or ask whoever runs it."
    ),
    "account is disabled": (
        "This user is disabled in OpenStack. Ask whoever runs the cloud to enable it, or choose "
        "other credentials."
    ),
}
"""What few clouds are set up to say, by what is in their words for it."""


def of_login(error: Exception, *, application: bool) -> CloudError | None:
    """For what went wrong on the way to a token; None for what is not the cloud's doing."""
    if isinstance(error, ks.MissingAuthMethods):
        return CredentialsRejected(_SECOND_FACTOR)
    if isinstance(error, ks.HttpError):
        return _of_keystone(error, application=application)
    if isinstance(error, ks.InvalidResponse):
        answer = error.response
        return moved(answer.status_code, "auth URL") or CloudUnreachable(NOT_KEYSTONE)
    if isinstance(error, LocationValueError | UnicodeError):
        return CloudUnreachable(
            "The auth URL names no server. Check the spelling of its host, and its port."
        )
    if isinstance(error, ks.ClientException):
        return translate_connection_error(_cause(error), LABEL, "auth URL")
    return CloudUnreachable(NOT_KEYSTONE) if _broke_while_reading(error) else None


def of_connection(error: Exception, region: str, address: str) -> CloudError | None:
    """For no answer of the image service at `address`, a host with perhaps a port."""
    told = translate_connection_error(_cause(error), "Glance", "auth URL")
    if told is None:
        return None
    what = str(told).split(". ")[0].rstrip(".")
    todo = "ask whoever runs the cloud whether that can be reached from here"
    if "cannot be verified" in what:
        todo = "enter the authority of that, too, in the credentials"
    return CloudUnreachable(
        f"{what}. The catalogue of OpenStack says that its image service {_in(region)} is at "
        f"{_plain(address, 'an address of its own')}: {todo}."
    )


def of_image(answer: requests.Response, region: str, project: str) -> CloudError:
    """For any status but 200 and 404."""
    status = answer.status_code
    if status in THROTTLED:
        return throttled(answer.headers.get("Retry-After", ""))
    if status >= 500:
        return CloudUnreachable(
            f"The image service of OpenStack has trouble of its own at the moment (it answered "
            f"{status}). Wait a minute and try again."
        )
    if status == 401:
        return CredentialsRejected(
            f"OpenStack accepts these credentials, but its image service {_in(region)} does not "
            "accept the token that they were given. Ask whoever runs the cloud."
        )
    if status == 403:
        return PermissionDenied(
            f"These credentials may not read images in the project {_plain(project, 'of theirs')}: "
            "Glance's rules get_image and get_images refuse it. Ask whoever runs the cloud for the "
            "role reader or member there."
        )
    return moved(status, "catalogue") or not_glance(region)


def not_glance(region: str) -> CloudUnreachable:
    return CloudUnreachable(
        f"What answers in place of the image service {_in(region)} does not speak like Glance. Ask "
        "whoever runs the cloud whether its catalogue is right, and what stands before Glance."
    )


def no_address(region: str) -> CloudUnreachable:
    return CloudUnreachable(
        f"What the catalogue of OpenStack gives for the image service {_in(region)} is no address. "
        "Ask whoever runs the cloud to put that right."
    )


def throttled(retry_after: str) -> CloudThrottled:
    long = f"{int(retry_after)} seconds" if re.fullmatch("[1-9][0-9]{0,3}", retry_after) else ""
    return CloudThrottled(
        f"OpenStack asks for fewer calls for now. Wait {long or 'a minute'} and try again."
    )


def moved(status: int, where: str) -> CloudUnreachable | None:
    """Nobody follows a server that sends a password, or a token, elsewhere."""
    if status not in ELSEWHERE:
        return None
    return CloudUnreachable(
        f"The server that the {where} names sends us elsewhere (it answered {status}), which we do "
        "not follow. See to it that the address itself is entered there; perhaps it begins with "
        "https."
    )


def named(regions: list[str]) -> str:
    """RegionOne, RegionTwo and 3 more."""
    shown = [each for each in regions if _plain(each, "")][:NAMES_SHOWN]
    more = len(regions) - len(shown)
    if more:
        return f"{', '.join(shown)} and {more} more" if shown else "only such of other names"
    return join_names(shown)


def _of_keystone(error: ks.HttpError, *, application: bool) -> CloudError:
    status, message = error.http_status, str(error.message).lower()
    if status in THROTTLED:
        headers: Any = getattr(error.response, "headers", {})
        return throttled(headers.get("Retry-After", ""))
    if status >= 500:
        return CloudUnreachable(
            f"The identity service of OpenStack has trouble of its own at the moment (it answered "
            f"{status}). Wait a minute and try again."
        )
    if status == 404 and application and "application credential" in message:
        return CredentialsRejected(_APPLICATION_UNKNOWN)
    if status in {404, 405, 410}:
        return CloudUnreachable(_NO_KEYSTONE_THERE)
    if status in {400, 401, 403}:
        return _refused(error, application=application)
    return CloudUnreachable(NOT_KEYSTONE)


def _refused(error: ks.HttpError, *, application: bool) -> CloudError:
    message = str(error.message).lower()
    if error.http_status == 403:
        return PermissionDenied(
            "OpenStack does not let these credentials log in (it answered 403). Ask whoever runs "
            "the cloud, or choose other credentials."
        )
    if error.http_status == 401:
        words = next((words for said, words in _STATES_OF_A_USER.items() if said in message), "")
        return CredentialsRejected(words or (_APPLICATION_REJECTED if application else _REJECTED))
    if not _is_keystones(error):
        return CloudUnreachable(NOT_KEYSTONE)
    return CredentialsRejected(
        "OpenStack cannot read these credentials as they stand. Check the user name, the project "
        "and both domains."
    )


def _is_keystones(error: ks.HttpError) -> bool:
    """Whether the answer has the form that all of Keystone's have."""
    try:
        said: Any = error.response.json() if error.response is not None else None
    except (ValueError, RecursionError):
        return False
    return isinstance(said, dict) and isinstance(said.get("error"), dict)


def _cause(error: Exception) -> BaseException:
    """What requests raised. keystoneauth says of every timeout that there was no connection."""
    return error.__context__ or error


def _in(region: str) -> str:
    return f"in {region}" if _plain(region, "") else "there"


def _plain(text: str, otherwise: str) -> str:
    """What others wrote, if it is fit to stand in a sentence of ours."""
    return text if re.fullmatch(r"[\w.:@\[\] -]{1,50}", text) else otherwise


def _broke_while_reading(error: Exception) -> bool:
    """keystoneauth trusts an answer to be Keystone's: one that is not can make it fail with any
    error."""
    trace = error.__traceback__
    while trace is not None:
        if str(trace.tb_frame.f_globals.get("__name__")).startswith("keystoneauth1."):
            return True
        trace = trace.tb_next
    return False
