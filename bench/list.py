"""How long the Images page takes, beside the least that its answers can take.

    python -m bench.list [--images 100000] [--database sqlite|postgresql] [--rounds 200] [--json]
                         [--keep FOLDER]

It makes a fleet (`bench.fleet`) and serves two things from the one database, each under gunicorn
with two workers: the app, and a floor (`bench.floor`). Both are asked by the same bare client over
a connection that stays open, case by case and by turns; that both list the same images in the same
order is checked first. Then eight clients at once ask the app for its first
page. `--keep` keeps what was made for the next time; with PostgreSQL in databases of the server
that TEST_DATABASE_URL names."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

import models
from bench import fleet, floor, list_cases
from bench.list_cases import Case
from bench.measure import milliseconds, percentiles, resident_mb, signed_in
from tests import served
from tests.postgresql import cluster, free_port
from tests.served import Server
from webapp.database import close_all, open_database

WORKERS = 2
WARM_UP = 5
"""Connections, each of which asks for every page once: they spread over the workers."""
BLOCK = 10
"""Requests to the one side before it is the other's turn, so that what else the machine does
falls on both."""
IDLE = 1.0
"""Seconds after which a server may be about to close a connection that nothing came over."""
CLIENTS = 8
SECONDS = 5.0
"""How long all clients ask at once."""
SERVER = {"shared_buffers": "1GB", "random_page_cost": "1.1", "effective_cache_size": "4GB"}
"""As one sets PostgreSQL up for real, where its disks are fast."""
_LISTED = re.compile(rb'href="[^"]*/images/(\d+)"')
_NEXT = re.compile(r'<a [^>]*href="([^"]+)" rel="next"')


class Client:
    """Somebody signed in, or nobody, on one connection that stays open."""

    def __init__(self, url: str, cookie: str = "") -> None:
        where = urlsplit(url)
        assert where.hostname is not None
        self._connection = HTTPConnection(where.hostname, where.port, timeout=120)
        self._headers = {"Cookie": cookie} if cookie else {}
        self._asked = 0.0

    def get(self, address: str, encoding: str = "gzip") -> bytes:
        """The body, as it was sent."""
        headers = {**self._headers, "Accept-Encoding": encoding}
        if time.monotonic() - self._asked > IDLE:
            self._connection.close()  # It opens again by itself.
        self._connection.request("GET", address, headers=headers)
        answer = self._connection.getresponse()
        body = answer.read()
        self._asked = time.monotonic()
        assert answer.status == 200, (address, answer.status, body[:500])
        return body


def main() -> None:
    arguments = _arguments()
    with ExitStack() as stack:
        folder = arguments.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        where = _sqlite if arguments.database == "sqlite" else _postgresql
        url = stack.enter_context(where(folder, arguments.images, keep=arguments.keep is not None))
        result = _measure(url, arguments.rounds, quiet=arguments.json)
    if arguments.json:
        print(json.dumps(result))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--rounds", type=int, default=200, help="requests of each case")
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="keep or use again what is made"
    )
    arguments: argparse.Namespace = parser.parse_args()
    if arguments.images < 1_000:
        parser.error("A fleet has at least 1000 images.")
    if arguments.keep and arguments.database == "postgresql" and not _server_url():
        parser.error("To keep a database of PostgreSQL, name its server in TEST_DATABASE_URL.")
    return arguments


def _server_url() -> str:
    return os.environ.get("TEST_DATABASE_URL", "")


@contextmanager
def _sqlite(folder: Path, images: int, *, keep: bool) -> Iterator[str]:
    """Yields the URL of a fleet in a file."""
    file = folder.absolute() / "registry.db"
    url = f"sqlite:///{file}"
    if not (keep and file.exists() and fleet.is_made(url, images)):
        for each in folder.glob("registry.db*"):
            each.unlink()
        fleet.make(url, images)
    yield url


@contextmanager
def _postgresql(_folder: Path, images: int, *, keep: bool) -> Iterator[str]:
    """Yields the URL of a fleet in a database of its own."""
    with cluster(SERVER) as server:
        name = f"fleet_{images}"
        url = urlsplit(server)._replace(path=f"/{name}").geturl()
        if not (keep and _exists(server, name) and fleet.is_made(url, images)):
            _drop(server, name)
            _run(server, "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'", name)
            fleet.make(url, images)
        try:
            yield url
        finally:
            if not keep:
                _drop(server, name)


def _exists(server: str, name: str) -> bool:
    with psycopg.connect(server) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
        return found.fetchone() is not None


def _drop(server: str, name: str) -> None:
    _run(server, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


def _run(server: str, statement: str, name: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(sql.Identifier(name)))


def _measure(url: str, rounds: int, *, quiet: bool) -> dict[str, object]:
    database = open_database(url)
    models.database.initialize(database)
    with models.database.connection_context():
        cases = list_cases.of_fleet()
    close_all(database)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        floor_file = folder / "floor.json"
        floor.write(floor_file, url, {f"/{case.name}": case.floor for case in cases})
        bare = stack.enter_context(_serve_floor(floor_file, folder / "floor.log"))
        environ = served.app_environ(folder) | {"DATABASE_URL": url}
        app = stack.enter_context(served.serve_app(environ, folder / "log", WORKERS))
        cookies = {email: _cookie(app.url, email) for email in {case.email for case in cases}}
        addresses = [_address(case, Client(app.url, cookies[case.email])) for case in cases]
        for _ in range(WARM_UP):
            _check(cases, addresses, app, bare, cookies)
        if not quiet:
            _print_head()
        measured = []
        for case, address in zip(cases, addresses, strict=True):
            told = _case(case, address, app, bare, cookies[case.email], rounds)
            measured.append(told)
            if not quiet:
                _print_row(told)
        per_second = _throughput(app.url, cookies[cases[0].email], addresses[0])
        # Of SQLite's file much is mapped: the page cache's, not the app's.
        memory = resident_mb(app.pid, Path(url.removeprefix("sqlite:///")))
    if not quiet:
        print(f"\n{per_second:.0f} first pages a second, {CLIENTS} clients at once")
        print(f"{memory:.0f} MB of memory in {WORKERS} workers")
    return {"cases": measured, "requests_per_s": round(per_second, 1), "rss_mb": round(memory, 1)}


@contextmanager
def _serve_floor(file: Path, log: Path) -> Iterator[Server]:
    """Under the same gunicorn, set up the same, without what our own configuration does there."""
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "gunicorn", "bench.floor:app()"]
    command += ["--config", "python:bench.floor", "--bind", address, "--workers", str(WORKERS)]
    command += ["--worker-class", "gthread", "--threads", "16", "--no-control-socket"]
    environ = {**os.environ, floor.FILE: str(file)}
    with served.serve(command, environ, log, f"http://{address}/") as server:
        yield server


def _cookie(url: str, email: str) -> str:
    jar = signed_in(url, email).cookies
    return "; ".join(f"{each.name}={each.value}" for each in jar)


def _address(case: Case, client: Client) -> str:
    """Of the page of a case, as far as Next has to be followed to it."""
    address = case.address
    for _ in range(case.hops):
        found = _NEXT.search(client.get(address, "identity").decode())
        assert found is not None, address
        address = found[1].replace("&amp;", "&")
    return address


def _check(
    cases: Sequence[Case],
    addresses: Sequence[str],
    app: Server,
    bare: Server,
    cookies: Mapping[str, str],
) -> None:
    """That the app and the floor list the same images in the same order. It warms them up, too."""
    people = {email: Client(app.url, cookie) for email, cookie in cookies.items()}
    floors = Client(bare.url)
    for case, address in zip(cases, addresses, strict=True):
        ours = _LISTED.findall(people[case.email].get(address, "identity"))
        theirs = _LISTED.findall(floors.get(case.floor_address))
        assert ours == theirs, (case.name, ours, theirs)


def _case(
    case: Case, address: str, app: Server, bare: Server, cookie: str, rounds: int
) -> dict[str, object]:
    ours, theirs = Client(app.url, cookie), Client(bare.url)
    size = len(ours.get(address, "identity"))
    times, floors = [], []
    for _ in range(-(-rounds // BLOCK)):
        times += _asked(ours, address)
        floors += _asked(theirs, case.floor_address)
    p50, p95, p99 = percentiles(times)
    floor_p50, _, _ = percentiles(floors)
    return {
        "name": case.name,
        "p50_ms": round(p50, 2),
        "p95_ms": round(p95, 2),
        "p99_ms": round(p99, 2),
        "floor_p50_ms": round(floor_p50, 2),
        "ratio_to_floor": round(p50 / floor_p50, 2),
        "html_bytes": size,
    }


def _asked(client: Client, address: str) -> list[float]:
    client.get(address)  # What the other side threw out of the processor's caches is back then.
    return milliseconds(lambda: client.get(address), BLOCK)


def _throughput(url: str, cookie: str, address: str) -> float:
    """Pages a second that all clients together get."""
    ends = time.monotonic() + SECONDS
    counts = [0] * CLIENTS

    def ask(at: int) -> None:
        client = Client(url, cookie)
        while time.monotonic() < ends:
            client.get(address)
            counts[at] += 1

    threads = [threading.Thread(target=ask, args=(at,)) for at in range(CLIENTS)]
    began = time.monotonic()
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return sum(counts) / (time.monotonic() - began)


def _print_head() -> None:
    heads = "".join(f"{head:>10}" for head in ("p50", "p95", "p99", "floor", "ratio", "HTML"))
    print(f"{'milliseconds; HTML in kB':26}{heads}")


def _print_row(told: dict[str, object]) -> None:
    times = "".join(
        f"{told[key]:>10}"
        for key in ("p50_ms", "p95_ms", "p99_ms", "floor_p50_ms", "ratio_to_floor")
    )
    print(f"{told['name']:26}{times}{int(str(told['html_bytes'])) / 1000:>10.0f}", flush=True)


if __name__ == "__main__":
    main()
