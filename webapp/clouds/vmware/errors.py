"""What pyVmomi raises, in our words. Imports pyVmomi, so it is itself imported only when there is
an error to translate."""

from __future__ import annotations

import re
import ssl
from xml.parsers.expat import ExpatError

from pyVmomi import SoapAdapter, vim, vmodl
from pyVmomi.VmomiSupport import ManagedObject

from webapp.clouds.base import (
    CloudError,
    CloudThrottled,
    CloudUnreachable,
    CredentialsRejected,
    ImageNotFound,
    PermissionDenied,
)
from webapp.clouds.connection_errors import translate_connection_error
from webapp.clouds.vmware.connection import NOT_VSPHERE, HttpStatus

LABEL, ADDRESS = "VMware vSphere", "vCenter URL"
_FAULTS: tuple[tuple[type[Exception], type[CloudError], str], ...] = (
    (
        vim.fault.PasswordExpired,
        CredentialsRejected,
        (
            "The password of this user has expired. Set a new one in vCenter, then edit the "
            "credentials and enter it."
        ),
    ),
    (
        vim.fault.InvalidLogin,
        CredentialsRejected,
        (
            "The vCenter does not know this user with this password, or has locked the account. "
            "Check both, and that the user name has its domain, as in administrator@vsphere.local."
        ),
    ),
    (
        vim.fault.NotAuthenticated,
        CredentialsRejected,
        (
            "The vCenter ended the session as soon as it had begun. Try again; if it stays so, ask "
            "whoever runs it."
        ),
    ),
    (
        vmodl.fault.ManagedObjectNotFound,
        ImageNotFound,
        (
            "What was looked up has been deleted in vCenter meanwhile. Choose the template from "
            "the list again."
        ),
    ),
    (
        vim.fault.HostConnectFault,
        CloudUnreachable,
        "The vCenter has no connection to the template's host. Try again when that is back.",
    ),
    (
        vmodl.fault.HostCommunication,
        CloudUnreachable,
        "The vCenter gets no answer from the template's host. Try again when that is back.",
    ),
    (
        vim.fault.Timedout,
        CloudUnreachable,
        "The vCenter takes too long for this at the moment. Wait a minute and try again.",
    ),
    (
        vmodl.fault.NotSupported,
        CloudUnreachable,
        (
            "This vCenter does not support what is asked of it: it may be older than version 6.0. "
            "Enter the URL of a newer one."
        ),
    ),
    (
        vmodl.fault.MethodNotFound,
        CloudUnreachable,
        (
            "What answers there is not a vCenter Server, but another product of VMware's. Check "
            "the vCenter URL of the credentials."
        ),
    ),
)
_STATUSES: dict[int, tuple[type[CloudError], str]] = {
    401: (
        CredentialsRejected,
        (
            "Something before the vCenter wants a login of its own (it answered 401). Enter the "
            "address of the vCenter itself."
        ),
    ),
    403: (
        PermissionDenied,
        (
            "Something before the vCenter does not let this server through (it answered 403). Ask "
            "whoever runs the vCenter or the proxy before it."
        ),
    ),
    404: (
        CloudUnreachable,
        (
            "There is no vCenter at this path (it answered 404). Check the vCenter URL of the "
            "credentials: its host alone is enough."
        ),
    ),
    429: (
        CloudThrottled,
        "The vCenter asks for fewer calls for now. Wait a minute and try again.",
    ),
    503: (
        CloudUnreachable,
        (
            "The vCenter is not ready (it answered 503): it may be starting, or have too many "
            "sessions. Wait some minutes and try again."
        ),
    ),
}
_TROUBLE = (
    "The vCenter has trouble of its own at the moment (it answered {}). Wait a minute and try "
    "again."
)
_SELF_SIGNED = (
    "The TLS certificate of the vCenter cannot be verified: it is self-signed. Edit the "
    "credentials and enter its authority's certificate, or trust this one by its thumbprint."
)
_OURS = (vmodl.fault.InvalidArgument, vmodl.fault.InvalidType, vmodl.query.InvalidProperty)
"""Faults that say that we asked wrongly."""
_THINGS = {
    "Datacenter": "datacenter",
    "Folder": "folder",
    "HostSystem": "host",
    "VirtualMachine": "virtual machine",
}
_WORD = re.compile(r"[\w.-]{1,60}")


def translate(error: Exception) -> CloudError | None:
    if isinstance(error, vmodl.MethodFault):
        return _of_fault(error)
    if isinstance(error, HttpStatus):
        return _of_status(error.status)
    if isinstance(error, ssl.SSLCertVerificationError) and "self-signed" in str(error):
        return CloudUnreachable(_SELF_SIGNED)
    garbage = isinstance(error, ExpatError) or _broke_while_reading(error)
    return translate_connection_error(error, LABEL, ADDRESS) or (
        CloudUnreachable(NOT_VSPHERE) if garbage else None
    )


def _of_fault(error: Exception) -> CloudError | None:
    for fault, kind, words in _FAULTS:
        if isinstance(error, fault):
            return kind(words)
    if isinstance(error, vim.fault.NoPermission):
        return PermissionDenied(_denied(error))
    if isinstance(error, _OURS):
        return None
    name = type(error).__name__.rpartition(".")[2]
    return CloudUnreachable(_TROUBLE.format(name))


def _denied(error: Exception) -> str:
    """vCenter names the privilege, and the object by an id."""
    privilege, thing = str(getattr(error, "privilegeId", "") or ""), getattr(error, "object", None)
    on = ""
    if isinstance(thing, ManagedObject) and _WORD.fullmatch(str(thing._moId)):  # noqa: SLF001
        kind = type(thing).__name__.rpartition(".")[2]
        on = f" on the {_THINGS.get(kind, kind)} {thing._moId}"  # noqa: SLF001
    named = f"the privilege {privilege}" if _WORD.fullmatch(privilege) else "a privilege"
    return (
        f"These credentials lack {named}{on}. Ask whoever manages vCenter to give the user a role "
        "that has it, such as Read-only, or choose other credentials."
    )


def _of_status(status: int) -> CloudError:
    if status in _STATUSES:
        kind, words = _STATUSES[status]
        return kind(words)
    if status >= 500:
        return CloudUnreachable(_TROUBLE.format(status))
    if 300 <= status < 400:
        return CloudUnreachable(
            f"The server points to another address (it answered {status}). Enter that one as the "
            "vCenter URL of the credentials."
        )
    return CloudUnreachable(NOT_VSPHERE)


def _broke_while_reading(error: Exception) -> bool:
    """pyVmomi trusts an answer to be vCenter's: one that is not can make it fail with any error."""
    trace, within = error.__traceback__, ""
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__") == SoapAdapter.__name__:
            within = trace.tb_frame.f_code.co_name
            if within == "Deserialize":
                return True
        trace = trace.tb_next
    # A fault in which there is none, which it has an exception without a name for.
    return type(error) is Exception and within == "InvokeMethod"
