"""Fixtures for the tests of the OpenStack adapter."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox import openstack
from tests.clouds.openstack.peer import openstack_credentials
from webapp.clouds.credentials import CredentialValues
from webapp.clouds.openstack.adapter import OpenStack


@pytest.fixture
def adapter() -> OpenStack:
    """Return a new adapter for each test, because an adapter caches its logins."""
    return OpenStack()


@pytest.fixture(scope="session")
def cloud_url() -> Iterator[str]:
    """Start the sandbox's OpenStack, and yield its URL."""
    with openstack.start() as url:
        yield url


@pytest.fixture
def good(cloud_url: str) -> CredentialValues:
    """Return valid credentials for the sandbox."""
    return openstack_credentials(cloud_url)
