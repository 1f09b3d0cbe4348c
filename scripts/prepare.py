"""Bring .venv and the browser's assets up to date with the locks, then run a program in .venv:

    prepare.py LOCK [LOCK?…] -- PROGRAM [ARGUMENT…]

A LOCK is the name of a file in requirements/, without `.txt`. A LOCK with a question mark is
optional: if it cannot be installed, this script prints a warning and continues. With CI=true, no
LOCK is optional. A lock that is already installed is skipped, so that later starts are fast and
need no network.

This script runs on the machine's own Python. It therefore uses only the standard library.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMPS = VENV / "locks"
"""A folder with a file for each installed lock. The file contains a digest of the lock."""
QUIET_SECONDS = 2
"""How many seconds a step may take before this script says what it is doing."""
REMINDER_SECONDS = 15
"""How many seconds this script waits before it says again that a step is not finished."""


class Failed(Exception):
    """A command failed. The command has already printed the reason."""


def main(locks: list[str], program: list[str]) -> NoReturn:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    strict = os.environ.get("CI") == "true"
    try:
        with _locked():
            for lock in locks:
                _install(lock.removesuffix("?"), optional=lock.endswith("?") and not strict)
            with announced("Installing the browser’s assets"):
                _run(str(PYTHON), str(ROOT / "scripts" / "assets.py"), "--quiet")
    except Failed as error:
        sys.exit(f"\nSet-up failed: {error}")
    except KeyboardInterrupt:
        sys.exit("\nSet-up was interrupted. The next start continues the set-up.")
    os.execv(PYTHON, [str(PYTHON), *program])


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    """Handle a signal in the same way as Ctrl-C."""
    raise KeyboardInterrupt


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    """Lock the checkout. If two set-ups start at the same time, the second waits for the first."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        with announced("Waiting for another set-up of this checkout"):
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


@contextlib.contextmanager
def announced(step: str) -> Iterator[None]:
    """Print `step` if the block takes longer than QUIET_SECONDS.

    After every further REMINDER_SECONDS, print how long the block has taken.
    """
    finished = threading.Event()

    def report() -> None:
        seconds = QUIET_SECONDS
        if finished.wait(QUIET_SECONDS):
            return
        print(f"{step}…", flush=True)
        while not finished.wait(REMINDER_SECONDS):
            seconds += REMINDER_SECONDS
            print(f"{step}: not finished after {seconds} seconds…", flush=True)

    thread = threading.Thread(target=report, daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()


def _install(name: str, *, optional: bool) -> None:
    lock = ROOT / "requirements" / f"{name}.txt"
    stamp = STAMPS / name
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if PYTHON.exists() and stamp.is_file() and stamp.read_text() == digest:
        return
    if not STAMPS.is_dir() or not PYTHON.exists():
        _create_environment()
    try:
        with announced(f"Installing requirements/{name}.txt"):
            _install_packages(lock)
    except Failed:
        if not optional:
            raise
        print(
            f"\n*** requirements/{name}.txt could not be installed. Continuing without it. ***\n",
            flush=True,
        )
        return
    stamp.write_text(digest)


def _create_environment() -> None:
    try:
        with announced(f"Creating {VENV}"):
            _run(sys.executable, "-m", "venv", "--clear", str(VENV))
    except Failed as error:
        hint = "On Debian and Ubuntu, install the package python3-venv."
        raise Failed(f"{error} {hint}") from error
    with announced("Installing uv, which installs the other packages"):
        _pip(ROOT / "requirements" / "installer.txt")
    STAMPS.mkdir()


def _install_packages(lock: Path) -> None:
    """Install with uv, which is ten times as fast as pip. If uv fails, install with pip.

    uv fails, for example, where the package index is configured for pip only.
    """
    try:
        uv = (str(VENV / "bin" / "uv"), "pip", "install", "--quiet", "--no-config")
        _run(*uv, f"--python={PYTHON}", "--require-hashes", f"--requirements={lock}")
    except Failed:
        print("uv could not install the packages. Trying pip…", flush=True)
        _pip(lock)


def _pip(lock: Path) -> None:
    pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    _run(str(PYTHON), *pip, "--require-hashes", f"--requirement={lock}")


def _run(*command: str) -> None:
    """Run a command. If this process is interrupted, stop the command and its child processes."""
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
