"""The sandbox's vCenter as a peer for the contract tests."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import ClassVar

from pyVmomi import vim

from sandbox import faulty, tls, vmware
from sandbox.vmware_inventory import AARHUS, COPENHAGEN, LAB, UBUNTU
from tests.clouds.peer import SECRET, Peer
from tests.clouds.vmware import answers
from tests.clouds.vmware.answers import after_login, by_method, denied, fault
from webapp.clouds import CLOUDS
from webapp.clouds.credentials import CredentialValues
from webapp.clouds.locators import Locator

UUID = "501e5a2b-8c9d-0e1f-2a3b-4c5d6e7f8091"


class VMwarePeer(Peer):
    cloud = CLOUDS["vmware"]
    known = Locator(COPENHAGEN.path, UBUNTU.uuid)
    known_name = UBUNTU.name
    unknown = Locator(COPENHAGEN.path, UUID)
    in_other_location = Locator(COPENHAGEN.path, LAB.uuid)
    at_unknown_location = Locator("Atlantis", UBUNTU.uuid)
    pasted: ClassVar[Mapping[str, str]] = {
        "50 1e 5a 2b 8c 9d 0e 1f-2a 3b 4c 5d 6e 7f 80 91": UUID,
        " 50 1E 5A 2B 8C 9D 0E 1F-2A 3B 4C 5D 6E 7F 80 91\n": UUID,
    }
    """These are the only spellings of a UUID that cannot also be an OpenStack image ID."""
    invalid_ids = (
        "",
        "ubuntu",
        "vm-123",
        "urn:vmomi:VirtualMachine:vm-123:6f1c0c5f-9d0b-4b2e-8a7d-3c5e1f2a4b60",
        UUID[:-1],
        f"/{AARHUS.path}/vm/{LAB.name}",
    )
    secret = SECRET
    tls = tls.trusted()

    def start(self) -> AbstractContextManager[str]:
        return vmware.serve(answers.vcenter())

    def credentials(self, url: str) -> CredentialValues:
        return answers.credentials(url)

    def rejecting(self) -> faulty.Behavior:
        return by_method(Login=fault(vim.fault.InvalidLogin()))

    def denying(self) -> faulty.Behavior:
        return after_login(fault(denied()))

    def throttling(self) -> faulty.Behavior:
        return faulty.answering(429)
