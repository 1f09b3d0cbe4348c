"""Servers that the tests stop, hang and start again: PostgreSQL and Redis."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

import psycopg
import redis
from psycopg.conninfo import conninfo_to_dict
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from tests.postgresql import cluster, other_user, run_program


class PostgresqlServer:
    """A PostgreSQL server that a test can hang, stop and start again."""

    def __init__(self, url: str) -> None:
        self.url = url
        with psycopg.connect(url) as connection:
            row = connection.execute("SHOW data_directory").fetchone()
        assert row is not None
        self._data = Path(row[0])

    def hang(self) -> None:
        """Stop all processes of the server with a signal that keeps their sockets open."""
        self._signal(signal.SIGSTOP)

    def continue_(self) -> None:
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """End the server as `kill -9` would, so that it has to recover."""
        self._signal(signal.SIGKILL)
        deadline = time.monotonic() + 20
        while self._pids() and time.monotonic() < deadline:
            time.sleep(0.05)

    def start(self) -> None:
        port = conninfo_to_dict(self.url)["port"]
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        options = f"--options=-p {port}"
        folder, user = self._data.parent, other_user()
        run_program(folder, user, "pg_ctl", "start", "--wait", "--silent", options)

    def _signal(self, number: signal.Signals) -> None:
        for pid in self._pids():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _pids(self) -> list[int]:
        """Return the processes that run in the folder of the server's data."""
        pids = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if (process / "cwd").resolve() == self._data and _is_alive(process):
                    pids.append(int(process.name))
        return pids


def _is_alive(process: Path) -> bool:
    state = (process / "stat").read_text().rpartition(")")[2].split()[0]
    return state != "Z"


@contextmanager
def postgresql_server(
    settings: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[PostgresqlServer]:
    """Start a server, and stop it afterwards."""
    with cluster(settings, own=True) as url:
        server = PostgresqlServer(url)
        try:
            yield server
        finally:
            server.continue_()


@contextmanager
def redis_server(
    port: int, options: Sequence[str] = (), user: str = "", password: str = ""
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a Redis server without a file, and wait until it answers the user."""
    program = shutil.which("redis-server")
    assert program is not None
    command = [program, "--port", str(port), "--save", "", "--bind", "127.0.0.1", *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            with redis.Redis(
                port=port,
                username=user or None,
                password=password or None,
                retry=Retry(ConstantBackoff(0.05), 200),
            ) as client:
                client.ping()
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()
