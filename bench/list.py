"""Measure how long the Images page takes, compared with a lower bound and with another checkout.

    python -m bench.list [--images 100000] [--database sqlite|postgresql] [--rounds 200] [--json]
                         [--keep FOLDER] [--against FOLDER] [--setting NAME=VALUE] [--only PATTERN]

There are two or three contenders: this application, the lower bound (`bench.lower_bound`) and, with
`--against`, the application of another checkout, which must have the same schema. With `--setting`
and `--against .`, the third contender is this application without the settings. Each contender runs
under gunicorn with two workers. All contenders read the same database, which contains a fleet of
generated images (see `bench.fleet`).

First, the benchmark checks that all contenders list the same images in the same order. Then, one
client requests each page from the contenders in turn, so that other load on the machine affects all
of them equally. For a case "deep page", the benchmark follows Next up to 40 times, and then
repeatedly requests the page that it has reached. After such a case, a case "cold" continues from
this page: it follows Next from page to page, and requests each page only once. Finally, eight
clients request the page of the first case at the same time.

`--only` measures only the cases whose name contains a match of a regular expression. `--keep` keeps
the database for the next run. A PostgreSQL database stays on the server that TEST_DATABASE_URL
names.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import models
from bench import list_cases, lower_bound
from bench.fleet_database import KINDS, open_fleet, server_url
from bench.list_cases import Case
from bench.measure import (
    PASSWORD,
    milliseconds,
    next_url,
    parse_setting,
    percentiles,
    resident_mb,
    sign_in,
)
from tests import served
from tests.postgresql import free_port
from tests.served import Server
from webapp.database import close_all, open_database

WORKERS = 2
WARM_UP = 5
"""The number of connections that request every page once before the measurement. The server
distributes the connections over its workers."""
BLOCK = 4
"""How many requests to one contender are measured before the turn of the next contender."""
IDLE_SECONDS = 1.0
"""After this time without a request, `Client` opens a new connection.

Otherwise, the server could close the old connection while the client sends a request.
"""
COLD = ", cold"
"""The end of the name of a case that requests each page only once."""
CLIENTS = 8
THROUGHPUT_SECONDS = 5.0
_LISTED = re.compile(rb'href="[^"]*/images/(\d+)"')


class Client:
    """A client with one connection that stays open. With a cookie, the client is signed in."""

    def __init__(self, url: str, cookie: str = "") -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._connection = HTTPConnection(parts.hostname, parts.port, timeout=120)
        self._headers = {"Cookie": cookie} if cookie else {}
        self._last_request = 0.0

    def get(self, url: str, encoding: str = "gzip") -> bytes:
        """Return the body of the response as it was sent, which may be compressed."""
        headers = {**self._headers, "Accept-Encoding": encoding}
        if time.monotonic() - self._last_request > IDLE_SECONDS:
            self._connection.close()  # The next request opens it again.
        self._connection.request("GET", url, headers=headers)
        response = self._connection.getresponse()
        body = response.read()
        self._last_request = time.monotonic()
        assert response.status == 200, (url, response.status, body[:500])
        return body


@dataclass(frozen=True)
class Application:
    """The running application of one checkout. `cookies` are session cookies by e-mail address."""

    server: Server
    checkout: Path
    cookies: dict[str, str]

    def client(self, case: Case) -> Client:
        return Client(self.server.url, self.cookies[case.email])


def main() -> None:
    arguments = _arguments()
    with ExitStack() as stack:
        folder = arguments.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        keep = arguments.keep is not None
        fleet = open_fleet(arguments.database, folder, arguments.images, keep=keep)
        url = stack.enter_context(fleet)
        checkouts = [(served.ROOT, dict(arguments.setting))]
        if arguments.against:
            checkouts.append((arguments.against.resolve(), {}))
        result = _measure(url, checkouts, arguments.rounds, arguments.only, quiet=arguments.json)
    if arguments.json:
        print(json.dumps(result))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--database", choices=KINDS, default="sqlite")
    parser.add_argument("--rounds", type=int, default=200, help="requests of each case, at least 2")
    parser.add_argument("--json", action="store_true", help="print only JSON")
    parser.add_argument(
        "--only",
        type=re.compile,
        default=re.compile(""),
        metavar="PATTERN",
        help="measure only the cases whose name contains a match of this regular expression",
    )
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the fleet for later runs")
    parser.add_argument(
        "--against", type=Path, metavar="FOLDER", help="another checkout to compare with"
    )
    parser.add_argument(
        "--setting",
        type=parse_setting,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of this application, but not of the other checkout",
    )
    arguments: argparse.Namespace = parser.parse_args()
    if arguments.rounds < 2:
        parser.error("--rounds must be at least 2.")
    if arguments.images < 1_000:
        parser.error("A fleet has at least 1000 images.")
    if arguments.keep and arguments.database == "postgresql" and not server_url():
        parser.error("To keep a PostgreSQL database, set TEST_DATABASE_URL to the server’s URL.")
    return arguments


def _measure(
    url: str,
    checkouts: Sequence[tuple[Path, dict[str, str]]],
    rounds: int,
    only: re.Pattern[str],
    *,
    quiet: bool,
) -> dict[str, object]:
    """Measure the application of each checkout with its settings."""
    database = open_database(url)
    models.database.initialize(database)
    with models.database.connection_context():
        cases = [case for case in list_cases.fleet_cases() if only.search(case.name)]
    close_all(database)
    if not cases:
        sys.exit("No case has a name that contains a match of --only.")
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        environ = served.app_environ(folder) | {"DATABASE_URL": url}
        bound = stack.enter_context(_serve_lower_bound(folder, url, cases))
        apps = [
            stack.enter_context(
                _serve(checkout, environ | settings, folder / f"{index}.log", cases)
            )
            for index, (checkout, settings) in enumerate(checkouts)
        ]
        urls = [_resolve(case, apps[0].client(case)) for case in cases]
        for _ in range(WARM_UP):
            _check_contenders(cases, urls, apps, bound)
        statements = [_count_statements(app.checkout, environ, cases, urls) for app in apps]
        width = max(len(case.name) for case in cases) + len(COLD)
        table = _Table(width, compared=len(apps) > 1, quiet=quiet)
        for index, (case, case_url) in enumerate(zip(cases, urls, strict=True)):
            counts = [each[index] for each in statements]
            table.add(_measure_case(case, case_url, apps, bound, rounds), counts)
            # From a second page, Next would lead to deep pages, which other cases request too.
            if case.hops > 1 and (cold := _measure_cold_page(case, case_url, apps, rounds)):
                table.add(cold, counts)
        throughput = [_throughput(app, cases[0], urls[0]) for app in apps]
        # SQLite maps much of its file into memory. The mapped memory does not count, because it
        # belongs to the kernel's page cache.
        file = Path(url.removeprefix("sqlite:///"))
        memory = [resident_mb(app.server.pid, file) for app in apps]
    if not quiet:
        rates, sizes = (" / ".join(f"{each:.0f}" for each in row) for row in (throughput, memory))
        print(
            f"\n{rates} pages of “{cases[0].name}” per second with {CLIENTS} simultaneous clients"
        )
        print(f"{sizes} MB of memory in {WORKERS} workers")
    return {"cases": table.rows, "requests_per_s": throughput, "rss_mb": memory}


@contextmanager
def _serve_lower_bound(folder: Path, url: str, cases: Sequence[Case]) -> Iterator[Server]:
    """Serve the lower bound with the same gunicorn, without the application's configuration."""
    file = folder / "lower_bound.json"
    lower_bound.write(file, url, {f"/{case.name}": case.lower_bound for case in cases})
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "gunicorn", "bench.lower_bound:app()"]
    command += ["--config", "python:bench.lower_bound"]
    command += ["--bind", address, "--workers", str(WORKERS)]
    command += ["--worker-class", "gthread", "--threads", "16", "--no-control-socket"]
    environ = {**os.environ, lower_bound.FILE: str(file)}
    log = folder / "lower_bound.log"
    with served.serve(command, environ, log, f"http://{address}/") as server:
        yield server


@contextmanager
def _serve(
    checkout: Path, environ: dict[str, str], log: Path, cases: Sequence[Case]
) -> Iterator[Application]:
    with served.serve_app(environ, log, WORKERS, checkout) as server:
        emails = {case.email for case in cases}
        yield Application(server, checkout, {each: _cookie(server.url, each) for each in emails})


def _cookie(url: str, email: str) -> str:
    jar = sign_in(url, email).cookies
    return "; ".join(f"{each.name}={each.value}" for each in jar)


def _resolve(case: Case, client: Client) -> str:
    """Return the URL of a case's page, after following Next `case.hops` times."""
    url = case.url
    for _ in range(case.hops):
        url = next_url(gzip.decompress(client.get(url)).decode())
        assert url, case.name
    return url


def _check_contenders(
    cases: Sequence[Case], urls: Sequence[str], apps: Sequence[Application], bound: Server
) -> None:
    """Check that all contenders list the same images in the same order, and warm them up."""
    bound_client = Client(bound.url)
    clients = [{case.email: app.client(case) for case in cases} for app in apps]
    for case, url in zip(cases, urls, strict=True):
        expected = _LISTED.findall(bound_client.get(case.lower_bound_url))
        for by_email in clients:
            listed = _LISTED.findall(by_email[case.email].get(url, "identity"))
            assert listed == expected, (case.name, listed, expected)


def _count_statements(
    checkout: Path, environ: dict[str, str], cases: Sequence[Case], urls: Sequence[str]
) -> list[int]:
    """Return for each page how many database statements a request for this page executes."""
    requests = [(case.email, url) for case, url in zip(cases, urls, strict=True)]
    response = subprocess.run(
        [served.python_of(checkout), "-P", str(Path(__file__).with_name("statements.py"))],
        input=json.dumps({"requests": requests, "password": PASSWORD}),
        env={**environ, "PYTHONPATH": str(checkout)},
        cwd=checkout,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    counts: list[int] = json.loads(response.stdout)
    return counts


@dataclass(frozen=True)
class Measurement:
    """The times of one case in milliseconds.

    `times` has a list for each application, and `bound` the times of the lower bound. `size` is the
    size of the page in bytes.
    """

    name: str
    times: list[list[float]]
    bound: list[float]
    size: int


def _measure_case(
    case: Case, url: str, apps: Sequence[Application], bound: Server, rounds: int
) -> Measurement:
    clients, bound_client = [app.client(case) for app in apps], Client(bound.url)
    size = len(clients[0].get(url, "identity"))
    times: list[list[float]] = [[] for _ in apps]
    bounds: list[float] = []
    for _ in range(-(-rounds // BLOCK)):
        for client, measured in zip(clients, times, strict=True):
            measured.extend(_measure_block(client, url))
        bounds += _measure_block(bound_client, case.lower_bound_url)
    return Measurement(case.name, times, bounds, size)


def _measure_block(client: Client, url: str) -> list[float]:
    # This request is not measured: other contenders have just filled the processor's caches.
    client.get(url)
    return milliseconds(lambda: client.get(url), BLOCK)


def _measure_cold_page(
    case: Case, url: str, apps: Sequence[Application], rounds: int
) -> Measurement | None:
    """Request each page after `url` once, by following Next, and return the times.

    Each application follows the links on its own pages. If no page follows, return None.
    """
    clients, urls = [app.client(case) for app in apps], [url for _ in apps]
    times: list[list[float]] = [[] for _ in apps]
    size = 0
    for _ in range(rounds):
        bodies = []
        for client, page, measured in zip(clients, urls, times, strict=True):
            began = time.perf_counter()
            bodies.append(client.get(page))
            measured.append((time.perf_counter() - began) * 1000)
        size = len(gzip.decompress(bodies[0]))
        urls = [next_url(gzip.decompress(body).decode()) for body in bodies]
        if not all(urls):
            break
    if len(times[0]) < 2:
        return None
    # The page at `url` has been requested before, so its time does not count.
    return Measurement(case.name + COLD, [each[1:] for each in times], [], size)


class _Table:
    """The table of results. It prints each row immediately, unless `quiet` is set."""

    def __init__(self, width: int, *, compared: bool, quiet: bool) -> None:
        self.rows: list[dict[str, object]] = []
        self._quiet, self._compared, self._width = quiet, compared, width
        headings = ["p50", "p95"]
        if compared:
            headings += ["p50 other", "p95 other", "p50 ratio"]
        headings += ["bound", "to bound", "statements", "HTML kB"]
        if not quiet:
            print(f"{'milliseconds':{width}}" + "".join(f"{heading:>11}" for heading in headings))

    def add(self, measured: Measurement, statements: Sequence[int]) -> None:
        (p50, p95, p99), *others = (percentiles(times) for times in measured.times)
        row: dict[str, object] = {"name": measured.name, "p50_ms": p50, "p95_ms": p95}
        row |= {"p99_ms": p99, "statements": statements[0], "html_bytes": measured.size}
        cells = [f"{p50:.2f}", f"{p95:.2f}"]
        for other in others:
            row |= {"other_p50_ms": other[0], "other_p95_ms": other[1]}
            row |= {"ratio": p50 / other[0], "other_statements": statements[1]}
            cells += [f"{other[0]:.2f}", f"{other[1]:.2f}", f"{p50 / other[0]:.2f}"]
        if measured.bound:
            bound, _, _ = percentiles(measured.bound)
            row |= {"bound_p50_ms": bound, "ratio_to_bound": p50 / bound}
            cells += [f"{bound:.2f}", f"{p50 / bound:.2f}"]
        else:
            cells += ["", ""]
        cells += [" / ".join(map(str, statements)), f"{measured.size / 1000:.0f}"]
        self.rows.append(row)
        if not self._quiet:
            print(
                f"{measured.name:{self._width}}" + "".join(f"{cell:>11}" for cell in cells),
                flush=True,
            )


def _throughput(app: Application, case: Case, url: str) -> float:
    """Return how many pages per second `CLIENTS` clients receive in total."""
    deadline = time.monotonic() + THROUGHPUT_SECONDS
    counts = [0] * CLIENTS

    def request(index: int) -> None:
        client = app.client(case)
        while time.monotonic() < deadline:
            client.get(url)
            counts[index] += 1

    threads = [threading.Thread(target=request, args=(index,)) for index in range(CLIENTS)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return round(sum(counts) / (time.monotonic() - began), 1)


if __name__ == "__main__":
    main()
