"""Prism: a proxy that validates requests and answers against the description of an API."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import served
from tests.postgresql import free_port

FOLDER = Path(__file__).parent / "prism"
PROGRAM = FOLDER / "node_modules" / ".bin" / "prism"


@contextmanager
def proxy(description: Path, upstream: str, log: Path) -> Iterator[str]:
    """Run the proxy and yield its URL.

    If a request or an answer violates `description`, Prism returns an error that describes the
    problem, and writes the error to `log`.
    """
    subprocess.run(
        [sys.executable, served.ROOT / "scripts" / "npm.py", FOLDER], check=True, cwd=served.ROOT
    )
    port = free_port()
    options = ["--host", "127.0.0.1", "--port", str(port), "--errors"]
    command = [str(PROGRAM), "proxy", *options, str(description), upstream]
    with served.serve(command, os.environ, log, f"http://127.0.0.1:{port}") as server:
        yield server.url
