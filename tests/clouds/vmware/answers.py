"""Answers of a vCenter for `sandbox.faulty`, made for one test."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyVmomi import vim

from sandbox import faulty, tls, vmware, vmware_soap
from sandbox.faulty import Behaviour
from sandbox.vmware_inventory import INVENTORY
from tests.clouds.peer import SECRET
from webapp.clouds.base import CredentialValues

_METHOD = re.compile(rb"<soapenv:Body>\s*<(\w+)")


def credentials(address: str, **changes: str) -> CredentialValues:
    """Good ones at a server of this process, which has `PASSWORD`."""
    values = vmware.credentials(address.replace("http:", "https:"))
    return CredentialValues({**values, "password": SECRET, **changes})


def vcenter() -> vmware.VCenter:
    """The sandbox's, with the password of `credentials`."""
    return vmware.VCenter(INVENTORY, password=SECRET)


@contextmanager
def serve(behaviour: Behaviour) -> Iterator[str]:
    with faulty.serve(behaviour, tls=tls.trusted()) as address:
        yield address


def by_method(otherwise: Behaviour | None = None, **behaviours: Behaviour) -> Behaviour:
    """Each method of the API as said, and all the others as the sandbox does."""
    rest = otherwise or vcenter().behave

    def behave(request: faulty.Request) -> faulty.Answer | None:
        found = _METHOD.search(request.body)
        method = found[1].decode() if found else ""
        return behaviours.get(method, rest)(request)

    return behave


def fault(error: Any, message: str = "") -> Behaviour:
    answer = vmware_soap.fault(error, message)
    return lambda _: answer


def returning(method: str, value: Any) -> Behaviour:
    answer = vmware_soap.result(method, value)
    return lambda _: answer


def denied(privilege: str = "System.View") -> Any:
    return vim.fault.NoPermission(object=vim.Datacenter("datacenter-2"), privilegeId=privilege)


def after_login(behaviour: Behaviour) -> Behaviour:
    """A vCenter that accepts who is asking, and then behaves like this."""
    own = vcenter().behave
    return by_method(behaviour, RetrieveServiceContent=own, Login=own)
