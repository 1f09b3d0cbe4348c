"""Fixtures for the tests of the AWS adapter."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox import aws
from tests.clouds.aws.peer import aws_credentials
from webapp.clouds.aws.adapter import Aws
from webapp.clouds.credentials import CredentialValues


@pytest.fixture
def adapter() -> Aws:
    """Return a new adapter for each test, because an adapter caches its sessions."""
    return Aws()


@pytest.fixture(scope="session")
def sandbox_aws() -> Iterator[str]:
    """Start the sandbox's AWS, and yield its URL."""
    with aws.start() as url:
        yield url


@pytest.fixture
def good(sandbox_aws: str) -> CredentialValues:
    """Return valid credentials for the sandbox."""
    return aws_credentials(sandbox_aws)
