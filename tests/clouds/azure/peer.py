"""The sandbox's Azure as a peer for the contract tests."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import ClassVar

from sandbox import azure, azure_images, faulty, tls
from tests.clouds.azure.answers import aadsts, after_login, arm_error, denied
from tests.clouds.peer import Peer
from webapp.clouds import CLOUDS
from webapp.clouds.credentials import CredentialValues
from webapp.clouds.locators import Locator

NOBLE = azure_images.NOBLE
OWN = azure_images.ACME_IMAGE
HOME = "westeurope"


class AzurePeer(Peer):
    cloud = CLOUDS["azure"]
    known = Locator(HOME, NOBLE.urn())
    known_name = ""
    unknown = Locator(HOME, NOBLE.urn("24.04.201901010"))
    in_other_location = Locator("eastus", azure_images.ONLY_EUROPE.urn())
    at_unknown_location = Locator("atlantis", NOBLE.urn())
    alias = Locator(HOME, NOBLE.urn("latest"))
    pasted: ClassVar[Mapping[str, str]] = {
        " Canonical:ubuntu-24_04-lts:server:latest\n": NOBLE.urn("latest"),
        f"Canonical / ubuntu-24_04-lts / server / {NOBLE.versions[0]}": NOBLE.urn(
            NOBLE.versions[0]
        ),
        f"https://portal.azure.com/#@acme.example/resource{OWN.resource_id}/overview": (
            OWN.resource_id
        ),
    }
    invalid_ids = (
        "",
        "ubuntu",
        "Canonical:ubuntu-24_04-lts:server",
        "ami-0123456789abcdef0",
        azure_images.GOLDEN.resource_id,
    )
    secret = azure.SECRET
    tls = tls.trusted()

    def start(self) -> AbstractContextManager[str]:
        return azure.start()

    def credentials(self, url: str) -> CredentialValues:
        return CredentialValues(azure.credentials(url.replace("http:", "https:")))

    def rejecting(self) -> faulty.Behavior:
        return aadsts(7000215)

    def denying(self) -> faulty.Behavior:
        return after_login(denied())

    def throttling(self) -> faulty.Behavior:
        return after_login(
            arm_error("SubscriptionRequestsThrottled", status=429, headers={"Retry-After": "17"})
        )
