"""Measure what one person's jobs at a hanging endpoint cost a second tenant.

    python -m bench.jobs [--jobs 56] [--against FOLDER]

One person starts many small imports that look up images at an endpoint that never answers.
Meanwhile, a person of another account opens lists and signs in: before and after the server is
restarted. The application runs under gunicorn with two workers.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections import Counter
from pathlib import Path

import requests

from bench.demonstration import REGION, add_credentials, demonstration, print_times
from bench.measure import sign_in
from sandbox import faulty
from tests import served


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, help="also measure another checkout")
    parser.add_argument("--jobs", type=int, default=56)
    arguments = parser.parse_args()
    for checkout in filter(None, (arguments.against, served.ROOT)):
        print(f"{checkout.name}:")
        _measure(checkout, arguments.jobs)


def _measure(checkout: Path, jobs: int) -> None:
    hanging = faulty.slow(600, faulty.answering(500))
    with faulty.serve(hanging) as endpoint, demonstration(checkout) as (folder, environ):
        hostile_id, _ = add_credentials(checkout, environ, endpoint)
        with served.serve_app(environ, folder / "log", 2, checkout) as server:
            attacker = sign_in(server.url, "account@example.com")
            statuses: Counter[int] = Counter()
            for number in range(jobs):
                statuses[_import(attacker, server.url, number, hostile_id)] += 1
            print(f"  imports: {dict(statuses)}", flush=True)
            _measure_others(server.url)
        with served.serve_app(environ, folder / "log", 2, checkout) as server:
            print("  after a restart:", flush=True)
            time.sleep(35)  # The old version takes jobs over after 30 seconds.
            _measure_others(server.url)


def _import(session: requests.Session, url: str, number: int, credentials: int) -> int:
    page = session.get(f"{url}/account/acme/images/import", timeout=60)
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.text)
    if token is None:
        return page.status_code
    lines = [
        {"cloud": "aws", "location": REGION, "cloud_image_id": f"ami-{number * 10 + row:017x}"}
        for row in range(1, 11)
    ]
    fields = {
        "csrf_token": token[1],
        "text": json.dumps(lines),
        "how": "look-up",
        "credentials_aws": str(credentials),
    }
    target = f"{url}/account/acme/images/import"
    return session.post(target, data=fields, timeout=60, allow_redirects=False).status_code


def _measure_others(url: str) -> None:
    try:
        victim = sign_in(url, "globex@example.com")
    except (requests.RequestException, AssertionError) as error:
        print(f"    sign-in fails: {type(error).__name__}")
        return
    print_times("list", lambda: victim.get(f"{url}/account/globex/images", timeout=60))
    print_times("sign-in", lambda: sign_in(url, "globex@example.com"), 10)


if __name__ == "__main__":
    main()
