"""Make an environment of its own for the real Keystone and Glance, in build/openstack/venv, from
requirements/openstack.txt. What is there and up to date is left alone.

Run by the Python of .venv, which has uv beside it. Two that run at the same moment work one after
the other.
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
LOCK = ROOT / "requirements" / "openstack.txt"
FOLDER = ROOT / "build" / "openstack"
VENV = FOLDER / "venv"
STAMP = VENV / ".made-from"


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()
    with alone(FOLDER):
        if STAMP.is_file() and STAMP.read_text() == wanted:
            return
        print("Installing Keystone and Glance …", flush=True)
        shutil.rmtree(VENV, ignore_errors=True)
        if not (_with_uv() or _with_pip()):
            sys.exit("Keystone and Glance could not be installed; why is said above.")
        STAMP.write_text(wanted)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Whoever else wants to be alone with `folder` waits. The end of the process ends it, too."""
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _with_uv() -> bool:
    uv = Path(sys.executable).parent / "uv"
    if not uv.exists():
        return False
    quietly = ("--quiet", "--no-config", "--python")
    lock = ("--require-hashes", "--requirements", LOCK)
    return _run(uv, "venv", *quietly, sys.executable, VENV) and _run(
        uv, "pip", "install", *quietly, VENV / "bin" / "python", *lock
    )


def _with_pip() -> bool:
    """Where uv is of no use, say because the machine's package index is set up for pip alone."""
    quietly = ("--quiet", "--disable-pip-version-check")
    lock = ("--require-hashes", "--requirement", LOCK)
    return _run(sys.executable, "-m", "venv", "--clear", VENV) and _run(
        VENV / "bin" / "python", "-m", "pip", "install", *quietly, *lock
    )


def _run(*command: str | Path) -> bool:
    environ = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    done = subprocess.run(command, env=environ, stdin=subprocess.DEVNULL, check=False)
    return done.returncode == 0


if __name__ == "__main__":
    main()
