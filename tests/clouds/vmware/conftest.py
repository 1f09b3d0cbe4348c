"""Fixtures for the tests of the VMware adapter."""

from __future__ import annotations

import pytest

from webapp.clouds.vmware.adapter import VMware


@pytest.fixture
def adapter() -> VMware:
    """Return a new adapter for each test, because an adapter caches its sessions."""
    return VMware()
