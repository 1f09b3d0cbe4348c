"""Measure the audit log after checks of an image whose cloud sends a description of 5 MB.

    python -m bench.descriptions [--checks 7] [--database postgresql] [--against FOLDER]

One person checks an image again and again, and its description changes each time. Then another
person of the same account opens the audit log, the history of the image, and the page of the image.
An admin opens the audit log of the Scalr scope. The benchmark prints the time and the size of each
page, without compression.
"""

from __future__ import annotations

import itertools
import re
import subprocess
import time
from collections import Counter
from collections.abc import Mapping
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

IMAGE_ID = "ami-0123456789abcdef0"
ADD_IMAGES = """
import json, sys
import webapp
from models import Image, Scope, database, transaction
from tests.conftest import details
from webapp.images import image_details
path, first_id, count, credentials, region = sys.argv[1:]
webapp.create_app()
stored = image_details.to_json(details())
with database.connection_context():
    scope = Scope.get(path=path)
    for first in range(0, int(count), 500):  # One long transaction would be slow on PostgreSQL.
        with transaction():
            for number in range(first, min(first + 500, int(count))):
                image = Image.create(
                    scope=scope, cloud="aws", location=region, name=f"image {number}",
                    cloud_image_id=f"ami-{int(first_id[4:], 16) + number:017x}",
                    os_family="ubuntu", os_version="24.04", agent_installed=False, shared=False,
                    state="available", details=stored, credentials=int(credentials) or None,
                    credentials_name="", registered_by_name="",
                )
    print(image.id)
"""


def add_images(
    checkout: Path,
    environ: Mapping[str, str],
    path: str,
    first_id: str = IMAGE_ID,
    count: int = 1,
    credentials: int = 0,
) -> int:
    """Add AWS images with consecutive IDs to a scope. Return the record ID of the last image.

    `first_id` is the cloud image ID of the first image.
    """
    command = [served.python_of(checkout), "-c", ADD_IMAGES]
    command += [path, first_id, str(count), str(credentials), REGION]
    return int(subprocess.check_output(command, env=environ, cwd=checkout, text=True))


def describing(size: int) -> faulty.Behavior:
    """Return an EC2 that describes its image with a new text of about `size` bytes each time."""
    numbers = itertools.count()

    def behave(request: faulty.Request) -> faulty.Answer:
        if request.form.get("Action") != "DescribeImages":
            return faulty.Answer(400)
        description = f"{next(numbers)} " + "x" * size
        return faulty.Answer(
            200,
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<DescribeImagesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">'
            f"<imagesSet><item><imageId>{IMAGE_ID}</imageId><imageState>available</imageState>"
            "<imageOwnerId>123456789012</imageOwnerId><isPublic>true</isPublic>"
            "<architecture>x86_64</architecture><imageType>machine</imageType><name>n</name>"
            f"<description>{description}</description><rootDeviceType>ebs</rootDeviceType>"
            "<creationDate>2026-01-01T00:00:00.000Z</creationDate>"
            "</item></imagesSet></DescribeImagesResponse>".encode(),
        )

    return behave


def main() -> None:
    measure_checkouts(__doc__, "--checks", 7, _measure)


def _measure(checkout: Path, database: str, checks: int) -> None:
    with (
        attackers.endpoint(describing(5_000_000)) as endpoint,
        demonstration(checkout, database) as (folder, environ),
    ):
        healthy, [tenant] = add_tenants(checkout, environ, endpoint, people=2)
        image_id = add_images(checkout, environ, tenant.path, credentials=tenant.credentials[0])
        with served.serve_app(environ, folder / "log", 2, checkout) as server:
            victim = SecondTenant(server, healthy)
            victim.warm_up()
            statuses = _check(server.url, tenant, image_id, checks)
            print(f"  responses to {checks} checks: {statuses}", flush=True)
            reader = sign_in(server.url, tenant.people[1])
            admin = sign_in(server.url, "scalr@example.com")
            account = f"{server.url}/account/{tenant.path}"
            _print_page("audit log", reader, f"{account}/audit")
            _print_page("audit log, Scalr scope", admin, f"{server.url}/scalr/audit")
            _print_page("history of the image", reader, f"{account}/images/{image_id}/history")
            _print_page("page of the image", reader, f"{account}/images/{image_id}")
            victim.measure("another account")


def _check(url: str, tenant: Tenant, image_id: int, checks: int) -> str:
    session = sign_in(url, tenant.people[0])
    page = session.get(f"{url}/account/{tenant.path}/images/{image_id}", timeout=60).text
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
    assert token is not None
    statuses: Counter[int] = Counter()
    for _ in range(checks):
        response = session.post(
            f"{url}/account/{tenant.path}/images/{image_id}/check",
            data={"csrf_token": token[1], "credentials": str(tenant.credentials[0])},
            timeout=60,
        )
        statuses[response.status_code] += 1
    return str(dict(statuses))


def _print_page(name: str, session: requests.Session, url: str) -> None:
    began = time.perf_counter()
    response = session.get(url, headers={"Accept-Encoding": "identity"}, timeout=120)
    took = (time.perf_counter() - began) * 1000
    size = len(response.content) / 1000
    print(f"    {name:22} {response.status_code} {took:7.0f} ms {size:9,.0f} kB", flush=True)


if __name__ == "__main__":
    main()
