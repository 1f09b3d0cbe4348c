"""Measure how much one person's jobs slow down another tenant if a cloud never responds.

    python -m bench.jobs [--jobs 56] [--database postgresql] [--against FOLDER]

One person starts many small imports that look up images at an endpoint that never responds.
A person of another account opens lists, looks up images at a healthy cloud and signs in: before the
attack, during the attack, and after a restart of the server. The application runs under gunicorn
with two workers.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from pathlib import Path

import requests

from bench import attackers
from bench.demonstration import (
    REGION,
    Tenant,
    add_tenants,
    demonstration,
    measure_checkouts,
)
from bench.measure import sign_in
from bench.second_tenant import SecondTenant
from sandbox import faulty
from tests import served

RESTART_SECONDS = 35
"""How long a restarted server works before the measurement. Older versions take over jobs after 30
seconds."""


def main() -> None:
    measure_checkouts(__doc__, "--jobs", 56, _measure)


def _measure(checkout: Path, database: str, jobs: int) -> None:
    hanging = faulty.slow(600, faulty.answering(500))
    with (
        attackers.endpoint(hanging) as endpoint,
        demonstration(checkout, database) as (folder, environ),
    ):
        healthy, [tenant] = add_tenants(checkout, environ, endpoint)
        with served.serve_app(environ, folder / "log", 2, checkout) as server:
            victim = SecondTenant(server, healthy)
            victim.warm_up()
            victim.measure("before the attack")
            session = sign_in(server.url, tenant.people[0])
            statuses: Counter[str] = Counter()
            for number in range(jobs):
                try:
                    statuses[str(_import(session, server.url, number, tenant))] += 1
                except requests.RequestException as error:
                    statuses[type(error).__name__] += 1
            print(f"  responses to {jobs} imports: {dict(statuses)}", flush=True)
            victim.measure("during the attack")
        with served.serve_app(environ, folder / "log", 2, checkout) as server:
            time.sleep(RESTART_SECONDS)
            SecondTenant(server, healthy).measure("after a restart")


def _import(session: requests.Session, url: str, number: int, tenant: Tenant) -> int:
    target = f"{url}/account/{tenant.path}/images/import"
    page = session.get(target, timeout=60)
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
        "credentials_aws": str(tenant.credentials[0]),
    }
    return session.post(target, data=fields, timeout=60, allow_redirects=False).status_code


if __name__ == "__main__":
    main()
