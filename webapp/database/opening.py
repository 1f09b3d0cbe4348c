"""Open the database at a URL. If the URL is wrong, an exception says why."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from peewee import Database

from webapp.database.private_files import database_files, tighten_database
from webapp.database.sqlite import FileConnection, SqlitePool
from webapp.database.waiting import BACKGROUND_SECONDS, CONNECT_SECONDS, POOL_SECONDS
from webapp.settings import SettingsError, is_this_machine

MAPPED_BYTES = 2**31 - 2**16
"""The maximum number of bytes of the file that SQLite maps into memory. SQLite accepts no larger
number. SQLite reads mapped pages without copying them."""
SQLITE_PRAGMAS = {
    "journal_mode": "wal",
    "foreign_keys": 1,
    # A change that was acknowledged survives a power failure.
    "synchronous": "full",
    "case_sensitive_like": 0,
    "cache_size": -16_000,
    "mmap_size": MAPPED_BYTES,
    "temp_store": "memory",
}
POSTGRESQL_SETTINGS = {
    # PostgreSQL must plan each query for its values. One value may match a thousand times as many
    # images as another, so one plan for all values would be wrong for most values.
    "plan_cache_mode": "force_custom_plan",
    # If this process vanishes, the server ends its statements and locks after BACKGROUND_SECONDS.
    "statement_timeout": f"{BACKGROUND_SECONDS:.0f}s",
    "idle_in_transaction_session_timeout": f"{BACKGROUND_SECONDS:.0f}s",
}
POSTGRESQL_PARAMETERS = {
    "connect_timeout": CONNECT_SECONDS,
    # The client notices after 10 to 15 seconds that a server was switched off.
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "image-registry",
}
"""Parameters of a connection. The URL can replace these parameters and add others."""
NUMBERS = (
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
)
"""The parameters of a connection that must be numbers."""
SESSION_KINDS = ("any", "read-write", "read-only", "primary", "standby", "prefer-standby")
"""The values that libpq accepts for `target_session_attrs`."""
HOST_VARIABLES = ("PGHOST", "PGHOSTADDR", "PGSERVICE")
"""The environment variables that can make libpq connect to a machine that the URL does not name."""
EXAMPLE = "postgresql://user:password@host:5432/name"
ADVICE = (
    f"The URL must look like {EXAMPLE}. In the user and the password, write special characters as "
    "%XX, for example %40 for @ and %2F for /."
)


def open_database(url: str, *, pgbouncer: bool = False) -> Database:
    """Return the database at `url`, with a pool of connections.

    The URL is `sqlite:///file` or `postgresql://user:password@host/name`. If `pgbouncer` is true,
    the server is PgBouncer, whose clients share sessions. Raises SettingsError if the URL is wrong.
    """
    scheme = url.partition(":")[0]
    if scheme == "sqlite":
        if pgbouncer:
            raise SettingsError("PGBOUNCER needs a DATABASE_URL that begins with postgresql://.")
        return _open_sqlite(url)
    if scheme in {"postgresql", "postgres"}:
        return _open_postgresql(url, pgbouncer=pgbouncer)
    raise SettingsError("DATABASE_URL must begin with sqlite:/// or postgresql://.")


def _open_sqlite(url: str) -> Database:
    quoted_path = url.removeprefix("sqlite:///")
    path = unquote(quoted_path, errors="surrogateescape")
    if quoted_path in {"", url} or "?" in quoted_path or "#" in quoted_path or "\0" in path:
        raise SettingsError(
            "DATABASE_URL must be sqlite:/// and the path of a file, such as "
            "sqlite:///data/registry.db or sqlite:////srv/registry.db."
        )
    if path != ":memory:":
        _require_usable_file(Path(path))
    # The pool keeps the file open, because opening a file and reading its schema takes longer than
    # most requests.
    return SqlitePool(
        path,
        pragmas=SQLITE_PRAGMAS,
        max_connections=64,
        check_same_thread=False,
        factory=FileConnection,
        timeout=POOL_SECONDS,
    )


def _require_usable_file(path: Path) -> None:
    """Create the folder if it is missing, and remove the access of other users to the files.

    Raises SettingsError if the folder cannot be created or the files cannot be used.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"The folder of the database, {path.parent}, cannot be created: {error.strerror}."
        ) from error
    # Check all files of the database: SQLite and the migrations add endings to the name, and the
    # longer names may be too long for the file system.
    for file in database_files(path):
        try:
            mode = file.stat().st_mode
        except FileNotFoundError:
            continue
        except OSError as error:
            raise SettingsError(
                f"The file of the database, {file}, cannot be opened: {error.strerror}."
            ) from error
        if stat.S_ISDIR(mode):
            raise SettingsError(f"DATABASE_URL names the folder {file} instead of a file.")
        if not stat.S_ISREG(mode):
            raise SettingsError(
                f"DATABASE_URL must name a file, but {file} is a device, a pipe or a socket."
            )
    tighten_database(path)


def _open_postgresql(url: str, *, pgbouncer: bool) -> Database:
    try:
        from webapp.database.postgresql import PostgresqlPool  # noqa: PLC0415  needs the driver
    except ImportError as error:
        raise SettingsError(
            "PostgreSQL needs the Python package psycopg. Install requirements/base.txt."
        ) from error
    parameters = {**POSTGRESQL_PARAMETERS, **parse_postgresql(url)}
    if pgbouncer:
        # PgBouncer accepts no options. No statement is prepared, because the next transaction may
        # use another session, which does not know the prepared statements. Without preparation,
        # PostgreSQL plans each statement for its values, as with `plan_cache_mode` above.
        if "options" in parameters:
            raise SettingsError("With PGBOUNCER, DATABASE_URL cannot contain options.")
        parameters["prepare_threshold"] = None
    else:
        settings = " ".join(f"-c {name}={value}" for name, value in POSTGRESQL_SETTINGS.items())
        parameters["options"] = f"{settings} {parameters.get('options', '')}".rstrip()
    return PostgresqlPool(
        parameters.pop("dbname"), max_connections=32, timeout=POOL_SECONDS, **parameters
    )


def parse_postgresql(url: str, setting: str = "DATABASE_URL") -> dict[str, Any]:
    """Return the parameters of the connection.

    `setting` is the name of the setting that contains the URL. Raises SettingsError, which never
    shows the URL.
    """
    from psycopg import ProgrammingError  # noqa: PLC0415  needs the driver
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415

    if not url.startswith(("postgresql://", "postgres://")):
        raise SettingsError(f"{setting} must look like {EXAMPLE}.")
    try:
        parameters: dict[str, Any] = conninfo_to_dict(url)
    except ProgrammingError as error:
        raise SettingsError(
            f"{setting} is not a valid PostgreSQL URL: {_reason(error, url)}. {ADVICE}"
        ) from error
    hosts = str(parameters.get("host", "")).split(",")
    ports = [port for port in str(parameters.get("port", "")).split(",") if port]
    # The message does not contain the port, because it may be the beginning of the password.
    if any("@" in host for host in hosts) or not all(map(_is_port, ports)):
        raise SettingsError(
            f"The host or the port in {setting} is not valid. A port is a number. {ADVICE}"
        )
    if len(ports) > 1 and len(ports) != len(hosts):
        raise SettingsError(
            f"{setting} must name one port for all hosts, or one port for each host."
        )
    for name in NUMBERS:
        if not re.fullmatch(r"-?[0-9]{1,9}", str(parameters.get(name, "0"))):
            raise SettingsError(f"{name} in {setting} must be a number.")
    if parameters.get("target_session_attrs", "any") not in SESSION_KINDS:
        raise SettingsError(
            f"target_session_attrs in {setting} must be one of {', '.join(SESSION_KINDS)}."
        )
    if not parameters.get("dbname"):
        raise SettingsError(f"{setting} names no database. It must look like {EXAMPLE}.")
    return parameters


def require_tls(url: str, setting: str = "DATABASE_URL") -> None:
    """Raise SettingsError if the URL leads to another machine without verified TLS.

    `sslmode=verify-full` must be in the URL itself, because environment variables and service files
    may differ between the processes. Without this parameter, the variables in HOST_VARIABLES are
    refused too, because libpq uses them for parameters that are not in the URL, such as `hostaddr`.
    """
    if not url.startswith(("postgresql://", "postgres://")):
        return
    parameters = parse_postgresql(url, setting)
    is_elsewhere = "service" in parameters or any(
        not host.startswith(("/", "@")) and not is_this_machine(host)
        for name in ("host", "hostaddr")
        for host in str(parameters.get(name, "/")).split(",")
    )
    if parameters.get("sslmode") == "verify-full":
        return
    message = f"With REQUIRE_TLS, {setting} must contain sslmode=verify-full"
    if is_elsewhere:
        raise SettingsError(
            f"{message}. Only a database on this machine, or with a Unix socket, needs no TLS."
        )
    if variables := [name for name in HOST_VARIABLES if os.environ.get(name)]:
        raise SettingsError(
            f"{message}, or the environment variable {variables[0]} must not be set, because it "
            "can name another machine."
        )


def _reason(error: Exception, url: str) -> str:
    """Return the reason in a message of libpq, without the quoted parts of the URL."""
    quotation = '".*"' if '"' in url else '"[^"]*"'
    first_line = str(error).splitlines()[0]
    return re.sub(quotation, "…", first_line).rstrip(" :.…") or "it cannot be read"


def _is_port(text: str) -> bool:
    return bool(re.fullmatch("[0-9]{1,5}", text)) and 0 < int(text) < 65_536
