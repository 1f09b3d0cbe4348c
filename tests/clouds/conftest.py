"""Fixtures for the tests of all adapters."""

from __future__ import annotations

import pytest
from botocore.retries.standard import ExponentialBackoff

from webapp.clouds.outgoing import budgets


@pytest.fixture(autouse=True)
def no_retry_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make botocore retry without a delay."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let calls with large answers follow each other without a pause."""
    monkeypatch.setattr(budgets, "MAX_PAUSE_SECONDS", 0)
