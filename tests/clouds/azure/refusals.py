"""Helpers for tests of failing look-ups in Azure."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from sandbox import azure_images, faulty, tls
from sandbox.faulty import Behaviour
from tests.clouds.azure.answers import after_login
from tests.clouds.azure.peer import AzurePeer
from webapp.clouds.azure.adapter import Azure
from webapp.clouds.base import CloudError, CredentialValues, Locator

HOME = "westeurope"
NOBLE = azure_images.NOBLE
LOCATOR = Locator(HOME, NOBLE.urn())
OWN = Locator("", azure_images.OWN.resource_id)


def described(
    adapter: Azure, behaviour: Behaviour, locator: Locator = LOCATOR, **changes: str
) -> CloudError:
    """Return the error of a look-up at a server with this behaviour."""
    with faulty.serve(behaviour, tls=tls.trusted()) as url:
        credentials = CredentialValues({**AzurePeer().credentials(url), **changes})
        return refused(lambda: adapter.describe(credentials, locator))


def managed(adapter: Azure, behaviour: Behaviour, locator: Locator = LOCATOR) -> CloudError:
    """Return the error of a look-up that fails after a successful login."""
    return described(adapter, after_login(behaviour), locator)


def refused(call: Callable[[], object]) -> CloudError:
    with pytest.raises(CloudError) as caught:
        call()
    words = str(caught.value)
    assert words[0].isupper()
    assert words.endswith(".")
    assert len(words) < 300
    assert "://" not in words
    assert len(re.findall(r"[.?!](?=\s|$)", words)) <= 3
    return caught.value
