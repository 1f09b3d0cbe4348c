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
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from sandbox.tls import authority
from tests import served
from tests.database.servers import redis_server
from tests.pgbouncer import pgbouncer, wait_until_it_listens
from tests.postgresql import cluster, free_port
from tests.served import ROOT, Server

NGINX = ROOT / "deploy" / "nginx"
ADDRESS = "127.0.0.1"
HOST = "localhost"
"""nginx refuses TLS without a host name."""
SERVERS = 2


class NoProduction(RuntimeError):
    """A program of the production set is not installed."""


@dataclass
class Production:
    url: str
    """The URL of nginx."""
    http_port: int
    database_url: str
    """The URL of PostgreSQL, not of PgBouncer."""
    authority_pem: Path
    """The certificate authority that the clients must trust."""
    servers: list[Server]
    """The application servers."""
    logs: list[Path]

    def tracebacks(self) -> list[str]:
        texts = (log.read_text() for log in self.logs)
        return [text for text in texts if "Traceback" in text]


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
        redis_port = free_port()
        stack.enter_context(redis_server(redis_port))
        url = _new_database(stack.enter_context(cluster()))
        environ = {
            **served.app_environ(folder),
            "DATABASE_URL": stack.enter_context(pgbouncer(url)),
            "PGBOUNCER": "true",
            "REDIS_URL": f"redis://{ADDRESS}:{redis_port}/0",
            "TRUSTED_PROXIES": "1",
            "SECURE_COOKIES": "true",
            "WEB_RUNS_JOBS": "false",
        }
        served.seed(environ, sandbox)
        logs = [folder / f"{name}.log" for name in ("worker", "server-1", "server-2")]
        stack.enter_context(_worker(environ, logs[0]))
        servers = [stack.enter_context(served.serve_app(environ, log)) for log in logs[1:]]
        site = Production("", free_port(), url, folder / "authority.pem", servers, logs)
        stack.enter_context(_nginx(folder, site))
        yield site


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def _new_database(server: str) -> str:
    """Create a database, because the tests share the server. Return its URL."""
    name = f"production_{free_port()}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{server.removesuffix(urlsplit(server).path)}/{name}"


@contextmanager
def _worker(environ: Mapping[str, str], log: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "flask", "--app", "webapp", "work"]
    with (
        log.open("wb") as output,
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
    for theirs, replacement in ours.items():
        assert theirs in text, theirs
        text = text.replace(theirs, replacement)
    folders = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.geteuid() == 0 else ""
    return (
        f"{user}daemon off;\npid {folder}/nginx.pid;\nerror_log {folder}/nginx-error.log;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{folders}{text}}}\n"
    )
