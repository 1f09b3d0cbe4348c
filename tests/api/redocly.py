"""Redocly: a linter of OpenAPI documents."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests import served

FOLDER = Path(__file__).parent / "redocly"
"""The folder with the npm package @redocly/cli, and with its rules in `redocly.yaml`."""
PROGRAM = FOLDER / "node_modules" / ".bin" / "redocly"


def findings(description: Path) -> list[str]:
    """Return what Redocly finds in an OpenAPI document, both errors and warnings."""
    subprocess.run(
        [sys.executable, served.ROOT / "scripts" / "npm.py", FOLDER], check=True, cwd=served.ROOT
    )
    options = ["--config", str(FOLDER / "redocly.yaml"), "--format=json", "--max-problems=1000"]
    command = [str(PROGRAM), "lint", *options, str(description)]
    # Redocly would send usage data, and look for a newer version.
    quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    environ = {**os.environ, **quiet}
    result = subprocess.run(command, env=environ, check=False, capture_output=True, text=True)
    assert result.stdout, result.stderr
    return [
        f"{each['ruleId']} at {each['location'][0]['pointer']}: {each['message']}"
        for each in json.loads(result.stdout)["problems"]
    ]
