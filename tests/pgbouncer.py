"""A temporary PgBouncer in transaction mode, in front of a PostgreSQL server."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from tests.postgresql import free_port, other_user


class NoPgBouncer(RuntimeError):
    """PgBouncer is not installed, or did not start."""


def program() -> str:
    """Return the path of PgBouncer. Raises NoPgBouncer."""
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        raise NoPgBouncer(
            "These tests need PgBouncer. Install it (Debian, Ubuntu: apt-get install pgbouncer)."
        )
    return found


@contextmanager
def pgbouncer(server: str) -> Iterator[str]:
    """Yield the URL of the same database through PgBouncer. Raises NoPgBouncer.

    The pool is smaller than the number of clients, so clients share sessions.
    """
    parts = conninfo_to_dict(server)
    settings = f"""
        [databases]
        * = host={parts["host"]} port={parts["port"]}
        [pgbouncer]
        listen_addr = 127.0.0.1
        listen_port = {{port}}
        unix_socket_dir =
        auth_type = plain
        auth_file = {{folder}}/users
        pool_mode = transaction
        default_pool_size = 4
        max_client_conn = 200
    """
    with pgbouncer_with(settings.replace("        ", ""), server) as url:
        yield url


@contextmanager
def pgbouncer_with(settings: str, server: str) -> Iterator[str]:
    """Run PgBouncer with these settings, in which `{port}` and `{folder}` are replaced.

    Yield the URL of the database of `server` through it. Raises NoPgBouncer.
    """
    parts = conninfo_to_dict(server)
    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
    (folder / "pgbouncer.ini").write_text(settings.format(port=port, folder=folder))
    (folder / "users").write_text(f'"{parts["user"]}" "{parts["password"]}"\n')
    user = other_user()
    if user:
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, user)
    with subprocess.Popen(
        [program(), "--quiet", str(folder / "pgbouncer.ini")],
        user=user,
        group=pwd.getpwnam(user).pw_gid if user else None,
        extra_groups=[] if user else None,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
    ) as process:
        try:
            if not wait_until_it_listens(port):
                raise NoPgBouncer("PgBouncer did not start.")
            yield f"postgresql://{parts['user']}:{parts['password']}@127.0.0.1:{port}/{parts['dbname']}"
        finally:
            process.terminate()
            process.wait(10)
            shutil.rmtree(folder, ignore_errors=True)


def wait_until_it_listens(port: int) -> bool:
    """Return whether a server accepts connections on the port within a few seconds."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        time.sleep(0.05)
    return False
