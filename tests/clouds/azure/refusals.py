"""What the tests of Azure's failures share: asking for an image, and being refused."""

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
    """What looking up an image is refused with."""
    with faulty.serve(behaviour, tls=tls.trusted()) as url:
        credentials = CredentialValues({**AzurePeer().credentials(url), **changes})
        return refused(lambda: adapter.describe(credentials, locator))


def managed(adapter: Azure, behaviour: Behaviour, locator: Locator = LOCATOR) -> CloudError:
    """The same after a login that went well."""
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
