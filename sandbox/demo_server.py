"""Run the demonstration: the sandbox's clouds, and beside them the app, served on loopback.

Every child has a process group of its own, so that ending it ends whatever it started. When one
dies, or this process is told to stop, all of them end. Uses the standard library only.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import secrets
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Self

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from sandbox import CLOUDS  # noqa: E402  from the folder above

LOOPBACK = "127.0.0.1"
GRACE_SECONDS = 5
SANDBOX = "sandbox.json"
GREETING = """
  Image Registry, a demonstration:  http://{address}

  Sign in as                  to be                          the password is always
    scalr@example.com         admin at Scalr                 demonstration
    account@example.com       admin at the account acme
    environment@example.com   admin at acme's production
    viewer@example.com        viewer at acme
    globex@example.com        admin at the account globex

  Try first: as account@example.com open New Image, and paste one of these ids:

    ami-00000000000024040                                             AWS
    ubuntu-os-cloud/global/images/family/ubuntu-2404-lts-amd64        Compute Engine
    00002404-5a4d-4b0c-8000-000000002404                              OpenStack
    Canonical:ubuntu-24_04-lts:server:latest                          Azure

  and for VMware vSphere choose a datacenter and a template.

  The sandbox's clouds answer at {ports}. The data is in {data_dir}
  Ctrl-C ends everything.
"""


class Failed(Exception):
    """The demonstration cannot start, or cannot go on; the text says why."""


def main() -> None:
    try:
        data_dir = Path(os.environ.get("DATA_DIR") or ROOT / "data").absolute()
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Bound before anything starts: a port that is taken is known at once, and whoever
        # connects early waits for the app instead of being refused.
        listener = _listen("PORT", _port("PORT", 8000))
        sandbox_port = _sandbox_port(data_dir / "sandbox_port")
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(_serve(data_dir, listener, sandbox_port))
    except Failed as error:
        sys.exit(f"\n{error}")
    print("\nStopped.")


def _port(name: str, default: int) -> int:
    value = os.environ.get(name) or str(default)
    if not value.isdecimal() or not 0 < int(value) < 65536:
        raise Failed(f"{name} must be a port, a number from 1 to 65535, not {value!r}.")
    return int(value)


def _listen(name: str, port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
    except OSError as error:
        raise Failed(
            f"Port {port} cannot be used: {error.strerror}. Is the demonstration running already? "
            f"Set {name} to use another port."
        ) from error
    listener.listen(128)
    return listener


def _sandbox_port(record: Path) -> int:
    """SANDBOX_PORT, or that of the first start: the demonstration's credentials name it and those
    after it."""
    recorded = int(record.read_text()) if record.exists() else 5001
    port = _port("SANDBOX_PORT", recorded)
    for place in range(len(CLOUDS)):
        _listen("SANDBOX_PORT", port + place).close()
    if not record.exists():
        record.write_text(str(port))
    elif port != recorded:
        print(f"Note: the sandbox's credentials name the ports from {recorded} on, not {port}.")
    return port


async def _serve(data_dir: Path, listener: socket.socket, sandbox_port: int) -> None:
    """Start everything and watch over it. Raises Failed when a child dies, CancelledError when
    a signal says stop."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    address = f"{LOOPBACK}:{listener.getsockname()[1]}"
    async with _Children(_environ(data_dir)) as children:
        # Side by side, as each takes seconds; but the first time the app needs to be told of the
        # sandbox's credentials.
        sandbox = _start_sandbox(children, data_dir, sandbox_port)
        if not _is_written(data_dir / SANDBOX, sandbox_port):
            await sandbox
            sandbox = asyncio.sleep(0)
        await asyncio.gather(sandbox, _start_app(children, listener, data_dir / SANDBOX))
        last = sandbox_port + len(CLOUDS) - 1
        ports = f"{LOOPBACK}, ports {sandbox_port} to {last}"
        print(GREETING.format(address=address, ports=ports, data_dir=data_dir), flush=True)
        raise Failed(f"{await children.first_death()}, so everything else was ended too.")


def _environ(data_dir: Path) -> dict[str, str]:
    """The demonstration has keys and a database of its own, whatever else is set here."""
    environ = dict(os.environ)
    for name in ("SECRET_KEY", "CREDENTIALS_KEYS", "DATABASE_URL", "REDIS_URL"):
        for given in (name, f"{name}_FILE"):
            if environ.pop(given, ""):
                print(f"Note: the demonstration does not use {given}.")
    secret_key = _kept(data_dir / "secret_key", lambda: secrets.token_hex(32))
    credentials_keys = _kept(
        data_dir / "credentials_keys",
        lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    )
    return environ | {
        "DATA_DIR": str(data_dir),
        "DEMONSTRATION": "true",
        "SECRET_KEY_FILE": str(secret_key),
        "CREDENTIALS_KEYS_FILE": str(credentials_keys),
        "PYTHONUNBUFFERED": "1",
    }


def _kept(path: Path, make: Callable[[], str]) -> Path:
    """A file with a secret, made the first time; whole or not at all, for its owner only."""
    if not path.exists():
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        fresh.write_text(make())
        fresh.replace(path)
    return path


def _is_written(sandbox: Path, port: int) -> bool:
    """Whether an earlier start at this port left the credentials."""
    return sandbox.exists() and json.loads(sandbox.read_text())["port"] == port


async def _start_sandbox(children: _Children, folder: Path, port: int) -> None:
    """Start the sandbox's clouds and wait for the one line that says that they are ready."""
    log = folder / "sandbox.log"
    arguments = ("--port", str(port), "--folder", str(folder))
    with log.open("wb") as output:
        process = await children.start(
            "The sandbox", "sandbox", *arguments, stdout=PIPE, stderr=output
        )
    assert process.stdout is not None
    if not await process.stdout.readline():
        raise Failed(f"The sandbox did not start; {log} says why.")


async def _start_app(children: _Children, listener: socket.socket, sandbox: Path) -> None:
    """Start the app and wait for its first page."""
    await children.start(
        "The app",
        "gunicorn",
        f"--bind=fd://{listener.fileno()}",
        "--workers=1",
        "--graceful-timeout=3",
        "--log-level=warning",
        f"sandbox.demo_app:create_app({str(sandbox)!r})",
        pass_fds=[listener.fileno()],
    )
    address = listener.getsockname()
    listener.close()
    reader, writer = await asyncio.open_connection(*address)
    writer.write(f"GET / HTTP/1.0\r\nHost: {address[0]}:{address[1]}\r\n\r\n".encode())
    with contextlib.suppress(ConnectionError):
        if await reader.readline():
            writer.close()
            return
    raise Failed("The app did not start; what it said is above.")


class _Children:
    """Python modules that run as processes and end together, at the latest on leaving."""

    def __init__(self, environ: dict[str, str]) -> None:
        self._environ = environ
        self._processes: dict[Process, str] = {}

    async def __aenter__(self) -> Self:
        return self

    async def start(
        self,
        name: str,
        module: str,
        *arguments: str,
        stdout: int | None = None,
        stderr: int | IO[bytes] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            *arguments,
            cwd=ROOT,
            env=self._environ,
            stdin=DEVNULL,
            stdout=stdout,
            stderr=stderr,
            pass_fds=pass_fds,
            start_new_session=True,
        )
        self._processes[process] = name
        return process

    async def first_death(self) -> str:
        """Wait until one ends that should not. Returns which and how."""
        waits = {asyncio.create_task(each.wait()) for each in self._processes}
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        return ", ".join(
            f"{name} {_ending(process)}"
            for process, name in self._processes.items()
            if process.returncode is not None
        )

    async def __aexit__(self, *_: object) -> None:
        """Ask each to end, and after a while, or when told to stop again, kill its group."""
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        with contextlib.suppress(TimeoutError, asyncio.CancelledError):
            async with asyncio.timeout(GRACE_SECONDS):
                await asyncio.gather(*(process.wait() for process in self._processes))
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)


def _ending(process: Process) -> str:
    code = process.returncode
    assert code is not None
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"


if __name__ == "__main__":
    main()
