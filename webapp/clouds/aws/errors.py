"""What botocore raises, in our words. Imports botocore, so it is itself imported only when there
is an error to translate."""

from __future__ import annotations

import re

from botocore import exceptions as boto
from botocore import parsers
from urllib3.exceptions import NameResolutionError

from webapp.clouds.base import (
    CloudError,
    CloudThrottled,
    CloudUnreachable,
    CredentialsRejected,
    ImageNotFound,
    ImageNotVisible,
    InvalidImageId,
    PermissionDenied,
    UnknownLocation,
)

IMAGE_NOT_FOUND = "InvalidAMIID.NotFound"
DOUBTFUL = {"AuthFailure", "RequestExpired"}
"""Codes with which EC2 says several things: STS, asked with the same credentials, says which."""

_EDIT = "Edit the credentials"
_THROTTLED = "AWS asks for fewer calls from this account for now. Wait a minute and try again."
_TOKEN_EXPIRED = f"The session token has expired. {_EDIT} and enter new temporary ones."
_CLOCK = (
    "AWS finds the request out of date: the clock of this server is wrong. Have it set, then try "
    "again."
)
BY_CODE: dict[str, tuple[type[CloudError], str]] = {
    IMAGE_NOT_FOUND: (
        ImageNotFound,
        "AWS knows no such AMI in this region. Check the id and the location.",
    ),
    "InvalidAMIID.Malformed": (
        InvalidImageId,
        "AWS does not take this for the id of an AMI. Copy it again.",
    ),
    "InvalidAMIID.Unavailable": (
        ImageNotVisible,
        (
            "This AMI is no longer available: it was deregistered, or is no longer shared with "
            "these credentials. Choose another, or ask its owner."
        ),
    ),
    "InvalidClientTokenId": (
        CredentialsRejected,
        (
            "AWS does not know this access key id: it may be deleted, inactive, or of another "
            f"partition. {_EDIT}."
        ),
    ),
    "UnrecognizedClientException": (
        CredentialsRejected,
        f"AWS does not know this access key id or its session token. {_EDIT}.",
    ),
    "SignatureDoesNotMatch": (
        CredentialsRejected,
        f"The secret access key does not belong to the access key id. {_EDIT} and enter it again.",
    ),
    "IncompleteSignature": (
        CredentialsRejected,
        f"AWS cannot read the signature made with these keys. {_EDIT} and enter both again.",
    ),
    "AuthFailure": (
        CredentialsRejected,
        (
            "AWS does not accept these credentials for EC2. Check the access key id and the secret "
            "access key."
        ),
    ),
    "Blocked": (
        CredentialsRejected,
        "AWS has blocked this account. Whoever owns it has to ask AWS support why.",
    ),
    "ExpiredToken": (CredentialsRejected, _TOKEN_EXPIRED),
    "ExpiredTokenException": (CredentialsRejected, _TOKEN_EXPIRED),
    "RequestExpired": (
        CredentialsRejected,
        (
            "AWS finds the request out of date. Enter a new session token if there is one, or have "
            "the clock of this server set."
        ),
    ),
    "OptInRequired": (
        UnknownLocation,
        (
            "This region is not enabled for the account. Enable it in AWS under Account, or choose "
            "another location."
        ),
    ),
    "RegionDisabledException": (
        UnknownLocation,
        (
            "The account does not allow temporary credentials in this region. Enable it in AWS "
            "under IAM, Account settings, or choose another location."
        ),
    ),
    "PendingVerification": (
        PermissionDenied,
        "AWS is still verifying this account and lets it do nothing. Try again in an hour or two.",
    ),
    "ValidationError": (
        CredentialsRejected,
        f"AWS does not take the role ARN for one. {_EDIT} and enter it again.",
    ),
    "RequestLimitExceeded": (CloudThrottled, _THROTTLED),
    "Throttling": (CloudThrottled, _THROTTLED),
    "ThrottlingException": (CloudThrottled, _THROTTLED),
    "RequestThrottled": (CloudThrottled, _THROTTLED),
    "TooManyRequestsException": (CloudThrottled, _THROTTLED),
}
_DENIED = {"UnauthorizedOperation", "AccessDenied", "AccessDeniedException"}
_PERMISSION = re.compile(r"not authorized to perform:? ([a-z0-9-]{1,40}:[A-Za-z]{1,60})")
_OF_STS = {"AssumeRole", "GetCallerIdentity"}

NOT_AWS = (
    "What answers at the endpoint does not speak like AWS. Check the endpoint URL of the "
    "credentials."
)
_WITHOUT_ANSWER: tuple[tuple[type[Exception], str], ...] = (
    # The most specific first: most of these are subclasses of those at the end.
    (
        boto.ProxyConnectionError,
        "The proxy between here and AWS cannot be reached. Ask whoever looks after this server.",
    ),
    (
        boto.ConnectTimeoutError,
        (
            "No connection to AWS came about in time. Try again; if it stays so, check the "
            "endpoint URL, the firewall and the network from here."
        ),
    ),
    (
        boto.ReadTimeoutError,
        (
            "AWS takes too long to answer. Try again; if it stays so, check the network between "
            "here and there."
        ),
    ),
    (
        boto.EndpointConnectionError,
        (
            "The connection to AWS was refused. Check the endpoint URL of the credentials and the "
            "firewall."
        ),
    ),
    (
        boto.ConnectionClosedError,
        "The connection to AWS broke off before the answer was complete. Try again.",
    ),
    (parsers.ResponseParserError, NOT_AWS),
    (
        boto.HTTPClientError,
        (
            "The connection to AWS failed. Try again; if it stays so, check the endpoint URL and "
            "the network."
        ),
    ),
)
_NO_REGION = (boto.InvalidRegionError, boto.UnknownRegionError, boto.NoRegionError)


def code_of(error: BaseException) -> str:
    """The code that AWS gave, '' where there is none."""
    if isinstance(error, boto.ClientError):
        return str(error.response.get("Error", {}).get("Code") or "")
    return ""


def is_no_connection(error: Exception) -> bool:
    """Whether nothing listens there, or the name means nothing."""
    return isinstance(error, boto.EndpointConnectionError)


def is_not_aws(error: Exception) -> bool:
    """Whether there was an answer, and none of AWS's."""
    return str(translate(error)) == NOT_AWS


def translate(error: Exception) -> CloudError | None:
    if isinstance(error, boto.ClientError):
        return _of_answer(error)
    if isinstance(error, _NO_REGION):
        return no_region()
    if isinstance(error, boto.SSLError):
        return _of_tls(error)
    if is_no_connection(error) and isinstance(error.kwargs.get("error"), NameResolutionError):  # type: ignore[attr-defined]
        return CloudUnreachable(
            "The name of the endpoint cannot be resolved. Check the endpoint URL of the "
            "credentials and the network from here."
        )
    for kind, words in _WITHOUT_ANSWER:
        if isinstance(error, kind):
            return CloudUnreachable(words)
    return CloudUnreachable(NOT_AWS) if _broke_while_reading(error) else None


def no_region() -> UnknownLocation:
    return UnknownLocation("AWS has no region of this name. Choose one from the list.")


def not_enabled(region: str) -> UnknownLocation:
    return UnknownLocation(
        f"The region {region} is not enabled for this account. Enable it in AWS under Account, "
        "or choose another location."
    )


def refused_here(region: str) -> CredentialsRejected:
    """The credentials are good elsewhere."""
    return CredentialsRejected(
        f"AWS accepts these credentials, but not in {region}: the region may not be enabled for "
        "the account. Choose another location, or enable this one in AWS under Account."
    )


def _broke_while_reading(error: Exception) -> bool:
    """botocore trusts a document to be AWS's: one that is not can make it fail with any error."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__") == parsers.__name__


def _of_answer(error: boto.ClientError) -> CloudError | None:
    code = code_of(error)
    if code == "SignatureDoesNotMatch" and _is_about_time(error):
        return CredentialsRejected(_CLOCK)
    if code in BY_CODE:
        kind, words = BY_CODE[code]
        return kind(words)
    if code in _DENIED:
        return _denied(error)
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
    return _of_status(status) or (None if code else CloudUnreachable(NOT_AWS))


def _message(error: boto.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Message") or "")


def _is_about_time(error: boto.ClientError) -> bool:
    message = _message(error)
    return "Signature expired" in message or "Signature not yet current" in message


def _of_status(status: int) -> CloudError | None:
    """For a code that is not known here, or is none of AWS's."""
    if status == 429:
        return CloudThrottled(_THROTTLED)
    if status >= 500:
        return CloudUnreachable(
            f"AWS has trouble of its own at the moment (it answered {status}). Wait a minute and "
            "try again."
        )
    if status in {401, 403}:
        return CredentialsRejected(
            f"The endpoint refuses these credentials (it answered {status}). Check them, and the "
            "endpoint URL."
        )
    return None


def _denied(error: boto.ClientError) -> PermissionDenied:
    """AWS names the permission in most of its messages; else it is that of the call itself."""
    named = _PERMISSION.search(_message(error))
    service = "sts" if error.operation_name in _OF_STS else "ec2"
    permission = named[1] if named else f"{service}:{error.operation_name}"
    if permission == "sts:AssumeRole":
        return PermissionDenied(
            "These credentials may not take on the role: the permission sts:AssumeRole is "
            "missing, or the role does not trust them. Ask whoever manages the role in AWS."
        )
    return PermissionDenied(
        f"These credentials lack the permission {permission}. Ask whoever manages them in AWS to "
        "allow it, or choose other credentials."
    )


def _of_tls(error: boto.SSLError) -> CloudUnreachable:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return CloudUnreachable(
            "The TLS certificate of the endpoint cannot be verified. Check the endpoint URL, and "
            "whether this server knows the authority that issued the certificate."
        )
    return CloudUnreachable(
        "The endpoint does not speak TLS as it should. Check whether its URL begins with https "
        "rightly."
    )
