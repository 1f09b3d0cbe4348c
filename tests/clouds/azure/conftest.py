"""Fixtures for the tests of the Azure adapter."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox import azure
from tests.clouds.azure.peer import AzurePeer
from webapp.clouds.azure.adapter import Azure
from webapp.clouds.credentials import CredentialValues


@pytest.fixture
def adapter() -> Azure:
    """Return a new adapter for each test, because an adapter caches its sessions."""
    return Azure()


@pytest.fixture(scope="session")
def good() -> Iterator[CredentialValues]:
    """Start the sandbox's Azure, and yield valid credentials."""
    with azure.start() as url:
        yield AzurePeer().credentials(url)
