"""Fixtures for the tests of the Compute Engine adapter."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox import gce
from tests.clouds.gce.peer import gce_credentials
from webapp.clouds.credentials import CredentialValues
from webapp.clouds.gce.adapter import Gce


@pytest.fixture
def adapter() -> Gce:
    """Return a new adapter for each test, because an adapter caches its clients."""
    return Gce()


@pytest.fixture(scope="session")
def cloud_url() -> Iterator[str]:
    """Start the sandbox's Compute Engine, and yield its URL."""
    with gce.start() as url:
        yield url


@pytest.fixture
def good(cloud_url: str) -> CredentialValues:
    """Return valid credentials for the sandbox."""
    return gce_credentials(cloud_url)
