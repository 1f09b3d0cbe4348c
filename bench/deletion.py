"""Measure the deletion of a large account: how long it takes, and how long other writers wait.

    python -m bench.deletion [--images 100000] [--database postgresql] [--against FOLDER]

An admin deletes an account with many images. Meanwhile, a person of another account saves settings
in four sessions and opens lists in a fifth session. The application runs under gunicorn with two
workers.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from bench.demonstration import (
    VICTIM,
    VICTIM_PATH,
    add_tenants,
    demonstration,
    measure_checkouts,
)
from bench.descriptions import add_images
from bench.measure import percentiles, sign_in
from bench.second_tenant import SecondTenant
from tests import served

WRITERS = 4
PAUSE_SECONDS = 0.05
_INPUT = re.compile(r"<input\b[^>]*>")
_ATTRIBUTE = re.compile(r'\b(name|value)="([^"]*)"')


def main() -> None:
    measure_checkouts(__doc__, "--images", 100_000, _measure)


def _measure(checkout: Path, database: str, images: int) -> None:
    with demonstration(checkout, database) as (folder, environ):
        _, [tenant] = add_tenants(checkout, environ, "http://127.0.0.1:1")
        add_images(checkout, environ, tenant.path, count=images)
        with served.serve_app(environ, folder / "log", 2, checkout) as server:
            SecondTenant(server).warm_up()
            admin = sign_in(server.url, "scalr@example.com")
            with _other_sessions(server.url):
                time.sleep(5)
            print("  while the account is deleted:", flush=True)
            with _other_sessions(server.url):
                time.sleep(1)
                _delete(admin, server.url, tenant.path)
                time.sleep(1)


def _delete(admin: requests.Session, url: str, account: str) -> None:
    """Delete an account, and print how long the request and its job took."""
    target = f"{url}/scalr/accounts/{account}/delete"
    fields = _fields(admin.get(target, timeout=120).text) | {"name": account}
    began = time.perf_counter()
    response = admin.post(target, data=fields, timeout=600)
    print(f"  status {response.status_code} after {time.perf_counter() - began:.1f} s", flush=True)
    shown: list[str] = []
    while 'hx-trigger="every 1s"' in response.text:
        text = " ".join(re.sub(r"<[^>]*>", " ", response.text).split())
        shown += re.findall(r"[\d,]+ records? deleted", text)[:1]
        time.sleep(1)
        response = admin.get(response.url, timeout=600)
    took = time.perf_counter() - began
    print(f"  deleted after {took:.1f} s; the page of the job showed {shown[:3]}", flush=True)


def _fields(page: str) -> dict[str, str]:
    """Return the names and values of all inputs of a page."""
    inputs = (dict(_ATTRIBUTE.findall(tag)) for tag in _INPUT.findall(page))
    return {each["name"]: each.get("value", "") for each in inputs if "name" in each}


@contextmanager
def _other_sessions(url: str) -> Iterator[None]:
    """Save settings and open lists while the context is active. Print the request times."""
    ended, statuses = threading.Event(), Counter[str]()
    tokens: dict[requests.Session, str] = {}
    times: dict[str, list[float]] = {"writers": [], "lists": []}

    def act(name: str, request: Callable[[requests.Session], requests.Response]) -> None:
        session = sign_in(url, VICTIM)
        tokens[session] = _fields(read(session).text)["csrf_token"]
        while not ended.wait(PAUSE_SECONDS):
            began = time.perf_counter()
            try:
                statuses[f"{name} {request(session).status_code}"] += 1
            except requests.RequestException as error:
                statuses[f"{name} {type(error).__name__}"] += 1
            times[name].append((time.perf_counter() - began) * 1000)

    def write(session: requests.Session) -> requests.Response:
        fields = {"theme": "dark", "csrf_token": tokens[session]}
        return session.post(f"{url}/theme", fields, timeout=120, allow_redirects=False)

    def read(session: requests.Session) -> requests.Response:
        return session.get(f"{url}{VICTIM_PATH}/images", timeout=120)

    threads = [threading.Thread(target=act, args=("writers", write)) for _ in range(WRITERS)]
    threads.append(threading.Thread(target=act, args=("lists", read)))
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()
        for name, each in times.items():
            p50, p95, _ = percentiles(each)
            print(f"    {name:8} p50 {p50:6.0f}   p95 {p95:6.0f}   longest {max(each):6.0f} ms")
        print(f"    {dict(statuses)}", flush=True)


if __name__ == "__main__":
    main()
