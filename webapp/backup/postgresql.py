"""Back up and restore a PostgreSQL database with PostgreSQL's own programs.

A restore replaces all tables of the application in one transaction.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from peewee import Database

from models import TABLES
from webapp.backup.checks import (
    HISTORY,
    RestoreOutcome,
    check_version,
    columns_after,
    incomplete,
    require_unused,
)
from webapp.backup.files import BackupError, require_kind
from webapp.database import migrate, parse_postgresql

OUR_TABLES = {table._meta.table_name for table in TABLES} | {HISTORY}  # noqa: SLF001
PUBLIC_SCHEMA_ONLY = ("--schema=public", "--no-owner", "--no-privileges")
LOCK_SECONDS = 10
"""The maximum time in seconds that a restore waits for each old table that other sessions lock."""
REMOVE_TABLES = r"""
\set ON_ERROR_STOP 1
BEGIN;
SET LOCAL lock_timeout = '{seconds}s';
SET LOCAL client_min_messages = warning;
DO $$
DECLARE command text;
BEGIN
    FOR command IN
        SELECT DISTINCT format('DROP FUNCTION %s CASCADE', tgfoid::regprocedure)
        FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
        WHERE NOT tgisinternal AND relnamespace = 'public'::regnamespace
        AND relname = ANY ('{{{tables}}}')
    LOOP EXECUTE command; END LOOP;
    FOR command IN
        SELECT format('DROP TABLE public.%I CASCADE', tablename) FROM pg_tables
        WHERE schemaname = 'public' AND tablename = ANY ('{{{tables}}}')
    LOOP EXECUTE command; END LOOP;
END $$;
CREATE EXTENSION IF NOT EXISTS pg_trgm;
"""
"""The SQL that removes the old tables with their triggers.

PostgreSQL rolls the removal back unless psql reads COMMIT later.
"""

INCOMPLETE = "incomplete backup: "
"""The beginning of the error that REQUIRE_PARTS raises. The missing part follows."""
REQUIRE_PARTS = r"""
DO $$
DECLARE part text;
BEGIN
    SELECT CASE WHEN to_regclass('public.' || tab) IS NULL THEN 'table ' || tab
        ELSE 'column ' || tab || '.' || col END
    INTO part
    FROM (VALUES {columns}) AS expected (tab, col)
    WHERE NOT EXISTS (
        SELECT FROM information_schema.columns
        WHERE table_schema = 'public' AND table_name = tab AND column_name = col
    )
    ORDER BY tab, col LIMIT 1;
    IF part IS NULL AND NOT EXISTS (SELECT FROM public.scope WHERE path = '') THEN
        part := 'Scalr scope';
    END IF;
    IF part IS NOT NULL THEN RAISE EXCEPTION '{incomplete}%', part; END IF;
END $$;
"""
"""The SQL that fails if a table, a column or the Scalr scope is missing."""


def back_up(url: str, path: Path) -> None:
    """Write a backup to the file `path`. Other sessions can change the database meanwhile.

    Raises BackupError.
    """
    _run(
        "pg_dump",
        "--format=custom",
        "--no-password",
        *PUBLIC_SCHEMA_ONLY,
        f"--file={path}",
        f"--dbname={_connection_string(url)}",
        environ=_environ(url),
    )
    _run("pg_restore", "--list", str(path))


def restore(database: Database, url: str, path: Path, *, force: bool) -> RestoreOutcome:
    """Replace the tables with the backup at `path`, in one transaction. Then migrate them.

    Raises BackupError.
    """
    require_kind(path, "postgresql")
    # Decompressing the whole file finds damage at any position.
    _run("pg_restore", "--file=/dev/null", str(path))
    migrations = applied_migrations(path)
    check_version(path, migrations)
    require_unused(database, force=force)
    _refuse_other_sessions(database)
    contents = _run("pg_restore", "--list", str(path))
    tables = set(re.findall(r" TABLE public (\w+) ", contents)) | OUR_TABLES
    _replace_tables(url, path, tables, columns_after(migrations))
    outcome = RestoreOutcome.of_database(migrate(database))
    # Without statistics, the first queries would be slow.
    database.execute_sql("ANALYZE")
    return outcome


def applied_migrations(path: Path) -> list[str]:
    """Return the names of the migrations in a backup."""
    output = _run("pg_restore", "--data-only", f"--table={HISTORY}", "--file=-", str(path))
    rows = re.search(
        rf"^COPY public\.{HISTORY} .*?;\n(.*?)^\\\.$", output, re.MULTILINE | re.DOTALL
    )
    lines = rows[1].splitlines() if rows else []
    return [name for line in lines for name in line.split("\t")[1:2]]


def _refuse_other_sessions(database: Database) -> None:
    """Raise BackupError if the application has other connections to the database."""
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND application_name = 'image-registry' AND pid <> pg_backend_pid()"
    )
    count = database.execute_sql(query).fetchone()[0]
    if count:
        raise BackupError(
            f"The application is still running (connections to the database: {count}). Stop it on "
            "all servers, then run the restore again."
        )


def _replace_tables(
    url: str, path: Path, tables: Iterable[str], columns: Mapping[str, Iterable[str]]
) -> None:
    """Let psql execute the SQL of the backup in one transaction, after REMOVE_TABLES.

    The old `tables` are removed first, because pg_restore cannot remove tables that the backup does
    not contain. `columns` are the columns that each restored table must have. psql reads COMMIT
    only after pg_restore has succeeded. If a program fails or is killed before COMMIT, PostgreSQL
    rolls back.
    """
    psql = [_program("psql"), "--no-psqlrc", "--quiet", "--no-password"]
    psql += ["--output=/dev/null", f"--dbname={_connection_string(url)}"]
    pg_restore = [_program("pg_restore"), *PUBLIC_SCHEMA_ONLY, "--file=-", str(path)]
    with subprocess.Popen(  # noqa: S603  programs and arguments of ours
        psql,
        env=_environ(url),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as session:
        stdin: IO[str] | None = session.stdin
        assert stdin is not None and session.stderr is not None  # noqa: S101, PT018  for mypy
        restore_errors = ""
        try:
            begin = REMOVE_TABLES.format(seconds=LOCK_SECONDS, tables=",".join(sorted(tables)))
            stdin.write(begin)
            stdin.flush()
            result = subprocess.run(  # noqa: S603  programs and arguments of ours
                pg_restore, stdout=stdin, stderr=subprocess.PIPE, text=True, check=False
            )
            restore_errors = (result.stderr or "pg_restore failed") if result.returncode else ""
            if not restore_errors:
                pairs = sorted((table, each) for table in columns for each in columns[table])
                values = ", ".join(f"('{table}', '{each}')" for table, each in pairs)
                stdin.write(REQUIRE_PARTS.format(columns=values, incomplete=INCOMPLETE))
                stdin.write("COMMIT;\n")
            stdin.close()
        except BrokenPipeError:
            restore_errors = ""  # The reason is in the messages of psql.
        messages = session.stderr.read()
        if session.wait() or restore_errors:
            _, is_incomplete, part = _reason(messages).partition(INCOMPLETE)
            if is_incomplete:
                raise incomplete(path, part)
            raise BackupError(
                f"The backup was not restored: {_reason(messages) or _reason(restore_errors)}. The "
                "database is unchanged."
            )


def _connection_string(url: str) -> str:
    """Return the parameters of the connection without the password, which `ps` would show."""
    from psycopg.conninfo import make_conninfo  # noqa: PLC0415  needs the driver

    parameters = parse_postgresql(url)
    if "sslpassword" in parameters:
        raise BackupError(
            "The URL of the database contains sslpassword, which other users of this machine could "
            "see in the list of processes. Use a key file without a password, and let only the "
            "service read the file."
        )
    return make_conninfo(**{name: parameters[name] for name in parameters if name != "password"})


def _environ(url: str) -> Mapping[str, str]:
    """Return the environment of a program that connects to the database."""
    password: Any = parse_postgresql(url).get("password")
    return {**os.environ, **({"PGPASSWORD": password} if password else {})}


def _run(program: str, *arguments: str, environ: Mapping[str, str] | None = None) -> str:
    """Run a program of PostgreSQL and return its output. Raises BackupError."""
    result = subprocess.run(  # noqa: S603  programs and arguments of ours
        [_program(program), *arguments],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if result.returncode:
        raise BackupError(f"{program} failed: {_reason(result.stderr)}. The database is unchanged.")
    return result.stdout


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise BackupError(
            f"The program {name} is missing. Install the client programs of PostgreSQL (Debian, "
            "Ubuntu: apt-get install postgresql-client), in the version of the server or newer."
        )
    return path


def _reason(messages: str) -> str:
    """Return the first error among the messages of a program, without the program's name."""
    lines = [line for line in messages.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower() or "FATAL" in line] or lines
    if not errors:
        return ""
    line = re.sub(r"^\S*(pg_dump|pg_restore|psql)\S*:\s*(\S+:\d+: )?", "", errors[0])
    return re.sub(r"^(error|ERROR):\s*", "", line).rstrip(". ")
