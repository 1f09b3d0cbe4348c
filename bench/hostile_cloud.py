"""Measure what one tenant's hostile endpoint costs a second tenant.

    python -m bench.hostile_cloud [--attack trickling] [--against FOLDER]

One person looks up images at an endpoint that never ends its answers. Meanwhile, a person of
another account opens lists, looks up an image at a healthy cloud and signs in. The application runs
under gunicorn with two workers.

- `trickling`: 160 look-ups, 32 at once, of answers that arrive byte by byte
- `hanging`: 32 look-ups of answers that never begin
- `endless`: 2 look-ups of answers that never end
"""

from __future__ import annotations

import argparse
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

import requests

from bench.demonstration import REGION, add_credentials, demonstration, print_times
from bench.measure import resident_mb, sign_in
from sandbox import faulty
from sandbox.aws import NOBLE
from tests import served

ATTACKS: dict[str, tuple[faulty.Behavior, int, int]] = {
    "none": (faulty.answering(500), 0, 1),
    "trickling": (faulty.trickling, 160, 32),
    "hanging": (faulty.slow(600, faulty.answering(500)), 32, 32),
    "endless": (faulty.endless, 2, 2),
}
"""The behavior of the endpoint, the number of look-ups, and how many of them run at once."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, help="also measure another checkout")
    parser.add_argument("--attack", choices=ATTACKS, action="append", help="default: all")
    arguments = parser.parse_args()
    for checkout in filter(None, (arguments.against, served.ROOT)):
        print(f"{checkout.name}:")
        for attack in arguments.attack or ATTACKS:
            _measure(checkout, attack)


def _measure(checkout: Path, attack: str) -> None:
    behavior, count, at_once = ATTACKS[attack]
    with faulty.serve(behavior) as endpoint, demonstration(checkout) as (folder, environ):
        hostile_id, healthy_id = add_credentials(checkout, environ, endpoint)
        with served.serve_app(environ, folder / "log", 2, checkout) as server:
            attacker = sign_in(server.url, "account@example.com")
            victim = sign_in(server.url, "globex@example.com")
            list_url = f"{server.url}/account/globex/images"
            look_up_url = _look_up_url(server.url, "globex", healthy_id)
            for _ in range(6):  # Warms up both workers.
                victim.get(look_up_url, timeout=60)
            hostile_url = _look_up_url(server.url, "acme", hostile_id)
            report = _attack(server.pid, attacker, hostile_url, count, at_once)
            print_times("list", lambda: victim.get(list_url, timeout=60))
            print_times("look-up", lambda: victim.get(look_up_url, timeout=60))
            print_times("sign-in", lambda: sign_in(server.url, "globex@example.com"), 10)
            print(f"  {attack}: {report()}", flush=True)


def _look_up_url(url: str, account: str, credentials: int) -> str:
    query = {"credentials": credentials, "location": REGION, "image_id": NOBLE.id_in(REGION)}
    return f"{url}/account/{account}/images/new/aws/confirm?{urlencode(query)}"


def _attack(
    pid: int, attacker: requests.Session, url: str, count: int, at_once: int
) -> Callable[[], str]:
    """Start the look-ups. Return a function that waits for their end and describes it."""
    statuses: Counter[object] = Counter()
    ended = threading.Event()
    most = [resident_mb(pid)]

    def look_up(_: int) -> None:
        try:
            answer = requests.get(url, cookies=attacker.cookies, timeout=120)
            statuses[answer.status_code] += 1
        except requests.RequestException as error:
            statuses[type(error).__name__] += 1

    def watch() -> None:
        while not ended.wait(0.2):
            most.append(resident_mb(pid))

    threading.Thread(target=watch, daemon=True).start()
    pool = ThreadPoolExecutor(at_once)
    began = time.perf_counter()
    for number in range(count):
        pool.submit(look_up, number)
    time.sleep(1)  # The attack is in progress.

    def describe() -> str:
        pool.shutdown(wait=True)
        took = time.perf_counter() - began
        ended.set()
        return f"statuses {dict(statuses)} in {took:.0f} s; at most {max(most):.0f} MB"

    return describe


if __name__ == "__main__":
    main()
