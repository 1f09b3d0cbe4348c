"""Measure the list of 50 images with the API, compared with the Images page of the same server.

    python -m bench.api [--images 100000] [--database sqlite|postgresql] [--rounds 200]
                        [--keep FOLDER]

The page and the API list the images of the same scope, for the same person, in turn. The benchmark
also reports how long the first request to the API takes after the start of the server, and the
number of lists per second that eight simultaneous clients receive from the API in total. The
database contains a fleet: generated images, scopes and people (see `bench.fleet`). `--keep` works
as in `bench.list`.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import models
from bench import list_cases
from bench.fleet_database import KINDS, open_fleet
from bench.measure import milliseconds, percentiles, sign_in
from models import Person, Role, Scope
from tests import served
from tests.served import Server
from webapp.credentials.vault import Vault
from webapp.database import close_all, open_database
from webapp.people import accounts
from webapp.settings import read_settings
from webapp.tokens import tokens

WORKERS = 2
CLIENTS = 8
THROUGHPUT_SECONDS = 5.0
BLOCK = 4
"""The page and the API take turns. In each turn, this number of requests is measured."""
WARM_UP = 20
"""How often the page and the API are each requested to warm up, before the turns begin."""


class Client:
    """A client with one connection that stays open."""

    def __init__(self, server: Server, header: dict[str, str], path: str) -> None:
        parts = urlsplit(server.url)
        assert parts.hostname is not None
        self._connection = HTTPConnection(parts.hostname, parts.port, timeout=60)
        self._headers = {**header, "Accept-Encoding": "gzip"}
        self._path = path

    def get(self) -> int:
        """Request the path, and return the size of the body as it was sent."""
        self._connection.request("GET", self._path, headers=self._headers)
        response = self._connection.getresponse()
        body = response.read()
        assert response.status == 200, (self._path, response.status, body[:300])
        return len(body)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--database", choices=KINDS, default="sqlite")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the fleet for later runs")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = arguments.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        keep = arguments.keep is not None
        fleet = open_fleet(arguments.database, folder, arguments.images, keep=keep)
        _measure(stack.enter_context(fleet), arguments.rounds)


def _measure(url: str, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        environ = served.app_environ(Path(name)) | {"DATABASE_URL": url}
        # With the default limit, the API would soon refuse the requests of the benchmark.
        environ["API_REQUESTS_PER_MINUTE"] = "1000000"
        email, path, token = _create_token(url, environ)
        with _serve(environ, Path(name)) as server:
            header = {"Authorization": f"Bearer {token}"}
            api = Client(server, header, f"/api/v1{path}")
            began = time.perf_counter()
            size = api.get()
            first = (time.perf_counter() - began) * 1000
            page = Client(server, {"Cookie": _cookie(server, email)}, path)
            sizes = {"API": size, "page": page.get()}
            clients = {"API": api, "page": page}
            for client in clients.values():
                milliseconds(client.get, WARM_UP)
            times: dict[str, list[float]] = {each: [] for each in clients}
            for _ in range(-(-rounds // BLOCK)):
                for each, client in clients.items():
                    client.get()
                    times[each] += milliseconds(client.get, BLOCK)
            print(f"First request to the API: {first:.1f} ms")
            for each, measured in times.items():
                p50, p95, p99 = percentiles(measured)
                print(
                    f"{each:5} p50 {p50:6.2f}  p95 {p95:6.2f}  p99 {p99:6.2f} ms  {sizes[each]} B"
                )
            rate = _throughput([Client(server, header, f"/api/v1{path}") for _ in range(CLIENTS)])
            print(f"{rate:.0f} lists per second with {CLIENTS} simultaneous clients")


def _create_token(url: str, environ: dict[str, str]) -> tuple[str, str, str]:
    """Create a personal token of a person, with the role viewer.

    Return the e-mail address of the person, the path of their Images page, and the token.
    """
    database = open_database(url)
    models.database.initialize(database)
    vault = Vault(read_settings(environ).credentials_keys)
    with models.database.connection_context():
        case = list_cases.fleet_cases()[0]
        path = case.url.partition("?")[0]
        scope = Scope.at("/".join(path.split("/")[2:-1]))
        assert scope is not None, path
        new = tokens.create(
            accounts.actor_for(Person.get(Person.email == case.email)),
            scope,
            vault,
            name=f"bench {time.time()}",
            role=Role.VIEWER,
            expires_at=models.now() + timedelta(days=1),
            is_personal=True,
        )
    close_all(database)
    return case.email, path, new.text


@contextmanager
def _serve(environ: dict[str, str], folder: Path) -> Iterator[Server]:
    with served.serve_app(environ, folder / "log", WORKERS) as server:
        yield server


def _cookie(server: Server, email: str) -> str:
    jar = sign_in(server.url, email).cookies
    return "; ".join(f"{each.name}={each.value}" for each in jar)


def _throughput(clients: list[Client]) -> float:
    """Return how many responses per second all clients together receive."""
    counts = [0] * len(clients)
    end = time.monotonic() + THROUGHPUT_SECONDS

    def run(index: int) -> None:
        while time.monotonic() < end:
            clients[index].get()
            counts[index] += 1

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(clients))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / THROUGHPUT_SECONDS


if __name__ == "__main__":
    main()
