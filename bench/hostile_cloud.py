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
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

import requests

from bench.measure import percentiles, resident_mb, sign_in
from sandbox import faulty
from sandbox.aws import NOBLE
from tests import served

REGION = "us-east-1"
ATTACKS: dict[str, tuple[faulty.Behavior, int, int]] = {
    "none": (faulty.answering(500), 0, 1),
    "trickling": (faulty.trickling, 160, 32),
    "hanging": (faulty.slow(600, faulty.answering(500)), 32, 32),
    "endless": (faulty.endless, 2, 2),
}
"""The behavior of the endpoint, the number of look-ups, and how many of them run at once."""
ADD_CREDENTIALS = """
import json, os, sys
import webapp
from models import CloudCredentials, Scope, database
from webapp.clouds import CLOUDS
from webapp.credentials.vault import Vault
values = {field.name: "" for field in CLOUDS["aws"].credential_fields}
values |= {"access_key_id": "AKIAHOSTILE", "secret_access_key": "s", "partition": "aws"}
values |= {"endpoint_url": sys.argv[1]}
webapp.create_app()
with database.connection_context():
    row = CloudCredentials(scope=Scope.get(path="acme"), cloud="aws", name="hostile")
    Vault([os.environ["CREDENTIALS_KEYS"]]).store(row, CLOUDS["aws"].credential_fields, values)
    row.save(force_insert=True)
    healthy = CloudCredentials.get(cloud="aws", scope=Scope.get(path=""))
    print(json.dumps([row.id, healthy.id]))
"""


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
    with tempfile.TemporaryDirectory() as name, faulty.serve(behavior) as endpoint:
        folder = Path(name)
        with served.sandbox(folder) as sandbox:
            environ = served.app_environ(folder)
            python = served.python_of(checkout)
            seed = [python, "-m", "sandbox.demonstration", str(sandbox)]
            subprocess.run(seed, env=environ, cwd=checkout, check=True, capture_output=True)
            add = [python, "-c", ADD_CREDENTIALS, endpoint]
            ids = subprocess.check_output(add, env=environ, cwd=checkout, text=True)
            hostile_id, healthy_id = map(int, ids.strip().strip("[]").split(","))
            with served.serve_app(environ, folder / "log", 2, checkout) as server:
                attacker = sign_in(server.url, "account@example.com")
                victim = sign_in(server.url, "globex@example.com")
                list_url = f"{server.url}/account/globex/images"
                look_up_url = _look_up_url(server.url, "globex", healthy_id)
                for _ in range(6):  # Warms up both workers.
                    victim.get(look_up_url, timeout=60)
                hostile_url = _look_up_url(server.url, "acme", hostile_id)
                report = _attack(server.pid, attacker, hostile_url, count, at_once)
                _time("list", lambda: victim.get(list_url, timeout=60))
                _time("look-up", lambda: victim.get(look_up_url, timeout=60))
                _time("sign-in", lambda: sign_in(server.url, "globex@example.com"), 10)
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


def _time(name: str, call: Callable[[], object], rounds: int = 30) -> None:
    times: list[float] = []
    statuses: Counter[object] = Counter()
    end = time.monotonic() + 30
    while len(times) < rounds and time.monotonic() < end:
        began = time.perf_counter()
        try:
            statuses[getattr(call(), "status_code", "signed in")] += 1
        except (requests.RequestException, AssertionError) as error:
            statuses[type(error).__name__] += 1
        times.append((time.perf_counter() - began) * 1000)
    p50, p95, _ = percentiles(times)
    print(f"    {name:8} p50 {p50:7.0f} ms   p95 {p95:7.0f} ms   {dict(statuses)}")


if __name__ == "__main__":
    main()
