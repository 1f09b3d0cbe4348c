"""Fixtures for the tests of all adapters."""

from __future__ import annotations

import pytest
from botocore.retries.standard import ExponentialBackoff


@pytest.fixture(autouse=True)
def no_retry_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make botocore retry without a delay."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0)
