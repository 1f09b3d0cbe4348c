"""Run demonstrations of this and other checkouts, with a hostile endpoint, for benchmarks."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import requests

from bench.measure import percentiles
from tests import served

REGION = "us-east-1"
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


@contextmanager
def demonstration(checkout: Path) -> Iterator[tuple[Path, Mapping[str, str]]]:
    """Fill a new database of a checkout, and run its clouds.

    Yields the folder of the data, and the environment of the application.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with served.sandbox(folder) as sandbox:
            environ = served.app_environ(folder)
            served.seed(environ, sandbox, checkout)
            yield folder, environ


def add_credentials(checkout: Path, environ: Mapping[str, str], endpoint: str) -> tuple[int, int]:
    """Give the account acme AWS credentials with the URL of an endpoint.

    Returns the IDs of these credentials, and of the credentials of a healthy AWS.
    """
    command = [served.python_of(checkout), "-c", ADD_CREDENTIALS, endpoint]
    hostile, healthy = json.loads(
        subprocess.check_output(command, env=environ, cwd=checkout, text=True)
    )
    return int(hostile), int(healthy)


def print_times(name: str, call: Callable[[], object], rounds: int = 30) -> None:
    """Call something for at most 30 seconds. Print p50, p95 and the number of each status."""
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
