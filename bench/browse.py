"""Measure how long Browse takes to list many images in a cloud: a page, all pages, and a search.

    python -m bench.browse [--images 50000] [--templates 2000] [--rounds 20]

The images are AMIs of one account at moto. The templates are in one datacenter of VMware's
simulator, which needs Go. The application runs under gunicorn with two workers. For comparison with
the first page, the benchmark measures the cloud's own time: how long the vendor's SDK takes for the
same calls in this process.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlencode

import boto3
import requests

from bench.measure import (
    PASSWORD,
    forget_peaks,
    milliseconds,
    next_url,
    peaks_mb,
    percentiles,
    resident_mb,
    sign_in,
)
from bench.templates import property_call
from sandbox import aws
from tests import served
from tests.clouds.vmware import vcsim
from webapp.clouds.aws.browsing import PAGE_SIZE
from webapp.clouds.browsing import PAGE_LENGTH
from webapp.clouds.outgoing import endpoints
from webapp.clouds.vmware.adapter import VMware
from webapp.clouds.vmware.sdk import Session

LOOPBACK = "default,127.0.0.0/8"
"""The endpoints that the application and this process may connect to."""
REGION, DATACENTER = "us-east-1", "F0/DC0"
CLUSTERS = 4
PAUSE = 10.0
"""How many seconds the benchmark waits before each request for the templates.

The simulator returns all templates in one large response. After such a response, the application
waits a few seconds before it reads another large response for credentials of the same owner. The
owner of the credentials is an account or, as in this benchmark, the Scalr scope."""
_IMAGE_IDS = re.compile(r'name="image_id" value="([^"]+)"')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=50_000, help="number of AMIs in the account")
    parser.add_argument(
        "--templates", type=int, default=2_000, help="number of templates in the datacenter"
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=20,
        help="number of requests for the first page, for the search, and for the cloud’s own time; "
        "each of the next pages is requested once",
    )
    parser.add_argument("--only-serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only_serve:
        _serve_images(arguments.images)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environ = {**served.app_environ(folder), "ALLOWED_ENDPOINTS": LOOPBACK}
        endpoints.configure(LOOPBACK.split(","))
        with served.sandbox(folder) as sandbox:
            served.seed(environ, sandbox)
        with served.serve_app(environ, folder / "log", workers=2) as server:
            with _images(arguments.images) as endpoint:
                case = _Case("aws", aws.credentials(endpoint), REGION, arguments.images)
                _measure(server, case, _list_call(endpoint), arguments.rounds)
            if problem := vcsim.missing_packages():
                sys.exit(problem)
            with _templates(folder, arguments.templates) as url:
                credentials = vcsim.credentials(url)
                VMware().warm_up()
                case = _Case("vmware", dict(credentials), DATACENTER, arguments.templates, PAUSE)
                _measure(server, case, property_call(Session(credentials)), arguments.rounds)


@dataclass(frozen=True)
class _Case:
    """A cloud with many images. `values` are the values of its credentials.

    `count` is the number of images. `pause` is the time before each request, in seconds.
    """

    cloud: str
    values: dict[str, str]
    location: str
    count: int
    pause: float = 0.0


def _measure(
    server: served.Server, case: _Case, call_cloud: Callable[[], object], rounds: int
) -> None:
    """Save the credentials, list their images, and print the times and the memory."""
    session = sign_in(server.url, "scalr@example.com")
    credentials = _save_credentials(session, server.url, case)
    page_url = f"{server.url}/scalr/images/new/{case.cloud}/browse"
    arguments = {"credentials": credentials, "location": case.location}

    def get(url: str, times: list[float]) -> str:
        time.sleep(case.pause)
        began = time.perf_counter()
        response = session.get(url, timeout=30)
        times.append((time.perf_counter() - began) * 1000)
        assert response.ok, response.text
        return response.text

    def first_pages(**changes: str) -> tuple[str, list[float]]:
        times: list[float] = []
        url = f"{page_url}?{urlencode({**arguments, **changes})}"
        return [get(url, times) for _ in range(rounds)][-1], times

    forget_peaks(server.pid)
    page, first_times = first_pages()
    next_times: list[float] = []
    ids = _IMAGE_IDS.findall(page)
    while url := next_url(page):
        page = get(f"{server.url}{url}", next_times)
        ids += _IMAGE_IDS.findall(page)
    assert len(set(ids)) == case.count, f"{len(set(ids))} of {case.count}"
    print(f"{case.cloud}: {len(set(ids)):,} images on {len(next_times) + 1} pages")
    _print("first page", first_times)
    _print("cloud’s own time", milliseconds(call_cloud, rounds))
    _print("next pages", next_times)
    page, times = first_pages(q=ids[len(ids) // 2])
    assert len(_IMAGE_IDS.findall(page)) == 1, page
    _print("search for one ID", times)
    peaks = ", ".join(f"{peak:.0f}" for peak in peaks_mb(server.pid))
    print(f"  memory: {resident_mb(server.pid):.0f} MB; peaks of the workers: {peaks} MB")


def _print(name: str, times: list[float]) -> None:
    p50, p95, _ = percentiles(times)
    print(f"  {name:20} p50 {p50:7.0f} ms   p95 {p95:7.0f} ms   sum {sum(times) / 1000:7.1f} s")


def _save_credentials(session: requests.Session, url: str, case: _Case) -> str:
    """Save credentials at the Scalr scope, and return their ID."""
    form_url = f"{url}/scalr/credentials/new/{case.cloud}"
    form = session.get(form_url, timeout=30).text
    token = re.findall(r'name="csrf_token"[^>]*value="([^"]+)"', form)[0]
    data = {**case.values, "name": f"many images of {case.cloud}", "csrf_token": token}
    response = session.post(form_url, data=data, timeout=30)
    assert response.ok, response.text
    page = session.get(f"{url}/scalr/images/new/{case.cloud}/browse", timeout=30).text
    return re.findall(r'<option[^>]* value="(\d+)"[^>]*>many images', page)[0]


@contextmanager
def _images(count: int) -> Iterator[str]:
    """Serve this number of AMIs from a separate process, and yield the URL."""
    command = [sys.executable, "-m", "bench.browse", "--only-serve", "--images", str(count)]
    with subprocess.Popen(command, cwd=served.ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def _serve_images(count: int) -> None:
    numbers = range(0x100000, 0x100000 + count)
    images = tuple(
        replace(aws.ACME_IMAGE, number=each, name=f"build-{each}", regions=(REGION,))
        for each in numbers
    )
    setattr(aws, "CATALOG", images)  # noqa: B010  the type of CATALOG contains its length
    with aws.start() as url:
        print(url, flush=True)
        while True:
            time.sleep(60)


def _list_call(endpoint: str) -> Callable[[], object]:
    """Return a function that reads as many AMIs as the first page of Browse needs."""
    client = boto3.client(
        "ec2",
        region_name=REGION,
        endpoint_url=endpoint,
        aws_access_key_id="AKIA",
        aws_secret_access_key=PASSWORD,
    )
    pages = -(-PAGE_LENGTH // PAGE_SIZE)
    pagination = {"PageSize": PAGE_SIZE, "MaxItems": pages * PAGE_SIZE}
    paginator = client.get_paginator("describe_images")
    return lambda: list(paginator.paginate(Owners=["self"], PaginationConfig=pagination))


@contextmanager
def _templates(folder: Path, count: int) -> Iterator[str]:
    flags = {"datacenters": 1, "clusters": CLUSTERS, "hosts": 0, "every": 1}
    with vcsim.start(folder, flags={**flags, "machines": count // CLUSTERS}) as url:
        yield url


if __name__ == "__main__":
    main()
