"""Servers as processes of their own: any program, and the app as it is really served. For the
journeys in `e2e/`, the measurements in `bench/`, and peers that bring a program of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from cryptography.fernet import Fernet

from tests.postgresql import free_port

ROOT = Path(__file__).parent.parent


class DoesNotAnswer(RuntimeError):
    """A server ended, or never began, to answer; the text holds its log."""


class Server:
    """A program that answers at `url`, in a process group of its own, certain to end."""

    def __init__(
        self, command: Sequence[str], environ: Mapping[str, str], log: Path, url: str
    ) -> None:
        self.url = url
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command, env=environ, cwd=ROOT, stdout=output, stderr=output, start_new_session=True
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_it_answers(self, seconds: float = 30) -> None:
        """An error is an answer, too. Raises DoesNotAnswer."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._process.poll() is None:
            try:
                with urlopen(self.url, timeout=1):
                    return
            except HTTPError:
                return
            except OSError:
                time.sleep(0.02)
        raise DoesNotAnswer(f"{self.url} does not answer:\n{self._log.read_text()}")

    def end(self) -> None:
        if self._process.poll() is None:
            os.killpg(self.pid, signal.SIGTERM)
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, signal.SIGKILL)
                self._process.wait()


@contextmanager
def serve(
    command: Sequence[str], environ: Mapping[str, str], log: Path, url: str
) -> Iterator[Server]:
    """Yields the server as soon as it answers. Raises DoesNotAnswer."""
    server = Server(command, environ, log, url)
    try:
        server.wait_until_it_answers()
        yield server
    finally:
        server.end()


@contextmanager
def sandbox(folder: Path) -> Iterator[Path]:
    """Yields the path of the sandbox.json of the demonstration's clouds, which answer."""
    command = [sys.executable, "-m", "sandbox", "--port", "0", "--folder", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            if not process.stdout.readline():
                raise DoesNotAnswer("The sandbox did not start.")
            yield folder / "sandbox.json"
        finally:
            process.terminate()


def sandbox_credentials(sandbox: Path, cloud: str) -> dict[str, str]:
    """Those that are good at one cloud of a sandbox."""
    rows = json.loads(sandbox.read_text())["credentials"]
    return next(dict(each["values"]) for each in rows if each["cloud"] == cloud)


def app_environ(folder: Path) -> dict[str, str]:
    """For an app with its data in `folder`."""
    return {
        **os.environ,
        "DATA_DIR": str(folder),
        "DEMONSTRATION": "true",
        "SECRET_KEY": "tests and measurements only: 0123456789abcdef",
        "CREDENTIALS_KEYS": Fernet.generate_key().decode(),
    }


def seed(environ: Mapping[str, str], sandbox: Path) -> None:
    """Fill the app's database with the demonstration, whose clouds `sandbox` describes."""
    line = [sys.executable, "-m", "sandbox.demonstration", str(sandbox)]
    subprocess.run(line, env=environ, cwd=ROOT, check=True, capture_output=True)


@contextmanager
def serve_app(environ: Mapping[str, str], log: Path, workers: int = 1) -> Iterator[Server]:
    """Yields the app under gunicorn. Each worker loads the SDKs of the clouds that are used."""
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "gunicorn", "webapp:create_app()"]
    command += ["--bind", address, "--workers", str(workers)]
    with serve(command, environ, log, f"http://{address}") as app:
        yield app
