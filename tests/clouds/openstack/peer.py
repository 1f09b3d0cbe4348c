"""The sandbox's OpenStack as a peer for the contract tests."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import ClassVar

from sandbox import faulty, openstack
from sandbox.openstack_images import NOBLE, ONLY_IN_REGION_TWO, REGION_ONE
from tests.clouds.helpers import cloud_error
from tests.clouds.openstack import answers
from tests.clouds.peer import Peer
from webapp.clouds import CLOUDS
from webapp.clouds.credentials import CredentialValues
from webapp.clouds.errors import CloudError
from webapp.clouds.locators import Locator
from webapp.clouds.openstack.adapter import OpenStack

UNKNOWN = "0fedcba9-8765-4321-8fed-cba987654321"

LOCATOR = Locator(REGION_ONE, UNKNOWN)


class OpenStackPeer(Peer):
    cloud = CLOUDS["openstack"]
    known = Locator(REGION_ONE, NOBLE.image_id)
    known_name = NOBLE.name
    unknown = Locator(REGION_ONE, UNKNOWN)
    in_other_location = Locator(REGION_ONE, ONLY_IN_REGION_TWO.image_id)
    at_unknown_location = Locator("Nowhere", NOBLE.image_id)
    pasted: ClassVar[Mapping[str, str]] = {
        f" {UNKNOWN.upper()}\n": UNKNOWN,
        UNKNOWN.replace("-", ""): UNKNOWN,
        f"https://cloud.example.com/dashboard/project/images/{UNKNOWN}/": UNKNOWN,
    }
    invalid_ids = ("", "Ubuntu 24.04", "ami-0123456789abcdef0", UNKNOWN[:-1])
    secret = openstack.PASSWORD

    def start(self) -> AbstractContextManager[str]:
        return openstack.start()

    def credentials(self, url: str) -> CredentialValues:
        secret = openstack.APPLICATION_SECRET
        return openstack_credentials(url, application_credential_secret=secret)

    def rejecting(self) -> faulty.Behavior:
        return answers.keystone_error(401)

    def denying(self) -> faulty.Behavior:
        return answers.cloud(answers.glance_error(403))

    def throttling(self) -> faulty.Behavior:
        return answers.keystone_error(429)


def openstack_credentials(url: str, **changes: str) -> CredentialValues:
    """Return valid credentials with a password, except for `changes`."""
    return CredentialValues({**openstack.credentials(url), **changes})


def application_credentials(url: str, **changes: str) -> CredentialValues:
    """Return valid credentials with an application credential, except for `changes`."""
    return openstack_credentials(
        url,
        **{
            "auth_type": "application_credential",
            "username": "",
            "password": "",
            "project_name": "",
            "application_credential_id": openstack.APPLICATION_ID,
            "application_credential_secret": openstack.APPLICATION_SECRET,
            **changes,
        },
    )


def look_up_error(
    adapter: OpenStack, behavior: faulty.Behavior, locator: Locator = LOCATOR, **changes: str
) -> CloudError:
    """Return the error that looking up an image raises."""
    with faulty.serve(behavior) as url:
        return cloud_error(lambda: adapter.describe(openstack_credentials(url, **changes), locator))
