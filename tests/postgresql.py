"""A temporary PostgreSQL cluster for tests: fast and not durable.

A separate process, this file run as a script, owns the cluster and lives as long as its standard
input is open. The cluster therefore ends however the tests end, even if they are killed.
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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

# The data is temporary, so no setting waits for a disk.
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
    """There is neither a server to use nor a program that could start one."""


@contextmanager
def cluster(
    settings: Mapping[str, str] = MappingProxyType({}), *, own: bool = False
) -> Iterator[str]:
    """Yield the URL of a superuser's database.

    If TEST_DATABASE_URL is set and `own` is false, yield TEST_DATABASE_URL. Otherwise, start a
    cluster with SETTINGS and `settings`, and stop it afterwards. Raises NoPostgreSQL.
    """
    if not own and (url := os.environ.get("TEST_DATABASE_URL")):
        yield url
        return
    program_folder()
    # A session of its own, because Ctrl-C is for the tests, which need the server to clean up.
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
            raise NoPostgreSQL("PostgreSQL did not start. Its output is above.")
        yield url


def program_folder() -> Path:
    """Return the folder of initdb and pg_ctl of the newest version. Raises NoPostgreSQL."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if found:
        return max(found, key=lambda folder: int(folder.parent.name))
    if initdb := shutil.which("initdb"):
        return Path(initdb).resolve().parent
    raise NoPostgreSQL(
        "These tests need PostgreSQL. Install it (Debian, Ubuntu: apt-get install postgresql), "
        "or set TEST_DATABASE_URL to the URL of a superuser's database."
    )


def _serve() -> None:
    """Start a cluster, print its URL, and stop it when standard input closes."""
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    try:
        user = other_user()
        password = _initialize(folder, user, sys.argv[1:])
        port = free_port()
        run_program(folder, user, "pg_ctl", "start", "--wait", "--silent", f"--options=-p {port}")
        try:
            print(f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres", flush=True)  # noqa: T201
            sys.stdin.read()
        finally:
            run_program(folder, user, "pg_ctl", "stop", "--mode=immediate", "--silent")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def other_user() -> str | None:
    """Return the user to run as, because PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    return "postgres" if "postgres" in {user.pw_name for user in pwd.getpwall()} else "nobody"


def _initialize(folder: Path, user: str | None, settings: Sequence[str]) -> str:
    """Create the cluster's files in `folder` and return the superuser's password.

    Without a password, anybody on this machine could act as the user that the server runs as.
    """
    password = secrets.token_hex(16)
    password_file = folder / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(password)
    if user:
        shutil.chown(folder, user)
        shutil.chown(password_file, user)
    run_program(
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
        configuration.writelines(f"{line}\n" for line in settings)
    return password


def run_program(folder: Path, user: str | None, program: str, *arguments: str) -> None:
    """Run a program of PostgreSQL as `user`. Show its output only if it fails."""
    log = folder / f"{program}.log"
    with log.open("a") as output:
        done = subprocess.run(
            [program_folder() / program, *arguments, f"--pgdata={folder / 'data'}"],
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
    """Return a port on loopback that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    _serve()
