"""Translation of pyVmomi's exceptions into CloudErrors.

This module imports pyVmomi, so it is imported only when there is an error to translate.
"""

from __future__ import annotations

import re
import ssl
import traceback
from xml.parsers.expat import ExpatError

from pyVmomi import SoapAdapter, vim, vmodl
from pyVmomi.VmomiSupport import ManagedObject

from webapp.clouds.connection_errors import translate_connection_error
from webapp.clouds.errors import (
    CloudError,
    CloudThrottled,
    CloudUnreachable,
    CredentialsRejected,
    ImageNotFound,
    PermissionDenied,
)
from webapp.clouds.vmware.connection import NOT_VSPHERE, UnexpectedHttpStatus

LABEL, URL_LABEL = "VMware vSphere", "vCenter URL"
_FAULTS: tuple[tuple[type[Exception], type[CloudError], str], ...] = (
    (
        vim.fault.PasswordExpired,
        CredentialsRejected,
        (
            "The password of this user has expired. Set a new one in vCenter and enter it in the "
            "credentials."
        ),
    ),
    (
        vim.fault.InvalidLogin,
        CredentialsRejected,
        (
            "The vCenter rejected this username and password, or has locked the account. Check the "
            "username and the password, and that the username includes its domain, as in "
            "administrator@vsphere.local."
        ),
    ),
    (
        vim.fault.NotAuthenticated,
        CredentialsRejected,
        (
            "The vCenter ended the session immediately after the login. Try again; if the problem "
            "persists, ask your vCenter administrator."
        ),
    ),
    (
        vmodl.fault.ManagedObjectNotFound,
        CloudUnreachable,
        "An object in the vCenter was deleted during the look-up. Try again.",
    ),
    (
        vim.fault.HostConnectFault,
        CloudUnreachable,
        (
            "The vCenter has no connection to the host of the template. Try again when the host is "
            "connected."
        ),
    ),
    (
        vmodl.fault.HostCommunication,
        CloudUnreachable,
        (
            "The host of the template isn’t responding to the vCenter. Try again when the host "
            "responds."
        ),
    ),
    (
        vim.fault.Timedout,
        CloudUnreachable,
        "The request timed out in the vCenter. Wait a minute and try again.",
    ),
    (
        vmodl.fault.NotSupported,
        CloudUnreachable,
        (
            "This vCenter doesn’t support a required operation: it may be older than version 6.0. "
            "Enter the URL of a newer vCenter."
        ),
    ),
    (
        vmodl.fault.MethodNotFound,
        CloudUnreachable,
        (
            "The server isn’t a vCenter Server but another VMware product. Check the vCenter URL "
            "in the credentials."
        ),
    ),
)
"""The faults that have a message of their own, each with its CloudError and the message.

A fault is pyVmomi's exception for an error that a vCenter reports. A subclass comes before its base
class, because the first match counts.
"""
_STATUSES: dict[int, tuple[type[CloudError], str]] = {
    401: (
        CredentialsRejected,
        (
            "A server in front of the vCenter requires a login of its own (HTTP 401). Enter the "
            "URL of the vCenter itself."
        ),
    ),
    403: (
        PermissionDenied,
        (
            "A server in front of the vCenter doesn’t allow requests from this server (HTTP 403). "
            "Ask the administrator of the vCenter or of the proxy in front of it."
        ),
    ),
    404: (
        CloudUnreachable,
        (
            "There is no vCenter at this path (HTTP 404). Check the vCenter URL in the "
            "credentials: the host name without a path is enough."
        ),
    ),
    429: (
        CloudThrottled,
        "The vCenter is throttling requests. Wait a minute and try again.",
    ),
    503: (
        CloudUnreachable,
        (
            "The vCenter isn’t ready (HTTP 503): it may be starting, or have too many sessions. "
            "Wait a few minutes and try again."
        ),
    ),
}
"""The CloudError and its message, by the HTTP status."""
_PROBLEM = "The vCenter has a temporary problem ({}). Wait a minute and try again."
_SELF_SIGNED = (
    "The TLS certificate of the vCenter can’t be verified: it is self-signed, or a private "
    "certificate authority issued it. Edit the credentials and add the certificate of the "
    "authority, or trust the certificate of the vCenter by its thumbprint."
)
_SELF_SIGNED_CODES = {18, 19}
"""OpenSSL's codes for a self-signed certificate: the certificate of the server itself, or of an
authority in its chain (openssl/x509_vfy.h)."""
_INVALID_REQUESTS = (
    vmodl.fault.InvalidArgument,
    vmodl.fault.InvalidType,
    vmodl.query.InvalidProperty,
)
"""Faults that report an invalid request. They mean that this adapter has a bug."""
_OBJECT_KINDS = {
    "Datacenter": "datacenter",
    "Folder": "folder",
    "HostSystem": "host",
    "VirtualMachine": "virtual machine",
}
_DISPLAYABLE = re.compile(r"[\w.-]{1,60}")


def translate(error: Exception) -> CloudError | None:
    """Return the CloudError for `error`.

    Returns None if neither the vCenter nor the connection caused `error`.
    """
    if isinstance(error, vmodl.MethodFault):
        return _fault_error(error)
    if isinstance(error, UnexpectedHttpStatus):
        return _status_error(error.status)
    if isinstance(error, ssl.SSLCertVerificationError) and error.verify_code in _SELF_SIGNED_CODES:
        return CloudUnreachable(_SELF_SIGNED)
    if translated := translate_connection_error(error, LABEL, URL_LABEL):
        return translated
    if isinstance(error, ExpatError) or _raised_while_reading_response(error):
        return CloudUnreachable(NOT_VSPHERE)
    return None


def _fault_error(error: Exception) -> CloudError | None:
    if isinstance(error, vmodl.fault.ManagedObjectNotFound) and isinstance(
        error.obj, vim.VirtualMachine
    ):
        return ImageNotFound(
            "The template was deleted in vCenter during the look-up. Choose a template from the "
            "list again."
        )
    for fault, kind, message in _FAULTS:
        if isinstance(error, fault):
            return kind(message)
    if isinstance(error, vim.fault.NoPermission):
        return PermissionDenied(_permission_message(error))
    if isinstance(error, _INVALID_REQUESTS):
        return None
    return CloudUnreachable(_PROBLEM.format(_class_name(error)))


def _permission_message(error: Exception) -> str:
    """Return a message that names the missing privilege and the object.

    The vCenter reports only the ID of the object, for example `datacenter-2`.
    """
    privilege = str(getattr(error, "privilegeId", "") or "")
    denied_object = getattr(error, "object", None)
    object_text = ""
    if isinstance(denied_object, ManagedObject):
        object_id = str(denied_object._moId)  # noqa: SLF001
        if _DISPLAYABLE.fullmatch(object_id):
            kind = _class_name(denied_object)
            object_text = f" on the {_OBJECT_KINDS.get(kind, kind)} {object_id}"
    privilege_text = (
        f"the privilege {privilege}" if _DISPLAYABLE.fullmatch(privilege) else "a privilege"
    )
    return (
        f"These credentials don’t have {privilege_text}{object_text}. Ask your vCenter "
        "administrator to give the user a role with this privilege, such as Read-only, or choose "
        "other credentials."
    )


def _class_name(value: object) -> str:
    return type(value).__name__.rpartition(".")[2]


def _status_error(status: int) -> CloudError:
    if status in _STATUSES:
        kind, message = _STATUSES[status]
        return kind(message)
    if status >= 500:
        return CloudUnreachable(_PROBLEM.format(f"HTTP {status}"))
    if 300 <= status < 400:
        return CloudUnreachable(
            f"The vCenter URL redirects to another URL (HTTP {status}), and redirects aren’t "
            "followed. Enter the final URL as the vCenter URL."
        )
    return CloudUnreachable(NOT_VSPHERE)


def _raised_while_reading_response(error: Exception) -> bool:
    """Return whether pyVmomi raised `error` while it read a response.

    pyVmomi assumes that each response is from a vCenter. For any other response, pyVmomi can raise
    any exception.
    """
    functions = [
        frame.f_code.co_name
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if frame.f_globals.get("__name__") == SoapAdapter.__name__
    ]
    if "Deserialize" in functions:
        return True
    # pyVmomi raises a plain Exception for a SOAP fault without a vCenter fault inside.
    return type(error) is Exception and functions[-1:] == ["InvokeMethod"]
