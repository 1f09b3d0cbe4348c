"""Run the demonstration on loopback: the sandbox clouds and the app.

Both run in child processes. Each child has its own process group, so that stopping a child also
stops the processes that the child started. When a child ends, or this process receives a signal to
stop, all children are stopped. This module uses only the standard library.
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
"""How long children may take to end after a signal, before they are killed."""
SANDBOX = "sandbox.json"
"""The file in which the sandbox stores its port and the credentials of its clouds."""
GREETING = """
  Image Registry demonstration:  http://{address}

  Sign in as                  role
    scalr@example.com         admin of the Scalr scope
    account@example.com       admin of the account acme
    environment@example.com   admin of the environment acme / production
    viewer@example.com        viewer of the account acme
    globex@example.com        admin of the account globex

  Every password is:          demonstration

  Try this first: sign in as account@example.com, open New Image, and select an image of the
  sandbox.

  Sandbox clouds:             {ports}
  Data:                       {data_dir}

  Press Ctrl-C to stop.
"""
QUIET_SECONDS = 2
"""If the start takes longer than this, the script prints what it is doing."""


class Failed(Exception):
    """The demonstration cannot start or continue. The message says why."""


def main() -> None:
    try:
        data_dir = Path(os.environ.get("DATA_DIR") or ROOT / "data").absolute()
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Bind the port before the children start. So if the port is in use, the demonstration fails
        # immediately. Also, clients that connect early wait for the app instead of being refused.
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
        raise Failed(f"{name} must be a port number from 1 to 65535, not {value!r}.")
    return int(value)


def _listen(name: str, port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
    except OSError as error:
        raise Failed(
            f"Port {port} cannot be used: {error.strerror}. "
            f"Is the demonstration already running? Set {name} to use another port."
        ) from error
    listener.listen(128)
    return listener


def _sandbox_port(record: Path) -> int:
    """Return SANDBOX_PORT, or by default the port that the first start recorded in a file.

    The port should stay the same, because the stored credentials contain this port and the ports
    after it. If SANDBOX_PORT differs from the recorded port, print a note.
    """
    recorded = int(record.read_text()) if record.exists() else 5001
    port = _port("SANDBOX_PORT", recorded)
    for position in range(len(CLOUDS)):
        _listen("SANDBOX_PORT", port + position).close()
    if not record.exists():
        record.write_text(str(port))
    elif port != recorded:
        print(
            f"Note: The sandbox uses the ports from {port} on, but the stored credentials contain "
            f"the ports from {recorded} on."
        )
    return port


async def _serve(data_dir: Path, listener: socket.socket, sandbox_port: int) -> None:
    """Start the sandbox clouds and the app, and wait until a child ends or a signal arrives.

    Raises Failed if a child ends, and CancelledError on a signal to stop.
    """
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    address = f"{LOOPBACK}:{listener.getsockname()[1]}"
    async with _Children(_environ(data_dir)) as children:
        # Start the sandbox and the app at the same time, because each takes seconds. But the app
        # stores the credentials that the sandbox writes, and reads the sample images from the
        # sandbox. So if there are no credentials for this port yet, the app waits for the sandbox.
        sandbox = _start_sandbox(children, data_dir, sandbox_port)
        if not _has_credentials(data_dir / SANDBOX, sandbox_port):
            print("Starting the sandbox clouds and registering the sample images…", flush=True)
            await sandbox
            sandbox = asyncio.sleep(0)  # The sandbox is ready: `gather` need not wait for it.
        text = "Starting the sandbox clouds and the application…"
        notice = asyncio.get_running_loop().call_later(QUIET_SECONDS, print, text)
        await asyncio.gather(sandbox, _start_app(children, listener, data_dir / SANDBOX))
        notice.cancel()
        last = sandbox_port + len(CLOUDS) - 1
        ports = f"{LOOPBACK}, ports {sandbox_port} to {last}"
        print(GREETING.format(address=address, ports=ports, data_dir=data_dir), flush=True)
        raise Failed(f"{await children.first_exit()}. Everything else was stopped as well.")


def _environ(data_dir: Path) -> dict[str, str]:
    """Return the environment of the children, with the demonstration's own keys and database."""
    environ = dict(os.environ)
    for name in ("SECRET_KEY", "CREDENTIALS_KEYS", "DATABASE_URL", "REDIS_URL"):
        for setting in (name, f"{name}_FILE"):
            if environ.pop(setting, ""):
                print(f"Note: The demonstration ignores {setting}.")
    secret_key = _secret_file(data_dir / "secret_key", lambda: secrets.token_hex(32))
    credentials_keys = _secret_file(
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


def _secret_file(path: Path, make_secret: Callable[[], str]) -> Path:
    """Return `path`, and create the file atomically if necessary. Only its owner can read it."""
    if not path.exists():
        new = path.with_suffix(".new")
        new.unlink(missing_ok=True)
        new.touch(mode=0o600)
        new.write_text(make_secret())
        new.replace(path)
    return path


def _has_credentials(sandbox: Path, port: int) -> bool:
    """Return whether the file `sandbox` has the credentials of an earlier start at this port."""
    return sandbox.exists() and json.loads(sandbox.read_text())["port"] == port


async def _start_sandbox(children: _Children, folder: Path, port: int) -> None:
    """Start the sandbox clouds and wait for the line that says that they are ready."""
    log = folder / "sandbox.log"
    arguments = ("--port", str(port), "--folder", str(folder))
    with log.open("wb") as output:
        process = await children.start(
            "The sandbox", "sandbox", *arguments, stdout=PIPE, stderr=output
        )
    assert process.stdout is not None
    if not await process.stdout.readline():
        raise Failed(f"The sandbox did not start. See {log}.")


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
    raise Failed("The app did not start. Its output is above.")


class _Children:
    """Python modules that run as child processes. Leaving the context stops all of them."""

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
        """Start a module in a process group of its own. `name` is for messages."""
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

    async def first_exit(self) -> str:
        """Wait until a child ends. Return which children have ended, and how."""
        waits = {asyncio.create_task(process.wait()) for process in self._processes}
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        return ", ".join(
            f"{name} {_describe_exit(process)}"
            for process, name in self._processes.items()
            if process.returncode is not None
        )

    async def __aexit__(self, *_: object) -> None:
        """Terminate each child and wait up to GRACE_SECONDS. Then kill the group of each child."""
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        with contextlib.suppress(TimeoutError, asyncio.CancelledError):
            async with asyncio.timeout(GRACE_SECONDS):
                await asyncio.gather(*(process.wait() for process in self._processes))
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)


def _describe_exit(process: Process) -> str:
    code = process.returncode
    assert code is not None
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"


if __name__ == "__main__":
    main()
