"""Data from the vendors, if available: recorded answers, and descriptions of their APIs.

The license does not allow copies in this repository. So the data is beside the checkout, or in
the folder that the variable CLOUD_DATA names.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

DEFAULT_FOLDER = Path(__file__).parents[3] / "shared" / "cloud-data"


def folder(name: str) -> Path:
    """Return the folder with the data of one vendor. `name` is aws, azure or gcp.

    If the folder is missing, skip the test. In CI, fail the test instead.
    """
    found = Path(os.environ.get("CLOUD_DATA") or DEFAULT_FOLDER) / name
    if not found.is_dir():
        reason = f"no data from the vendor {name}: set CLOUD_DATA to the folder with vendor data"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found
