"""Let the database or Redis fail while people use the application, and report what they saw.

    python -m bench.outages --database sqlite
    python -m bench.outages stopped hung --database postgresql

The application runs under gunicorn with two workers, with Redis. People list accounts, create and
rename accounts, and sign in, over HTTP. The application is never restarted.

For each fault and each kind of request, the report shows the statuses, the longest response during
the fault, and how long failures continued after the fault. For each fault, it also shows whether a
change was lost or half saved, and the lines in the log.

The benchmark needs root, because it mounts a small file system for the database. The fault `disk`
fills this file system. With the fault `read-only`, the kernel makes the file system read-only, as
after a disk error.
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import psycopg

from bench.faults import (
    EMAIL,
    PASSWORD,
    Totals,
    compare,
    csrf_token,
    request,
    run_flask,
    sign_in,
    stored_rows,
)
from bench.fleet_database import DURABLE
from tests.database.servers import PostgresqlServer, postgresql_server, redis_server
from tests.postgresql import free_port
from tests.served import ROOT, app_environ, serve_app

MEGABYTES = 600
"""The size of the file system with the database."""
BEFORE_SECONDS = 3.0
"""How long the people work before a fault."""
AFTER_SECONDS = 15.0
"""How long the people work after a fault."""
PAUSE_SECONDS = 0.2
"""The pause of each person between two requests."""
SUCCESS = {"list": 200, "create": 303, "rename": 303, "sign in": 303}
RENAMED = """
    SELECT name, revision, (SELECT COUNT(*) FROM audit_entry WHERE action = 'account.rename')
    FROM scope WHERE path = 'renamed'
"""


@dataclass
class Site:
    """The application and what it depends on."""

    address: str
    database_url: str
    disk: Path
    """The mount point of the file system with the database."""
    image: Path
    """The file that contains the file system."""
    server: PostgresqlServer | None
    redis: Redis
    log: Path


class Redis:
    """A Redis server that can be stopped and started again."""

    def __init__(self) -> None:
        self.port = free_port()
        self.start()

    def start(self) -> None:
        self._running = ExitStack()
        self._process = self._running.enter_context(redis_server(self.port))

    def stop(self) -> None:
        self._running.close()

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)


@dataclass
class Sample:
    """One request. The status is 0 if there was no response."""

    kind: str
    began: float
    seconds: float
    status: int
    heading: str


@dataclass
class Changes:
    """The changes that were sent, by their outcome."""

    acknowledged: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    """The names of new accounts for which the page said that nothing was saved."""
    name: str = ""
    """The new name in the last acknowledged request to rename the account at the path `renamed`."""
    possible_names: set[str] = field(default_factory=set)
    """The names in later requests, which failed. The database may have saved one of these names."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("faults", nargs="*", help=f"some of: {', '.join(FAULTS)}")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long each fault lasts")
    arguments = parser.parse_args()
    kinds = arguments.faults or [
        name for name in FAULTS if arguments.database == "postgresql" or name not in SERVER_FAULTS
    ]
    failed = False
    for kind in kinds:
        with _site(arguments.database) as site:
            failed |= _measure(kind, site, arguments.seconds)
    sys.exit(failed)


@contextmanager
def _site(database: str) -> Iterator[Site]:
    (ROOT / "build").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="outages-", dir=ROOT / "build"))
    folder.chmod(0o755)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        image, disk = folder / "disk.img", folder / "disk"
        stack.enter_context(_file_system(image, disk))
        server, url = None, f"sqlite:///{disk}/registry.db"
        if database == "postgresql":
            with _temporary_folder(disk):
                server = stack.enter_context(postgresql_server(DURABLE))
            url = server.url
        redis = Redis()
        stack.callback(redis.stop)
        log = folder / "log"
        environ = {
            **app_environ(folder / "data"),
            "DATABASE_URL": url,
            "REDIS_URL": f"redis://127.0.0.1:{redis.port}/0",
        }
        run_flask(environ, "migrate")
        run_flask(environ, "create-admin", EMAIL, "--password", PASSWORD)
        app = stack.enter_context(serve_app(environ, log, workers=2))
        address = app.url.removeprefix("http://")
        yield Site(address, url, disk, image, server, redis, log)


@contextmanager
def _file_system(image: Path, mount_point: Path) -> Iterator[None]:
    mount_point.mkdir()
    with image.open("wb") as file:
        file.truncate(MEGABYTES * 1024 * 1024)
    _execute("mkfs.ext4", "-q", "-m", "0", str(image))
    _execute("mount", "-o", "loop", str(image), str(mount_point))
    try:
        yield
    finally:
        _execute("umount", "-l", str(mount_point))


@contextmanager
def _temporary_folder(folder: Path) -> Iterator[None]:
    """Set TMPDIR to `folder` while the context is active.

    A server that is started in this context stores its data in `folder`.
    """
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(folder)
    try:
        yield
    finally:
        os.environ.pop("TMPDIR")
        if before is not None:
            os.environ["TMPDIR"] = before


def _execute(*command: str, statuses: tuple[int, ...] = (0,)) -> None:
    done = subprocess.run(command, check=False, capture_output=True)
    if done.returncode not in statuses:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.decode()}")


@contextmanager
def disk_full(site: Site) -> Iterator[None]:
    """Fill the file system with a file, and delete the file at the end."""
    ballast = site.disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1024 * 1024, 4096, 512):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))
    try:
        yield
    finally:
        ballast.unlink()


@contextmanager
def locked(site: Site) -> Iterator[None]:
    """Hold the lock that every writer needs, from this process."""
    if site.server is not None:
        with psycopg.connect(site.database_url) as other:
            other.execute("LOCK TABLE audit_entry IN EXCLUSIVE MODE")
            yield
        return
    connection = sqlite3.connect(_file(site), isolation_level=None, timeout=30)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.close()


@contextmanager
def read_only(site: Site) -> Iterator[None]:
    """Make the file system read-only. At the end, repair it and mount it again, as operators do."""
    # The configuration of a new server may not be on the disk yet.
    _execute("sync", "-f", str(site.disk))
    _execute("mount", "-o", "remount,abort", str(site.disk))
    try:
        yield
    finally:
        if site.server is not None:
            site.server.stop()
        _execute("umount", "-l", str(site.disk))
        # The application still has files open. So without a copy of the image, the kernel would
        # mount the same read-only file system again.
        _execute("cp", "--sparse=always", str(site.image), f"{site.image}.copy")
        _execute("mv", f"{site.image}.copy", str(site.image))
        _execute("e2fsck", "-fp", str(site.image), statuses=(0, 1))
        _execute("mount", "-o", "loop", str(site.image), str(site.disk))
        if site.server is not None:
            site.server.start()


@contextmanager
def stopped(site: Site) -> Iterator[None]:
    server = _server(site)
    server.stop()
    yield
    server.start()


@contextmanager
def hung(site: Site) -> Iterator[None]:
    server = _server(site)
    server.hang()
    yield
    server.continue_()


@contextmanager
def redis_stopped(site: Site) -> Iterator[None]:
    site.redis.stop()
    yield
    site.redis.start()


@contextmanager
def redis_hung(site: Site) -> Iterator[None]:
    site.redis.send(signal.SIGSTOP)
    yield
    site.redis.send(signal.SIGCONT)


FAULTS: dict[str, Callable[[Site], AbstractContextManager[None]]] = {
    "disk": disk_full,
    "locked": locked,
    "read-only": read_only,
    "stopped": stopped,
    "hung": hung,
    "redis-stopped": redis_stopped,
    "redis-hung": redis_hung,
}
SERVER_FAULTS = ("stopped", "hung")
"""The faults that only PostgreSQL can have."""


def _server(site: Site) -> PostgresqlServer:
    if site.server is None:
        raise SystemExit("SQLite has no server. Use --database postgresql.")
    return site.server


def _file(site: Site) -> str:
    return urlsplit(site.database_url).path.removeprefix("/")


def _measure(kind: str, site: Site, seconds: float) -> bool:
    """Report on one fault. Return whether something was lost, half saved or wrongly reported."""
    people = People(site.address)
    people.start()
    time.sleep(BEFORE_SECONDS)
    log_before = site.log.stat().st_size
    began = time.monotonic()
    with FAULTS[kind](site):
        time.sleep(seconds)
        ended = time.monotonic()
    over = time.monotonic()
    time.sleep(AFTER_SECONDS)
    people.stop()
    print(f"\n## {kind}, {urlsplit(site.database_url).scheme}: {over - began:.0f} s", flush=True)
    if over - ended > 1:
        print(f"(this includes {over - ended:.1f} s for the repair)")
    for name in SUCCESS:
        samples = [sample for sample in people.samples if sample.kind == name]
        _print_kind(name, samples, began, over)
    totals, wrongly_refused = _verify(site, people.changes)
    print(f"changes: {totals}; {wrongly_refused} saved although the page said “nothing was saved”")
    with site.log.open() as log:
        log.seek(log_before)
        _print_log(log.read())
    return bool(totals.lost or totals.half_done or wrongly_refused)


class People:
    """The people who use the application, each in a thread."""

    def __init__(self, address: str) -> None:
        self.samples: list[Sample] = []
        self.changes = Changes()
        self._address = address
        self._cookie, self._token = sign_in(address)
        self._stopping = threading.Event()
        self._numbers = iter(range(1_000_000))
        self._post("/scalr/accounts", name="renamed")
        work = [self._list] * 4 + [self._create] * 4 + [self._rename, self._sign_in]
        self._threads = [
            threading.Thread(target=self._repeat, args=(each,), daemon=True) for each in work
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, work: Callable[[], None]) -> None:
        while not self._stopping.wait(PAUSE_SECONDS):
            work()

    def _list(self) -> None:
        self._timed("list", lambda: self._send("GET", "/scalr/accounts"))

    def _create(self) -> None:
        name = f"account{next(self._numbers)}"
        status, page = self._timed("create", lambda: self._post("/scalr/accounts", name=name))
        if status == 303:
            self.changes.acknowledged.add(name)
        elif "Nothing was saved" in page:
            self.changes.refused.add(name)

    def _rename(self) -> None:
        path, name = "/scalr/accounts/renamed/rename", f"renamed {time.monotonic_ns()}"
        found: list[str] = []

        def rename() -> tuple[int, str]:
            status, page = self._send("GET", path)
            if status != 200:
                return status, page
            found.extend(re.findall(r'name="revision"[^>]*value="(\d+)"', page))
            self.changes.possible_names.add(name)
            return self._post(path, name=name, revision=found[0])

        status, _ = self._timed("rename", rename)
        if status == 303:
            self.changes.name, self.changes.possible_names = name, set()

    def _sign_in(self) -> None:
        def enter() -> tuple[int, str]:
            cookie, page = request(self._address, "GET", "/sign-in", "")
            if "csrf_token" not in page:
                return 503, page
            form = {"email": EMAIL, "password": PASSWORD, "csrf_token": csrf_token(page)}
            return self._send("POST", "/sign-in", urlencode(form), cookie)

        self._timed("sign in", enter)

    def _timed(self, kind: str, send: Callable[[], tuple[int, str]]) -> tuple[int, str]:
        began = time.monotonic()
        try:
            status, page = send()
        except (OSError, http.client.HTTPException) as error:
            status, page = 0, f"<h1>{type(error).__name__}</h1>"
        heading = re.search(r"<h1[^>]*>\s*(.*?)\s*</h1>", page, re.DOTALL)
        text = "" if status == SUCCESS[kind] or heading is None else heading[1]
        self.samples.append(Sample(kind, began, time.monotonic() - began, status, text))
        return status, page

    def _post(self, path: str, **values: str) -> tuple[int, str]:
        return self._send("POST", path, urlencode({**values, "csrf_token": self._token}))

    def _send(
        self, method: str, path: str, body: str | None = None, cookie: str = ""
    ) -> tuple[int, str]:
        connection = http.client.HTTPConnection(self._address, timeout=60)
        headers = {
            "Cookie": cookie or self._cookie,
            "Content-Type": "application/x-www-form-urlencoded",
            "Origin": f"http://{self._address}",
        }
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            page = response.read().decode()
            if "/sign-in" in response.getheader("Location", ""):
                return 401, page  # The session has ended.
            return response.status, page
        finally:
            connection.close()


def _print_kind(name: str, samples: list[Sample], began: float, over: float) -> None:
    during = [each for each in samples if each.began + each.seconds > began and each.began < over]
    failed = [each for each in samples if each.status != SUCCESS[name]]
    statuses = Counter(sample.status for sample in during)
    headings = {sample.heading for sample in failed if sample.heading}
    recovered = max((each.began + each.seconds for each in failed), default=over)
    longest = max((sample.seconds for sample in during), default=0.0)
    later = [each for each in samples if each.began >= over]
    after = max((sample.seconds for sample in later), default=0.0)
    has_recovered = any(each.status == SUCCESS[name] for each in later[-3:])
    print(
        f"{name:8} {dict(sorted(statuses.items()))}, longest {longest:.2f} s (afterwards"
        f" {after:.2f} s), last failure {max(0.0, recovered - over):.1f} s after the fault"
        f"{'' if has_recovered else ', NOT RECOVERED'}{f', {sorted(headings)}' if headings else ''}"
    )


def _verify(site: Site, changes: Changes) -> tuple[Totals, int]:
    """Compare the database with the responses that the people got.

    Return the totals, and the number of changes that were saved although the page said that nothing
    was saved.
    """
    totals = Totals(len(changes.acknowledged), len(changes.refused))
    stored = stored_rows(site.database_url)
    rows = [row for row in stored if not any(str(name).startswith("renamed") for name in row)]
    compare(rows, changes.acknowledged, totals)
    wrongly_refused = len(changes.refused & {name for name, _ in rows if name is not None})
    if site.server is None:
        with sqlite3.connect(_file(site)) as connection:
            name, revision, entries = connection.execute(RENAMED).fetchone()
    else:
        with psycopg.connect(site.database_url) as connection:
            name, revision, entries = connection.execute(RENAMED).fetchone() or ("", 0, 0)
    if name not in {changes.name, *changes.possible_names}:
        totals.lost.add(changes.name)
    if revision != entries + 1:
        totals.half_done.add(f"{revision} revisions, {entries} entries")
    return totals, wrongly_refused


def _print_log(text: str) -> None:
    """Print how often each message was logged. All numbers and request IDs count as equal."""
    lines = [line for line in text.splitlines() if re.match(r"\d{4}-\d\d-\d\d |\[\d{4}", line)]
    messages = Counter(re.sub(r"\d+", "N", re.sub(r"\[[^]]*\]", "[]", line[24:])) for line in lines)
    print(f"log: {len(lines)} lines, {text.count('Traceback (most recent')} tracebacks")
    for message, count in messages.most_common(20):
        print(f"  {count} × {message[:150]}")
    for error in re.findall(r"^[\w.]+(?:Error|Exception|Unknown|Failure)\b.*$", text, re.MULTILINE):
        print(f"  traceback: {error[:150]}")


if __name__ == "__main__":
    main()
