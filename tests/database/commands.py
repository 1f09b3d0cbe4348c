"""Run commands of the application as an operator does: in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.environ import ENVIRON
from tests.served import ROOT


def run_flask(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run `flask --app webapp` with these settings."""
    command = [sys.executable, "-m", "flask", "--app", "webapp", *arguments]
    environ = {**os.environ, **ENVIRON, **settings}
    return subprocess.run(
        command, env=environ, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
