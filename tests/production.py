"""A production set on loopback, from the files in `deploy/`.

nginx with TLS, two application servers, a worker, PgBouncer, PostgreSQL and Redis.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import urllib3
from psycopg.conninfo import conninfo_to_dict
from urllib3.util import Retry

from sandbox.tls import authority
from tests import served
from tests.database.servers import PostgresqlServer, postgresql_server, redis_server
from tests.pgbouncer import pgbouncer_with, wait_until_it_listens
from tests.postgresql import free_port
from tests.served import ROOT, Server

NGINX = ROOT / "deploy" / "nginx"
PGBOUNCER = ROOT / "deploy" / "pgbouncer" / "pgbouncer.ini"
MAKE_SECRETS = ROOT / "deploy" / "make-secrets"
CREATE_DATABASE = ROOT / "deploy" / "postgresql" / "create-database.sh"
ADDRESS = "127.0.0.1"
HOST = "localhost"
"""nginx refuses TLS without a host name."""
SERVERS = 2


class NoProduction(RuntimeError):
    """A program of the production set is not installed."""


@dataclass
class Production:
    """A running production set."""

    url: str
    """The URL of nginx."""
    http_port: int
    database: PostgresqlServer
    database_url: str
    """The URL of the database without PgBouncer, for the user of the application."""
    redis_url: str
    authority_pem: Path
    """The certificate authority that the clients must trust."""
    servers: list[Server]
    """The application servers."""
    logs: list[Path]

    def store_rows(self) -> None:
        """Copy the rows of all tables, so that `restore_rows` can restore them."""
        with self._superuser() as connection:
            copies = "".join(
                f"CREATE TABLE stored.{name} AS TABLE public.{name};"
                for name in _tables(connection)
            )
            connection.execute(f"CREATE SCHEMA stored; {copies}")

    def restore_rows(self) -> None:
        """Give all tables the rows that were stored, and empty the logs after checking them."""
        self.check_logs()
        for log in self.logs:
            os.truncate(log, 0)
        with self._superuser() as connection:
            names = _tables(connection)
            public = ", ".join(f"public.{name}" for name in names)
            inserts = "".join(f"INSERT INTO public.{name} TABLE stored.{name};" for name in names)
            # No trigger changes the stored rows.
            without_triggers = "SET LOCAL session_replication_role = replica"
            connection.execute(f"{without_triggers}; TRUNCATE {public}; {inserts}")

    def _superuser(self) -> psycopg.Connection[Any]:
        """Connect to the database of the application as a superuser."""
        return psycopg.connect(self.database.url, dbname=urlsplit(self.database_url).path[1:])

    def wait_until_ready(self) -> None:
        """Wait until both servers can serve requests again after an outage."""
        retries = Retry(60, status_forcelist=[503], backoff_factor=0.1, backoff_max=0.5)
        with urllib3.PoolManager(retries=retries) as client:
            for server in self.servers:
                client.request("GET", f"{server.url}/readyz")

    def check_logs(self) -> None:
        """Raise Leaked if a log of the application or of nginx contains a secret."""
        for log in (*self.logs, *self.logs[0].parent.glob("nginx*.log")):
            self.servers[0].canaries.check_output(f"the log {log.name}", log.read_text())

    def tracebacks(self) -> list[str]:
        texts = (log.read_text() for log in self.logs)
        return [text for text in texts if "Traceback" in text]


def _tables(connection: psycopg.Connection[Any]) -> list[str]:
    query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
    return [name for (name,) in connection.execute(query).fetchall()]


def require_programs() -> None:
    """Raise NoProduction if nginx or Redis is not installed."""
    for name in ("nginx", "redis-server"):
        if not _program(name):
            raise NoProduction(
                f"These tests need {name}. Install it (Debian, Ubuntu: apt-get install {name})."
            )


@contextmanager
def production(folder: Path, sandbox: Path) -> Iterator[Production]:
    """Start the production set with the data of the demonstration, and stop it afterwards.

    Raises NoProduction, NoPostgreSQL or NoPgBouncer.
    """
    require_programs()
    with ExitStack() as stack:
        secrets = make_secrets(folder)
        redis_url = stack.enter_context(_redis(secrets))
        # An outage is a crash, and no acknowledged change may be lost in it.
        database = stack.enter_context(postgresql_server({"synchronous_commit": "on"}))
        url = _new_database(database.url, secrets)
        environ = {
            **served.app_environ(folder),
            "DATABASE_URL": stack.enter_context(_pgbouncer(url)),
            "PGBOUNCER": "true",
            "REDIS_URL": redis_url,
            "TRUSTED_PROXIES": "1",
            "SECURE_COOKIES": "true",
            "WEB_RUNS_JOBS": "false",
        }
        served.seed(environ, sandbox)
        logs = [folder / f"{name}.log" for name in ("worker", "server-1", "server-2")]
        stack.enter_context(_worker(environ, logs[0]))
        servers = [stack.enter_context(_server(environ, log)) for log in logs[1:]]
        pem = folder / "authority.pem"
        site = Production("", free_port(), database, url, redis_url, pem, servers, logs)
        stack.enter_context(_nginx(folder, site))
        yield site
        site.check_logs()


def _server(environ: Mapping[str, str], log: Path) -> AbstractContextManager[Server]:
    """Serve the application, and its metrics on a port of their own."""
    return served.serve_app({**environ, "METRICS_BIND": f"{ADDRESS}:{free_port()}"}, log)


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def make_secrets(folder: Path) -> Path:
    """Run `deploy/make-secrets` for an installation in `folder`. Return the folder of the files."""
    script = folder / MAKE_SECRETS.name
    shutil.copy(MAKE_SECRETS, script)
    subprocess.run([script], stdout=subprocess.DEVNULL, check=True)
    return folder / "secrets"


@contextmanager
def _redis(secrets: Path) -> Iterator[str]:
    """Run Redis with the users of `make-secrets`. Yield the URL of the application."""
    port = free_port()
    options = ("--aclfile", str(secrets / "redis_users"))
    url = (secrets / "redis_url").read_text().strip().replace("redis:6379", f"{ADDRESS}:{port}")
    parts = urlsplit(url)
    with redis_server(port, options, parts.username or "", parts.password or ""):
        yield url


def _new_database(server: str, secrets: Path) -> str:
    """Create the database with the script in `deploy/postgresql`. Return the database's URL."""
    parts = conninfo_to_dict(server)
    script = _replace(CREATE_DATABASE.read_text(), {"/run/secrets/": f"{secrets}/"})
    environ = {
        **os.environ,
        "PGHOST": str(parts["host"]),
        "PGPORT": str(parts["port"]),
        "PGPASSWORD": str(parts["password"]),
    }
    subprocess.run(["/bin/sh", "-c", script], env=environ, check=True)
    url = (secrets / "database_url").read_text().strip()
    return url.replace("pgbouncer:6432", f"{parts['host']}:{parts['port']}")


@contextmanager
def _pgbouncer(database_url: str) -> Iterator[str]:
    """Run PgBouncer with the file in `deploy/pgbouncer`. Yield its URL."""
    parts = urlsplit(database_url)
    ours = {
        "host=db port=5432": f"host={parts.hostname} port={parts.port}",
        "listen_addr = 0.0.0.0": f"listen_addr = {ADDRESS}",
        "listen_port = 6432": "listen_port = {port}",
        "/run/secrets/pgbouncer_users": "{folder}/users",
    }
    with pgbouncer_with(_replace(PGBOUNCER.read_text(), ours), database_url) as url:
        yield url


def _replace(text: str, replacements: Mapping[str, str]) -> str:
    for theirs, ours in replacements.items():
        assert theirs in text, theirs
        text = text.replace(theirs, ours)
    return text


@contextmanager
def _worker(environ: Mapping[str, str], log: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "flask", "--app", "webapp", "work"]
    with (
        log.open("ab") as output,
        subprocess.Popen(command, env=environ, cwd=ROOT, stdout=output, stderr=output) as worker,
    ):
        try:
            yield
        finally:
            worker.send_signal(signal.SIGTERM)


@contextmanager
def _nginx(folder: Path, site: Production) -> Iterator[None]:
    program, port = _program("nginx"), free_port()
    assert program is not None
    site.url = f"https://{HOST}:{port}"
    pem = authority().issue((HOST,))
    site.authority_pem.write_text(authority().pem)
    (folder / "tls.pem").write_bytes(pem)
    configuration = folder / "nginx.conf"
    configuration.write_text(_configuration(folder, site, port))
    command = [program, "-e", str(folder / "nginx-start.log"), "-c", str(configuration)]
    server = Server(command, os.environ, folder / "nginx.log", site.url)
    try:
        wait_until_it_listens(port)
        yield
    finally:
        server.end()


def _configuration(folder: Path, site: Production, port: int) -> str:
    """Return the configuration of nginx: the files of `deploy/nginx` with our ports and names."""
    ours = {
        "listen 80": f"listen {ADDRESS}:{site.http_port}",
        "listen 443": f"listen {ADDRESS}:{port}",
        "https://registry.example.com": site.url,
        "registry.example.com": HOST,
        "/etc/nginx/tls/registry.pem": f"{folder}/tls.pem",
        "/etc/nginx/tls/registry.key": f"{folder}/tls.pem",
        "Host $host": f"Host $host:{port}",
        "web1:8000": urlsplit(site.servers[0].url).netloc,
        "web2:8000": urlsplit(site.servers[1].url).netloc,
    }
    text = (NGINX / "upstream-compose.conf").read_text()
    text += (NGINX / "image-registry.conf").read_text()
    text = _replace(text, ours)
    folders = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.geteuid() == 0 else ""
    return (
        f"{user}daemon off;\npid {folder}/nginx.pid;\nerror_log {folder}/nginx-error.log;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{folders}{text}}}\n"
    )
