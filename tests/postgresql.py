"""A throw-away PostgreSQL cluster for tests: fast, not durable, gone afterwards.

The cluster belongs to a process of its own, this file run as a script, which lives as long as its
standard input is open. So the cluster ends however the tests end, killed outright included.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

# Nothing here outlives the tests, so nothing waits for a disk.
SETTINGS = {
    "autovacuum": "off",
    "checkpoint_timeout": "1h",
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "'127.0.0.1'",
    "max_wal_senders": "0",
    "max_wal_size": "256MB",
    "synchronous_commit": "off",
    "unix_socket_directories": "''",
    "wal_level": "minimal",
}


class NoPostgreSQL(RuntimeError):
    """There is neither a server to use nor the programs to start one."""


@contextmanager
def cluster(settings: Mapping[str, str] = MappingProxyType({})) -> Iterator[str]:
    """Yields the URL of a superuser's database: TEST_DATABASE_URL where that is set, else of a
    cluster that is started here, with `settings` besides SETTINGS, and ended on leaving. Raises
    NoPostgreSQL."""
    if url := os.environ.get("TEST_DATABASE_URL"):
        yield url
        return
    programs()
    # In a session of its own: Ctrl-C is for the tests, which need the server to clear up.
    with subprocess.Popen(
        [sys.executable, __file__, *(f"{name} = {value}" for name, value in settings.items())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as keeper:
        assert keeper.stdout is not None
        url = keeper.stdout.readline().strip()
        if not url:
            raise NoPostgreSQL("PostgreSQL did not start; what it said is above.")
        yield url


def programs() -> Path:
    """The folder of initdb and pg_ctl, of the newest version. Raises NoPostgreSQL."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if found:
        return max(found, key=lambda folder: int(folder.parent.name))
    if initdb := shutil.which("initdb"):
        return Path(initdb).resolve().parent
    raise NoPostgreSQL(
        "These tests need PostgreSQL. Install it (Debian, Ubuntu: apt-get install postgresql), "
        "or name the superuser's database of a server in TEST_DATABASE_URL."
    )


def _keep() -> None:
    """Start a cluster, print its URL, and end it when standard input does."""
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    try:
        user = _user()
        password = _initialise(folder, user)
        port = free_port()
        _run(folder, user, "pg_ctl", "start", "--wait", "--silent", f"--options=-p {port}")
        try:
            print(f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres", flush=True)  # noqa: T201
            sys.stdin.read()
        finally:
            _run(folder, user, "pg_ctl", "stop", "--mode=immediate", "--silent")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _user() -> str | None:
    """Whom to become: PostgreSQL refuses to be root."""
    if os.geteuid() != 0:
        return None
    return "postgres" if "postgres" in {each.pw_name for each in pwd.getpwall()} else "nobody"


def _initialise(folder: Path, user: str | None) -> str:
    """Make the cluster's files in `folder`. Returns the superuser's password: without one, anybody
    on this machine could become the user that the server runs as."""
    password = secrets.token_hex(16)
    password_file = folder / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(password)
    if user:
        shutil.chown(folder, user)
        shutil.chown(password_file, user)
    _run(
        folder,
        user,
        "initdb",
        "--username=postgres",
        "--auth=password",
        f"--pwfile={password_file}",
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
    )
    with (folder / "data" / "postgresql.conf").open("a") as configuration:
        configuration.writelines(f"{name} = {value}\n" for name, value in SETTINGS.items())
        configuration.writelines(f"{each}\n" for each in sys.argv[1:])
    return password


def _run(folder: Path, user: str | None, program: str, *arguments: str) -> None:
    """Run a program of PostgreSQL's as `user`. What it says is shown only if it fails."""
    log = folder / f"{program}.log"
    with log.open("a") as output:
        done = subprocess.run(
            [programs() / program, *arguments, f"--pgdata={folder / 'data'}"],
            cwd=folder,
            user=user,
            group=pwd.getpwnam(user).pw_gid if user else None,
            extra_groups=[] if user else None,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        sys.exit(f"{program} failed:\n{log.read_text()}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    _keep()
