"""Helpers for tests of failing look-ups in Azure."""

from __future__ import annotations

from sandbox import azure_images, faulty, tls
from sandbox.faulty import Behavior
from tests.clouds.azure.answers import after_login
from tests.clouds.azure.peer import AzurePeer
from tests.clouds.helpers import cloud_error
from webapp.clouds.azure.adapter import Azure
from webapp.clouds.credentials import CredentialValues
from webapp.clouds.errors import CloudError
from webapp.clouds.locators import Locator

HOME = "westeurope"
NOBLE = azure_images.NOBLE
LOCATOR = Locator(HOME, NOBLE.urn())
OWN = Locator("", azure_images.ACME_IMAGE.resource_id)


def look_up_error(
    adapter: Azure, behavior: Behavior, locator: Locator = LOCATOR, **changes: str
) -> CloudError:
    """Return the error of a look-up that calls a server with this behavior."""
    with faulty.serve(behavior, tls=tls.trusted()) as url:
        credentials = CredentialValues({**AzurePeer().credentials(url), **changes})
        return cloud_error(lambda: adapter.describe(credentials, locator))


def look_up_error_after_login(
    adapter: Azure, behavior: Behavior, locator: Locator = LOCATOR
) -> CloudError:
    """Return the error of a look-up that fails after a successful login."""
    return look_up_error(adapter, after_login(behavior), locator)
