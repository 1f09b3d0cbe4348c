"""Install the real Keystone and Glance into their own virtual environment, build/openstack/venv.

requirements/openstack.txt lists the packages. If the environment is up to date, this script does
nothing. Run this file with the Python of .venv: the script uses the program uv in the folder of
this Python. If this script runs twice at the same time, the second run waits for the first.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements" / "openstack.txt"
FOLDER = ROOT / "build" / "openstack"
VENV = FOLDER / "venv"
STAMP = VENV / ".made-from"
"""A file that contains a digest of the requirements and of Python's version."""


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    source_digest = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()
    with locked(FOLDER):
        if STAMP.is_file() and STAMP.read_text() == source_digest:
            return
        print("Installing Keystone and Glance…", flush=True)
        shutil.rmtree(VENV, ignore_errors=True)
        if not (_with_uv() or _with_pip()):
            sys.exit("Keystone and Glance could not be installed. The reason is above.")
        STAMP.write_text(source_digest)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock `folder`. If another process has locked it, wait.

    If the process is killed, the operating system releases the lock.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _with_uv() -> bool:
    uv = Path(sys.executable).parent / "uv"
    if not uv.exists():
        return False
    options = ("--quiet", "--no-config", "--python")
    requirements = ("--require-hashes", "--requirements", REQUIREMENTS)
    return _run(uv, "venv", *options, sys.executable, VENV) and _run(
        uv, "pip", "install", *options, VENV / "bin" / "python", *requirements
    )


def _with_pip() -> bool:
    """Install with pip. uv fails where the package index is configured for pip only."""
    options = ("--quiet", "--disable-pip-version-check")
    requirements = ("--require-hashes", "--requirement", REQUIREMENTS)
    return _run(sys.executable, "-m", "venv", "--clear", VENV) and _run(
        VENV / "bin" / "python", "-m", "pip", "install", *options, *requirements
    )


def _run(*command: str | Path) -> bool:
    environ = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    result = subprocess.run(command, env=environ, stdin=subprocess.DEVNULL, check=False)
    return result.returncode == 0


if __name__ == "__main__":
    main()
