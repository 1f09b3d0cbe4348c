"""Bring .venv and what the browser loads up to date with the locks, then become a program in it:

    prepare.py LOCK [LOCK?…] -- PROGRAM [ARGUMENT…]

A LOCK is the name of a file in requirements/; one with a question mark may fail, loudly, unless
CI=true. What was installed before is left alone, so that a second start costs next to nothing and
needs no network.
Runs on the machine's own Python, so it uses the standard library only.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMPS = VENV / "locks"


class Failed(Exception):
    """A command did not succeed; it has said why."""


def main(locks: list[str], program: list[str]) -> NoReturn:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    strict = os.environ.get("CI") == "true"
    try:
        with _alone():
            for lock in locks:
                _install(lock.removesuffix("?"), optional=lock.endswith("?") and not strict)
            _run(str(PYTHON), str(ROOT / "scripts" / "assets.py"))
    except Failed as error:
        sys.exit(f"\nSet-up failed: {error}")
    except KeyboardInterrupt:
        sys.exit("\nSet-up was interrupted; the next start goes on with it.")
    os.execv(PYTHON, [str(PYTHON), *program])


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Two that start at the same moment install one after the other."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _install(name: str, *, optional: bool) -> None:
    lock = ROOT / "requirements" / f"{name}.txt"
    stamp = STAMPS / name
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if PYTHON.exists() and stamp.is_file() and stamp.read_text() == digest:
        return
    if not STAMPS.is_dir() or not PYTHON.exists():
        _make_environment()
    print(f"Installing requirements/{name}.txt …", flush=True)
    try:
        _install_packages(lock)
    except Failed:
        if not optional:
            raise
        print(f"\n*** requirements/{name}.txt could not be installed. ***\n", flush=True)
        return
    stamp.write_text(digest)


def _make_environment() -> None:
    print(f"Making {VENV} …", flush=True)
    try:
        _run(sys.executable, "-m", "venv", "--clear", str(VENV))
    except Failed as error:
        hint = "On Debian and Ubuntu the package python3-venv is needed."
        raise Failed(f"{error} {hint}") from error
    _pip(ROOT / "requirements" / "installer.txt")
    STAMPS.mkdir()


def _install_packages(lock: Path) -> None:
    """By uv, ten times as fast as pip; by pip where uv is of no use, say because the machine's
    package index is set up for pip alone."""
    try:
        _run(
            str(VENV / "bin" / "uv"),
            "pip",
            "install",
            "--quiet",
            "--no-config",
            f"--python={PYTHON}",
            "--require-hashes",
            f"--requirements={lock}",
        )
    except Failed:
        print("uv could not; trying pip.", flush=True)
        _pip(lock)


def _pip(lock: Path) -> None:
    pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    _run(str(PYTHON), *pip, "--require-hashes", f"--requirement={lock}")


def _run(*command: str) -> None:
    """Run to the end; if we are stopped meanwhile, end it and all that it started."""
    environ = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    with subprocess.Popen(
        command, env=environ, stdin=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            code = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    if code:
        raise Failed(f"{Path(command[0]).name} ended with code {code}.")


if __name__ == "__main__":
    separator = sys.argv.index("--")
    main(sys.argv[1:separator], sys.argv[separator + 1 :])
