"""Measure how long the application takes to start, and how long the button NEXT of New Image takes.

    python -m bench.wizard [--rounds 200]

The application runs under gunicorn with two workers. A sandbox simulates AWS. For comparison with
NEXT, the benchmark measures the cloud's own time: how long a boto3 client in this process takes for
the same call to the sandbox.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import boto3
import requests

from bench.measure import milliseconds, percentiles, resident_mb, sign_in
from sandbox.aws import NOBLE
from tests import served

SDKS = ("boto3", "botocore")
REGION = "us-east-1"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="look-ups to measure")
    rounds = parser.parse_args().rounds
    _measure_import()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with served.sandbox(folder) as sandbox:
            environ = served.app_environ(folder)
            served.seed(environ, sandbox)
            endpoint = served.sandbox_credentials(sandbox, "aws")["endpoint_url"]
            began = time.perf_counter()
            with served.serve_app(environ, folder / "log", workers=2) as server:
                print(f"start to first page: {time.perf_counter() - began:.2f} s")
                _look_ups(server.url, endpoint, rounds)
                print(f"memory of the app: {resident_mb(server.pid):.0f} MB")


def _measure_import() -> None:
    """Print how long `import webapp` takes, and which SDKs it loads."""
    program = f"import sys, webapp; print(*sorted({set(SDKS)!r} & sys.modules.keys()))"
    began = time.perf_counter()
    loaded = subprocess.check_output([sys.executable, "-c", program], text=True, cwd=served.ROOT)
    took = time.perf_counter() - began
    print(
        f"import webapp: {took:.2f} s with Python’s start; SDKs loaded: {loaded.strip() or 'none'}"
    )


def _look_ups(url: str, endpoint: str, rounds: int) -> None:
    session = sign_in(url, "scalr@example.com")
    form = session.get(f"{url}/scalr/images/new/aws", timeout=30)
    request_next = _next_request(session, url, form.text)
    (first,) = milliseconds(request_next, 1)
    print(f"the first NEXT after the start: {first:.0f} ms")
    for _ in range(20):  # Warms up both workers.
        request_next()
    call_cloud = _describe_call(endpoint)
    call_cloud()
    next_p50, next_p95, _ = percentiles(milliseconds(request_next, rounds))
    cloud_p50, cloud_p95, _ = percentiles(milliseconds(call_cloud, rounds))
    print(f"NEXT:                 p50 {next_p50:6.1f} ms   p95 {next_p95:6.1f} ms")
    print(f"the cloud’s own time: p50 {cloud_p50:6.1f} ms   p95 {cloud_p95:6.1f} ms")
    print(f"difference:           p50 {next_p50 - cloud_p50:6.1f} ms")


def _next_request(session: requests.Session, url: str, form: str) -> Callable[[], object]:
    """Return a function that submits the form with NEXT."""
    credentials = form.split('name="credentials"', 1)[1].split('value="', 1)[1].split('"', 1)[0]
    query = {"credentials": credentials, "location": REGION, "image_id": NOBLE.id_in(REGION)}

    def call() -> None:
        response = session.get(f"{url}/scalr/images/new/aws/confirm", params=query, timeout=30)
        assert "REGISTER" in response.text, response.status_code

    return call


def _describe_call(endpoint: str) -> Callable[[], object]:
    """Return a function that calls the cloud in the same way as NEXT."""
    client = boto3.client(
        "ec2",
        region_name=REGION,
        endpoint_url=endpoint,
        aws_access_key_id="AKIA",
        aws_secret_access_key="secret",
    )
    return lambda: client.describe_images(ImageIds=[NOBLE.id_in(REGION)])


if __name__ == "__main__":
    main()
