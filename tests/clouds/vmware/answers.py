"""Behaviors of a vCenter for `sandbox.faulty`, for single tests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyVmomi import vim

from sandbox import faulty, tls, vmware, vmware_soap
from sandbox.faulty import Behavior
from sandbox.vmware_inventory import INVENTORY
from tests.clouds.peer import SECRET
from webapp.clouds.credentials import CredentialValues

_METHOD = re.compile(rb"<soapenv:Body>\s*<(\w+)")


def credentials(url: str, **changes: str) -> CredentialValues:
    """Return valid credentials for a vCenter of this module, whose password is `SECRET`."""
    values = vmware.credentials(url.replace("http:", "https:"))
    return CredentialValues({**values, "password": SECRET, **changes})


def vcenter() -> vmware.VCenter:
    """Return the sandbox's vCenter with the password of `credentials`."""
    return vmware.VCenter(INVENTORY, password=SECRET)


@contextmanager
def serve(behavior: Behavior) -> Iterator[str]:
    with faulty.serve(behavior, tls=tls.trusted()) as url:
        yield url


def by_method(otherwise: Behavior | None = None, **behaviors: Behavior) -> Behavior:
    """Return a behavior that uses `behaviors` by the name of the called method.

    `otherwise` answers calls of all other methods. By default, the sandbox's vCenter does.
    """
    default = otherwise or vcenter().behave

    def behave(request: faulty.Request) -> faulty.Answer | None:
        match = _METHOD.search(request.body)
        method = match[1].decode() if match else ""
        return behaviors.get(method, default)(request)

    return behave


def fault(error: Any, message: str = "") -> Behavior:
    """Return a behavior that answers every call with this fault."""
    answer = vmware_soap.fault(error, message)
    return lambda _: answer


def returning(method: str, value: Any) -> Behavior:
    """Return a behavior that answers every call as if `method` returned `value`."""
    answer = vmware_soap.result(method, value)
    return lambda _: answer


def denied(privilege: str = "System.View") -> Any:
    """Return the fault of a user who lacks this privilege on a datacenter."""
    return vim.fault.NoPermission(object=vim.Datacenter("datacenter-2"), privilegeId=privilege)


def after_login(behavior: Behavior) -> Behavior:
    """Return a behavior that accepts the login, and then behaves like `behavior`."""
    sandbox = vcenter().behave
    return by_method(behavior, RetrieveServiceContent=sandbox, Login=sandbox)
