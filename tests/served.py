"""Run servers as separate processes: any program, and the app under gunicorn.

The journeys in `e2e/`, the benchmarks in `bench/` and some peers of the clouds use this.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from cryptography.fernet import Fernet

from tests import canaries
from tests.postgresql import free_port

ROOT = Path(__file__).parent.parent


class DoesNotAnswer(RuntimeError):
    """A server does not answer. The message contains its log."""


class Server:
    """A program that answers at `url`, in a process group of its own so that it can be ended.

    Neither its log nor its metrics may contain one of `canaries`.
    """

    def __init__(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        log: Path,
        url: str,
        folder: Path = ROOT,
    ) -> None:
        self.url = url
        self.log = log
        self.canaries = canaries.of_settings(environ)
        self._metrics_address = environ.get("METRICS_BIND", "")
        self._metrics_token = environ.get("METRICS_TOKEN", "")
        self._start = partial(
            subprocess.Popen, command, env=environ, cwd=folder, start_new_session=True
        )
        log.write_bytes(b"")
        self.start()

    def start(self) -> None:
        """Start the program, also again after it has ended."""
        with self.log.open("ab") as output:
            self._process = self._start(stdout=output, stderr=output)

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_it_answers(self, seconds: float = 90) -> None:
        """Wait for any HTTP answer, also an error. Raises DoesNotAnswer."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._process.poll() is None:
            try:
                with urlopen(self.url, timeout=1):
                    return
            except HTTPError:
                return
            except OSError:
                time.sleep(0.02)
        raise DoesNotAnswer(f"{self.url} does not answer:\n{self.log.read_text()}")

    def wait(self, seconds: float) -> int:
        """Wait until the program has ended, and return its exit code."""
        return self._process.wait(seconds)

    def end(self) -> None:
        """End the program and its child processes, and wait for the end of the program.

        Raises Leaked if its log or its metrics contain a secret, and HTTPError if the metrics can't
        be read.
        """
        try:
            self.check_metrics()
        finally:
            self._terminate()
        self.check_log()

    def check_log(self) -> None:
        """Raise Leaked if the log contains a secret."""
        self.canaries.check_output(f"the log {self.log.name}", self.log.read_text(errors="replace"))

    def check_metrics(self) -> None:
        """Raise Leaked if the metrics contain a secret, and HTTPError if they can't be read.

        A server that is ending, or whose port another program took first, has no metrics.
        """
        if not self._metrics_address or self._process.poll() is not None:
            return
        headers = {"Authorization": f"Bearer {self._metrics_token}"} if self._metrics_token else {}
        try:
            request = Request(f"http://{self._metrics_address}/metrics", headers=headers)
            with urlopen(request, timeout=30) as answer:
                text = f"{answer.headers}\n{answer.read().decode()}"
        except HTTPError:
            raise  # It is an OSError too.
        except OSError:
            return
        self.canaries.check_output("the metrics", text)

    def _terminate(self) -> None:
        if self._process.poll() is None:
            os.killpg(self.pid, signal.SIGTERM)
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, signal.SIGKILL)
                self._process.wait()


@contextmanager
def serve(
    command: Sequence[str],
    environ: Mapping[str, str],
    log: Path,
    url: str,
    folder: Path = ROOT,
) -> Iterator[Server]:
    """Yield the server as soon as it answers. Raises DoesNotAnswer."""
    server = Server(command, environ, log, url, folder)
    try:
        server.wait_until_it_answers()
        yield server
    finally:
        server.end()


def worker_pids(server: Server) -> set[str]:
    """Return the processes that the server has started."""
    path = Path(f"/proc/{server.pid}/task/{server.pid}/children")
    return set(path.read_text().split())


@contextmanager
def sandbox(folder: Path) -> Iterator[Path]:
    """Run the sandbox clouds, and yield the path of their sandbox.json."""
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
    """Return the credentials for one cloud of a sandbox."""
    rows = json.loads(sandbox.read_text())["credentials"]
    return next(dict(row["values"]) for row in rows if row["cloud"] == cloud)


def app_environ(folder: Path) -> dict[str, str]:
    """Return the environment of an app with its data in `folder`."""
    return {
        **os.environ,
        "DATA_DIR": str(folder),
        "DEMONSTRATION": "true",
        "SECRET_KEY": "tests and measurements only: 0123456789abcdef",
        "CREDENTIALS_KEYS": Fernet.generate_key().decode(),
    }


def seed(environ: Mapping[str, str], sandbox: Path, checkout: Path = ROOT) -> None:
    """Fill the database of a checkout's app with the demonstration and the clouds of `sandbox`."""
    command = [python_of(checkout), "-m", "sandbox.demonstration", str(sandbox)]
    subprocess.run(command, env=environ, cwd=checkout, check=True, capture_output=True)


def python_of(checkout: Path) -> str:
    """Return the Python of a checkout's virtual environment, or the Python of this process."""
    python = checkout / ".venv" / "bin" / "python"
    return str(python) if python.exists() else sys.executable


@contextmanager
def serve_app(
    environ: Mapping[str, str],
    log: Path,
    workers: int = 1,
    checkout: Path = ROOT,
    port: int | None = None,
    app: str = "webapp:create_app()",
) -> Iterator[Server]:
    """Run the app of a checkout under gunicorn and yield the server.

    Each worker loads the SDKs of the clouds that have credentials.
    """
    address = f"127.0.0.1:{port or free_port()}"
    command = [python_of(checkout), "-m", "gunicorn", app]
    command += ["--bind", address, "--workers", str(workers)]
    with serve(command, environ, log, f"http://{address}", checkout) as server:
        yield server
