"""Measure how much the expensive or slow requests of one person slow down another account.

    python -m bench.hostile_requests [--attack exports] [--database postgresql] [--keep FOLDER]

The database contains a fleet of a million generated images (see `bench.fleet`). One person of the
largest account sends expensive or slow requests. Meanwhile, a person of a small account opens lists
and signs in. The application runs under gunicorn with two workers, without a reverse proxy.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import requests

from bench import attackers, fleet
from bench.attackers import Client, Statuses
from bench.fleet_database import KINDS, open_fleet
from bench.measure import sign_in
from bench.second_tenant import SecondTenant
from tests import served
from webapp.transfer.import_formats import MAX_LINES

WORKERS = 2
RISE_SECONDS = 3.0
"""How long an attack lasts before the first measurement."""
LARGE_PATH = f"/environment/{fleet.PATH_SEEING_MUCH}"
SLOW_SECONDS = 1.0
"""How long a slow client waits between two bytes."""
WORDS = ("image", "ubuntu", "debian", "server", "golden", "web", "2024", "prod", "base", "ami")


def _sign_in(url: str, email: str, password: str) -> Client:
    """Return a client that signs in again and again.

    If `email` is empty, the client enters another e-mail address each time.
    """

    def attack(ended: threading.Event, statuses: Statuses) -> None:
        while not ended.is_set():
            session = requests.Session()
            page = session.get(f"{url}/sign-in", timeout=60).text
            name = email or f"{random.random()}@example.com"  # noqa: S311  not a secret
            fields = {"csrf_token": _token(page), "email": name, "password": password}
            response = session.post(f"{url}/sign-in", fields, timeout=60, allow_redirects=False)
            statuses[str(response.status_code)] += 1

    return attack


def _slow(url: str, head: str) -> Client:
    """Return a client that sends `head`, and then one byte a second without end."""
    address = urlsplit(url)

    def attack(ended: threading.Event, statuses: Statuses) -> None:
        while not ended.is_set():
            try:
                with socket.create_connection((address.hostname, address.port), 60) as connection:
                    connection.sendall(head.encode())
                    while not ended.wait(SLOW_SECONDS):
                        connection.sendall(b"x")
            except OSError as error:
                statuses[type(error).__name__] += 1
                ended.wait(SLOW_SECONDS)

    return attack


def _slow_reader(url: str, cookie: str, path: str) -> Client:
    """Return a client that requests a path, and reads the response at up to 64 bytes a second."""
    address = urlsplit(url)
    request = f"GET {path} HTTP/1.1\r\nHost: {address.netloc}\r\nCookie: {cookie}\r\n\r\n"

    def attack(ended: threading.Event, statuses: Statuses) -> None:
        while not ended.is_set():
            try:
                with socket.socket() as connection:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                    connection.settimeout(60)
                    connection.connect((address.hostname, address.port))
                    connection.sendall(request.encode())
                    statuses[connection.recv(64).decode().partition("\r\n")[0]] += 1
                    while connection.recv(64) and not ended.wait(SLOW_SECONDS):
                        pass
            except OSError as error:
                statuses[type(error).__name__] += 1
            ended.wait(SLOW_SECONDS)

    return attack


def _imports(url: str, session: requests.Session, fields: dict[str, str]) -> Client:
    """Return a client that imports the same file again and again."""
    target = f"{url}{LARGE_PATH}/images/import"

    def attack(ended: threading.Event, statuses: Statuses) -> None:
        own = requests.Session()
        own.cookies = session.cookies
        token = _token(own.get(target, timeout=60).text)
        while not ended.is_set():
            response = own.post(
                target, {**fields, "csrf_token": token}, timeout=120, allow_redirects=False
            )
            statuses[str(response.status_code)] += 1

    return attack


def _random_pages(url: str, session: requests.Session, paths: list[str]) -> Client:
    """Return a client that requests paths without pauses, in a random order."""

    def attack(ended: threading.Event, statuses: Statuses) -> None:
        own = requests.Session()
        own.cookies = session.cookies
        while not ended.is_set():
            path = random.choice(paths)  # noqa: S311  not a secret
            response = own.get(f"{url}{LARGE_PATH}/{path}", timeout=120)
            statuses[str(response.status_code)] += 1

    return attack


def _searches() -> list[str]:
    """Return the paths of expensive searches, for example with many words and a sort order."""
    texts = [
        " ".join(f"-{word}{number}" for number, word in enumerate(WORDS * 2)),
        " ".join(WORDS),
        " ".join(f"-{word}" for word in WORDS),
        " ".join(f"by:{word}" for word in WORDS * 2),
        " ".join(f"-id:{number:03x}" for number in range(20)),
        " ".join(f"os:{word}" for word in WORDS * 2),
        "created:<2030-01-01 size:>0 -by:me -zzzzzz",
        "id:000 -id:fff image",
    ]
    sorts = ("", "name", "-name", "size", "owner")
    return [
        f"{page}?{urlencode({'q': text[:500], 'sort': sort})}"
        for page in ("images", "images/count", "images/filters")
        for text in texts
        for sort in (sorts if page == "images" else ("",))
    ]


def _token(page: str) -> str:
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
    return found[1] if found else ""


def _attack(name: str, url: str) -> Client:
    """Return the client of an attack."""
    session = sign_in(url, fleet.EMAIL_SEEING_MUCH)
    cookie = "; ".join(f"{each.name}={each.value}" for each in session.cookies)
    host = f"Host: {urlsplit(url).netloc}\r\nCookie: {cookie}\r\n"
    lines = "cloud,location,cloud_image_id,name\n"
    lines += "".join(f"aws,us-east-1,ami-{n:017x},n\n" for n in range(MAX_LINES))
    large, nested = "{" * 9_000_000, "[" * 9_000_000
    attacks: dict[str, Callable[[], Client]] = {
        "none": lambda: _random_pages(url, session, []),
        "sign-in-refused": lambda: _sign_in(url, "", "wrong password"),
        "sign-in": lambda: _sign_in(url, fleet.EMAIL_SEEING_MUCH, "demonstration"),
        "slow-head": lambda: _slow(url, "GET /sign-in HTTP/1.1\r\nHost: a\r\nX-Slow: "),
        "slow-body": lambda: _slow(
            url,
            f"POST {LARGE_PATH}/images/import HTTP/1.1\r\n{host}Content-Length: 1000000\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\n\r\ntext=",
        ),
        "slow-reader": lambda: _slow_reader(url, cookie, f"{LARGE_PATH}/images/export.csv"),
        "exports": lambda: _random_pages(url, session, ["images/export.csv", "images/export.json"]),
        "large-imports": lambda: _imports(url, session, {"text": lines, "how": "unverified"}),
        "large-refused": lambda: _imports(url, session, {"text": large, "how": "unverified"}),
        "nested": lambda: _imports(url, session, {"text": nested, "how": "unverified"}),
        "lists": lambda: _random_pages(url, session, ["images", "overview", "images/filters"]),
        "searches": lambda: _random_pages(url, session, _searches()),
    }
    return attacks[name]()


ATTACKS = {
    "none": 0,
    "sign-in-refused": 8,
    "sign-in": 8,
    "slow-head": 200,
    "slow-body": 64,
    "slow-reader": 64,
    "exports": 8,
    "large-imports": 4,
    "large-refused": 4,
    "nested": 4,
    "lists": 8,
    "searches": 8,
}
"""The number of clients of each attack."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attack", choices=ATTACKS, action="append", help="default: all")
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--clients", type=int, help="the number of clients of each attack")
    parser.add_argument("--database", choices=KINDS, default="sqlite")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the fleet for later runs")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = arguments.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        keep = arguments.keep is not None
        url = stack.enter_context(
            open_fleet(arguments.database, folder, arguments.images, keep=keep)
        )
        print(f"{arguments.database}, load {os.getloadavg()[0]:.1f}:", flush=True)
        for name in arguments.attack or ATTACKS:
            default = ATTACKS[name]
            _measure(url, name, (arguments.clients or default) if default else 0)


def _measure(database_url: str, name: str, clients: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        environ = served.app_environ(Path(folder)) | {"DATABASE_URL": database_url}
        with served.serve_app(environ, Path(folder) / "log", WORKERS) as server:
            victim = SecondTenant(
                server,
                email=fleet.EMAIL_SEEING_LITTLE,
                path=f"/account/{fleet.PATH_SEEING_LITTLE}",
            )
            victim.warm_up()
            with attackers.clients(_attack(name, server.url), clients) as end:
                time.sleep(RISE_SECONDS)
                victim.measure(f"{name}, {clients} clients")
                print(f"    responses to the attackers: {dict(end())}", flush=True)


if __name__ == "__main__":
    main()
