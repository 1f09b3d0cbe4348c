"""Waiting for something that another thread or process does."""

from __future__ import annotations

import time
from collections.abc import Callable

TIMEOUT_SECONDS = 90.0
"""Something that takes longer is considered hung."""


def wait_until(is_true: Callable[[], bool]) -> None:
    """Wait until a condition is true. Fail if it takes longer than TIMEOUT_SECONDS."""
    end = time.monotonic() + TIMEOUT_SECONDS
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.02)
