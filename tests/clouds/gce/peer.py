"""The sandbox's Compute Engine as a peer for the contract tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import ClassVar

from sandbox import faulty, gce, gce_answers, gce_images, gce_keys
from tests.clouds.gce.answers import answering_with
from tests.clouds.peer import Peer
from webapp.clouds import CLOUDS
from webapp.clouds.credentials import CredentialValues
from webapp.clouds.locators import Locator

NOBLE = gce_images.NOBLE
LINK = "https://www.googleapis.com/compute/v1/projects/"


class GcePeer(Peer):
    cloud = CLOUDS["gce"]
    known = Locator("", NOBLE.image_id)
    known_name = NOBLE.name
    unknown = Locator("", "debian-cloud/global/images/debian-99")
    pasted: ClassVar[Mapping[str, str]] = {
        f" /{NOBLE.image_id}\n": NOBLE.image_id,
        f"{LINK}{NOBLE.image_id}": NOBLE.image_id,
        f"projects/{NOBLE.family_id}": NOBLE.family_id,
    }
    invalid_ids = ("", "debian-13", "ami-0123456789abcdef0", "acme-images/global/images/Web")
    secret = json.loads(gce_keys.key_file())["private_key"].splitlines()[7]

    def start(self) -> AbstractContextManager[str]:
        return gce.start()

    def credentials(self, url: str) -> CredentialValues:
        return gce_credentials(url)

    def rejecting(self) -> faulty.Behavior:
        return answering_with(gce_answers.unauthenticated())

    def denying(self) -> faulty.Behavior:
        return answering_with(gce_answers.forbidden(NOBLE.image_id))

    def throttling(self) -> faulty.Behavior:
        return answering_with(gce_answers.throttled())


def gce_credentials(url: str, **changes: str) -> CredentialValues:
    """Return valid credentials, except for `changes`."""
    return CredentialValues({**gce.credentials(url), **changes})
