"""Fixtures for the tests of the Azure adapter."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox import azure
from tests.clouds.azure.peer import AzurePeer
from webapp.clouds import base, follow_up
from webapp.clouds.azure.adapter import Azure
from webapp.clouds.credentials import CredentialValues


@pytest.fixture(autouse=True)
def long_time_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let look-ups take longer than usual, because the tests may run on a busy machine."""
    monkeypatch.setattr(base, "CALL_SECONDS", 60.0)
    monkeypatch.setattr(follow_up, "FOLLOW_UP_SECONDS", 50.0)


@pytest.fixture
def adapter() -> Azure:
    """Return a new adapter for each test, because an adapter caches its sessions."""
    return Azure()


@pytest.fixture(scope="session")
def good() -> Iterator[CredentialValues]:
    """Start the sandbox's Azure, and yield valid credentials."""
    with azure.start() as url:
        yield AzurePeer().credentials(url)
