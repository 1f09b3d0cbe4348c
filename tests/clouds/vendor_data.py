"""The vendors' own data, where this machine has them: real answers, and descriptions of the APIs.
They are not ours to copy, so they lie beside the checkout, or where CLOUD_DATA says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

BESIDE = Path(__file__).parents[3] / "shared" / "cloud-data"


def folder(name: str) -> Path:
    """That of one vendor: aws, azure, gcp. Skips the test where there is none, except in CI."""
    found = Path(os.environ.get("CLOUD_DATA") or BESIDE) / name
    if not found.is_dir():
        reason = f"no data of the vendor {name} here: CLOUD_DATA names the folder that has them"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found
