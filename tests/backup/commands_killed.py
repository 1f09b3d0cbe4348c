"""Run `restore` and end it with SIGKILL at the last moment before its effect."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

from webapp import create_app
from webapp.backup import sqlite

run = subprocess.run


def kill(*_arguments: Any, **_options: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def run_and_kill(command: Any, **options: Any) -> Any:
    """Run a program. If it writes to psql, kill this process before it can send COMMIT."""
    done = run(command, **options)
    if "stdout" in options:
        kill()
    return done


if __name__ == "__main__":
    sqlite._lock_old_file = kill  # type: ignore[assignment]
    subprocess.run = run_and_kill  # type: ignore[assignment]
    create_app().test_cli_runner().invoke(args=["restore", sys.argv[1], "--force"])
