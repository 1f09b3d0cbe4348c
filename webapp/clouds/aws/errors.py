"""Translation of botocore's exceptions into CloudErrors.

This module imports botocore, so it is itself imported only on first use.
"""

from __future__ import annotations

import re

from botocore import exceptions as boto
from botocore import parsers

from webapp.clouds.aws.sdk import OPERATIONS
from webapp.clouds.connection_errors import raising_modules, translate_connection_error
from webapp.clouds.errors import (
    CloudError,
    CloudThrottled,
    CloudUnreachable,
    CredentialsRejected,
    ImageNotVisible,
    InvalidImageId,
    PermissionDenied,
    UnknownLocation,
)

LABEL = "AWS"
IMAGE_NOT_FOUND = "InvalidAMIID.NotFound"
PARAMETER_NOT_FOUND = {"ParameterNotFound", "ParameterVersionNotFound"}
AMBIGUOUS_CODES = {"AuthFailure", "RequestExpired", "UnrecognizedClientException"}
"""Codes that EC2 and SSM return for several problems, for example for wrong keys and for a region
that is not enabled. A call to STS with the same credentials shows whether the keys are the problem.
"""

NOT_AWS = (
    "The server at the endpoint didn’t respond like AWS. Check the endpoint URL of the credentials."
)
_THROTTLED = "AWS is throttling requests from this account. Wait a minute and try again."
_SESSION_EXPIRED = (
    "The session token has expired. Edit the credentials and enter new temporary credentials."
)
_KEYS_DIFFER = (
    "The secret access key doesn’t match the access key ID. Edit the credentials and enter the "
    "secret access key again."
)
_INVALID_SIGNATURE = (
    "AWS rejected the signature made with these keys. Edit the credentials and enter both keys "
    "again."
)
_CLOCK = (
    "AWS rejected the request because the clock of this server is wrong. Ask the administrator of "
    "this server to set the clock, then try again."
)
BY_CODE: dict[str, tuple[type[CloudError], str]] = {
    IMAGE_NOT_FOUND: (
        ImageNotVisible,
        (
            "There is no such AMI in this region, or it isn’t shared with these credentials. Check "
            "the ID and the location."
        ),
    ),
    "InvalidAMIID.Malformed": (
        InvalidImageId,
        "AWS rejected this AMI ID. Copy the ID again.",
    ),
    "InvalidAMIID.Unavailable": (
        ImageNotVisible,
        (
            "This AMI is no longer available. It was deregistered, or is no longer shared with "
            "these credentials. Choose another AMI or contact its owner."
        ),
    ),
    "ValidationException": (
        InvalidImageId,
        "AWS rejected the name of this parameter. Copy the name again.",
    ),
    "UnknownOperationException": (
        CloudUnreachable,
        "The endpoint doesn’t serve SSM, so parameters can’t be read. Enter the AMI ID instead.",
    ),
    "InvalidClientTokenId": (
        CredentialsRejected,
        (
            "AWS doesn’t recognize this access key ID. It may be deleted, inactive, or in another "
            "partition. Edit the credentials."
        ),
    ),
    "UnrecognizedClientException": (
        CredentialsRejected,
        ("AWS doesn’t recognize this access key ID or its session token. Edit the credentials."),
    ),
    "SignatureDoesNotMatch": (CredentialsRejected, _KEYS_DIFFER),
    "InvalidSignatureException": (CredentialsRejected, _KEYS_DIFFER),
    "IncompleteSignature": (CredentialsRejected, _INVALID_SIGNATURE),
    "IncompleteSignatureException": (CredentialsRejected, _INVALID_SIGNATURE),
    "AuthFailure": (
        CredentialsRejected,
        (
            "AWS rejected these credentials for EC2. Check the access key ID and the secret access "
            "key."
        ),
    ),
    "Blocked": (
        CredentialsRejected,
        "AWS has blocked this account. Ask the account owner to contact AWS Support.",
    ),
    "ExpiredToken": (CredentialsRejected, _SESSION_EXPIRED),
    "ExpiredTokenException": (CredentialsRejected, _SESSION_EXPIRED),
    "RequestExpired": (
        CredentialsRejected,
        (
            "AWS rejected the request as expired. If the credentials have a session token, enter a "
            "new one. Otherwise, ask the administrator to set the clock of this server."
        ),
    ),
    "OptInRequired": (
        UnknownLocation,
        (
            "This region isn’t enabled for the account. Enable it in AWS under Account, or choose "
            "another location."
        ),
    ),
    "RegionDisabledException": (
        UnknownLocation,
        (
            "The account doesn’t allow temporary credentials in this region. Enable them in AWS "
            "under IAM > Account settings, or choose another location."
        ),
    ),
    "PendingVerification": (
        PermissionDenied,
        "AWS is still verifying this account. Try again in an hour or two.",
    ),
    "ValidationError": (
        CredentialsRejected,
        "AWS rejected this role ARN. Edit the credentials and enter it again.",
    ),
    "RequestLimitExceeded": (CloudThrottled, _THROTTLED),
    "Throttling": (CloudThrottled, _THROTTLED),
    "ThrottlingException": (CloudThrottled, _THROTTLED),
    "RequestThrottled": (CloudThrottled, _THROTTLED),
    "TooManyRequestsException": (CloudThrottled, _THROTTLED),
}
_SIGNATURE_CODES = {"SignatureDoesNotMatch", "InvalidSignatureException"}
_DENIED_CODES = {"UnauthorizedOperation", "AccessDenied", "AccessDeniedException"}
_PERMISSION = re.compile(r"not authorized to perform:? ([a-z0-9-]{1,40}:[A-Za-z]{1,60})")
_NO_REGION = (boto.InvalidRegionError, boto.UnknownRegionError, boto.NoRegionError)


def translate(error: Exception) -> CloudError | None:
    """Return the CloudError for an expected exception of botocore, else None."""
    if isinstance(error, boto.ClientError):
        return _translate_response(error)
    if isinstance(error, _NO_REGION):
        return no_such_region()
    if isinstance(error, parsers.ResponseParserError) or _failed_while_parsing(error):
        return CloudUnreachable(NOT_AWS)
    if isinstance(error, boto.BotoCoreError):
        return translate_connection_error(
            error,
            LABEL,
            "endpoint URL",
            "whether its certificate authority is in the CA certificates of the credentials or, if "
            "the credentials have none, is trusted by this server",
        )
    return None


def error_code(error: BaseException) -> str:
    """Return the error code in AWS's response, or ''."""
    if isinstance(error, boto.ClientError):
        return str(error.response.get("Error", {}).get("Code") or "")
    return ""


def is_connection_failure(error: Exception) -> bool:
    """Return whether no connection was established, for example because the host name is unknown.

    Returns False for a timeout.
    """
    return isinstance(error, boto.EndpointConnectionError)


def is_not_aws(error: Exception) -> bool:
    """Return whether the response cannot be from AWS."""
    return str(translate(error)) == NOT_AWS


def no_such_region() -> UnknownLocation:
    return UnknownLocation("AWS has no such region. Choose a region from the list.")


def no_such_parameter(name: str, region: str) -> ImageNotVisible:
    return ImageNotVisible(
        f"There is no parameter {name} in {region}, or it isn’t shared with these credentials. "
        "Check its name, version or label, and the location."
    )


def region_not_enabled(region: str) -> UnknownLocation:
    return UnknownLocation(
        f"The region {region} isn’t enabled for this account. Enable it in AWS under Account, or "
        "choose another location."
    )


def rejected_in_region(region: str) -> CredentialsRejected:
    """Return the error for credentials that AWS accepts in other regions, but not in `region`."""
    return CredentialsRejected(
        f"AWS accepts these credentials, but not in {region}. The region may not be enabled for "
        "the account. Choose another location, or enable this one in AWS under Account."
    )


def _translate_response(error: boto.ClientError) -> CloudError | None:
    code = error_code(error)
    if code in _SIGNATURE_CODES and _is_clock_error(error):
        return CredentialsRejected(_CLOCK)
    if code in BY_CODE:
        error_class, message = BY_CODE[code]
        return error_class(message)
    if code in _DENIED_CODES:
        return _permission_denied(error)
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
    return _translate_status(status) or (None if code else CloudUnreachable(NOT_AWS))


def _message(error: boto.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Message") or "")


def _is_clock_error(error: boto.ClientError) -> bool:
    message = _message(error)
    return "Signature expired" in message or "Signature not yet current" in message


def _permission_denied(error: boto.ClientError) -> PermissionDenied:
    """Return the error that names the missing permission.

    Most messages from AWS name the permission. If a message does not, the missing permission is the
    permission for the failed operation, for example ec2:DescribeImages.
    """
    match = _PERMISSION.search(_message(error))
    name = error.operation_name
    service = next((each for each, names in OPERATIONS.items() if name in names), "ec2")
    permission = match[1] if match else f"{service}:{name}"
    if permission == "sts:AssumeRole":
        return PermissionDenied(
            "These credentials can’t assume the role. The permission sts:AssumeRole is missing, or "
            "the role doesn’t trust them. Ask your cloud administrator to check the role in AWS."
        )
    return PermissionDenied(
        f"These credentials don’t have the permission {permission}. Ask your cloud administrator "
        "to grant it, or choose other credentials."
    )


def _translate_status(status: int) -> CloudError | None:
    """Return the error for the HTTP status of a response without a known code.

    Return None if the status does not explain the failure.
    """
    if status == 429:
        return CloudThrottled(_THROTTLED)
    if status >= 500:
        return CloudUnreachable(
            f"AWS has a temporary problem (HTTP {status}). Wait a minute and try again."
        )
    if status in {401, 403}:
        return CredentialsRejected(
            f"The endpoint rejected these credentials (HTTP {status}). Check the credentials and "
            "the endpoint URL."
        )
    return None


def _failed_while_parsing(error: Exception) -> bool:
    """Return whether botocore's parser raised `error`.

    The parser assumes that a response is from AWS. For any other response, it can raise any
    exception.
    """
    return raising_modules(error)[-1:] == [parsers.__name__]
