"""Measure the application under load: from 1 to 128 people who work at the same time.

    python -m bench.load [--images 100000] [--database sqlite|postgresql] [--seconds 15]
                         [--clients 1,2,4,8,16,32,64,128] [--setting NAME=VALUE] [--json]

The application runs under gunicorn with two workers and the settings of docs/install.md. Its
database contains a fleet: generated images, scopes and people (see `bench.fleet`). PostgreSQL
writes changes to the disk, as it does by default. 80 % of the requests open the list of images,
with many different searches, filters, sort orders and pages. 10 % open the page of one image, 5 %
are look-ups at a cloud that takes 300 ms, and 5 % save a registration, an edit or a status.

Each client is a person with a separate session, and sends the next request as soon as the previous
response is complete. The people belong to many accounts, and each account has its own credentials.
So the load stays within the limits for calls to clouds, which apply to each person, each set of
credentials and each account.

For each number of clients, the benchmark prints the requests per second, p50, p95 and p99 in
milliseconds, and the number of wrong responses. A response is wrong if it is not a success, if it
is not complete, if no part of it arrives for a minute, or if the page after a change does not show
the change. The benchmark also prints the memory of each worker, and what percentage of the
processor time was used by the workers, by this program (the clients and the cloud), and by
everything on this machine. At the end, the benchmark checks that each change that was acknowledged
is in the database.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import models
from bench.fleet import report_progress
from bench.fleet_database import DURABLE, KINDS, open_fleet
from bench.load_clients import KINDS as KINDS_OF_REQUESTS
from bench.load_clients import Assignment, Client, Sample, run_clients
from bench.load_fleet import create_assignments, lost_changes
from bench.measure import children_of, parse_setting, percentiles, processor_seconds, resident_mb
from sandbox import faulty
from tests import served
from tests.clouds.aws import answers
from tests.served import Server
from webapp.database import close_all, open_database

CLOUD_SECONDS = 0.3
WORKERS = 2
WARM_UP_SECONDS = 2.0
"""How long the clients work before the requests of each measurement count."""
DESCRIBED_ID = "ami-described"
DESCRIBED = {
    "ImageId": DESCRIBED_ID,
    "Name": "golden-ubuntu-24.04",
    "Description": "Canonical, Ubuntu, 24.04 LTS, amd64 noble image",
    "OwnerId": "123456789012",
    "State": "available",
    "Public": True,
    "Architecture": "x86_64",
    "PlatformDetails": "Linux/UNIX",
    "CreationDate": "2026-10-21T05:12:45.000Z",
    "RootDeviceName": "/dev/sda1",
    "BlockDeviceMappings": [
        {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 8, "VolumeType": "gp3"}}
    ],
}
"""The image that the cloud returns, with the requested ID in place of DESCRIBED_ID."""


def main() -> None:
    arguments = _arguments()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = {**DURABLE, "autovacuum": "on"}
        fleet = open_fleet(arguments.database, folder, arguments.images, settings=settings)
        url = stack.enter_context(fleet)
        endpoint = stack.enter_context(faulty.serve(_slow_cloud()))
        environ = served.app_environ(folder) | {
            "DEMONSTRATION": "false",
            "SECURE_COOKIES": "false",
            "ALLOWED_ENDPOINTS": "default,127.0.0.0/8",
            "DATABASE_URL": url,
            **dict(arguments.setting),
        }
        with _database(url):
            assignments = create_assignments(
                max(arguments.clients), endpoint, environ["CREDENTIALS_KEYS"]
            )
        log = folder / "log"
        with served.serve_app(environ, log, WORKERS) as server:
            clients = _sign_in(server.url, assignments)
            rows = []
            if not arguments.json:
                print(f"{'':14}{'requests':>11}{'p50':>9}{'p95':>9}{'p99':>9}{'wrong':>7}")
            for number in arguments.clients:
                file = Path(url.removeprefix("sqlite:///"))
                rows.append(_measure(server, clients[:number], arguments.seconds, file))
                if not arguments.json:
                    _print_level(rows[-1])
        saved = [change for client in clients for change in client.saved]
        with _database(url):
            lost = lost_changes(saved)
        lines = [line for line in log.read_text().splitlines() if " ERROR " in line]
    if arguments.json:
        print(json.dumps({"levels": rows, "saved": len(saved), "lost": len(lost), "log": lines}))
    else:
        print(f"\n{len(saved)} changes were acknowledged, and {len(lost)} of them are lost.")
        print(*lines[:20], sep="\n")
    problems = any(row["problems"] for row in rows)
    sys.exit(bool(lost or problems))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--database", choices=KINDS, default="sqlite")
    parser.add_argument("--clients", type=_numbers, default=[1, 2, 4, 8, 16, 32, 64, 128])
    parser.add_argument("--seconds", type=float, default=15, help="for each number of clients")
    parser.add_argument(
        "--setting", type=parse_setting, action="append", default=[], metavar="NAME=VALUE"
    )
    parser.add_argument("--json", action="store_true", help="print only JSON")
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    return [int(each) for each in text.split(",")]


def _slow_cloud() -> faulty.Behavior:
    """Return an EC2 that knows every image, and takes CLOUD_SECONDS to respond."""
    described = answers.images(DESCRIBED)

    def describe(request: faulty.Request) -> faulty.Answer:
        answer = described(request)
        assert answer is not None
        image_id = request.form["ImageId.1"].encode()
        return replace(answer, body=answer.body.replace(DESCRIBED_ID.encode(), image_id))

    return faulty.slow(CLOUD_SECONDS, describe)


@contextmanager
def _database(url: str) -> Iterator[None]:
    database = open_database(url)
    models.database.initialize(database)
    try:
        with models.database.connection_context():
            yield
    finally:
        close_all(database)


def _sign_in(url: str, assignments: Sequence[Assignment]) -> list[Client]:
    """Sign in all people, and let each look up images, so that both workers load the SDK of AWS."""
    with ThreadPoolExecutor(4) as pool:
        clients = list(pool.map(lambda each: Client(each[0], url, each[1]), enumerate(assignments)))
        for _ in range(2):
            list(pool.map(Client.look_up, clients))
    _take_samples(clients)
    report_progress(
        f"{len(clients)} people of {len({_account(each) for each in assignments})} accounts"
    )
    return clients


def _account(assignment: Assignment) -> str:
    return assignment.scope.split("/")[2]


def _measure(
    server: Server, clients: Sequence[Client], seconds: float, file: Path
) -> dict[str, Any]:
    """Let the clients work for `seconds`, and return what was measured.

    `file` is the SQLite database. Mapped pages of this file do not count as memory of the workers,
    because they belong to the kernel's page cache.
    """
    run_clients(clients, WARM_UP_SECONDS)
    warm_up = _take_samples(clients)
    used = _used_seconds(server)
    began = time.monotonic()
    run_clients(clients, seconds)
    took = (time.monotonic() - began) * (os.cpu_count() or 1)
    used = {name: after - used[name] for name, after in _used_seconds(server).items()}
    samples = _take_samples(clients)
    in_time = [sample for sample in samples if sample.ended <= began + seconds]
    return {
        "clients": len(clients),
        "processor_percent": {name: 100 * each / took for name, each in used.items()},
        "worker_mb": [resident_mb(pid, file) for pid in children_of(server.pid)],
        "kinds": {
            "all": _figures(samples, len(in_time) / seconds),
            **{
                kind: _figures(
                    [each for each in samples if each.kind == kind],
                    sum(each.kind == kind for each in in_time) / seconds,
                )
                for kind in KINDS_OF_REQUESTS
            },
        },
        "problems": Counter(
            f"{each.kind}: {each.problem}" for each in (*warm_up, *samples) if each.problem
        ),
    }


def _take_samples(clients: Sequence[Client]) -> list[Sample]:
    """Return the requests that the clients have sent since the last call of this function."""
    samples = [sample for client in clients for sample in client.samples]
    for client in clients:
        client.samples.clear()
    return samples


def _figures(samples: Sequence[Sample], per_second: float) -> dict[str, float]:
    times = [(each.ended - each.began) * 1000 for each in samples] or [0.0]
    p50, p95, p99 = percentiles(times)
    wrong = sum(bool(each.problem) for each in samples)
    figures = {"requests": len(samples), "per_s": per_second, "wrong": wrong}
    return {**figures, "p50_ms": p50, "p95_ms": p95, "p99_ms": p99}


def _used_seconds(server: Server) -> dict[str, float]:
    """Return how long the processors have worked for the workers, for the clients, and in total."""
    return {
        "workers": processor_seconds(server.pid),
        "clients": time.process_time(),
        "everything": _busy_seconds(),
    }


def _busy_seconds() -> float:
    """Return how long the processors of this machine have worked since it was started."""
    user, nice, system, _idle, _waiting, *interrupts = (
        int(each) for each in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:8]
    )
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


def _print_level(row: dict[str, Any]) -> None:
    memory = " + ".join(f"{each:.0f}" for each in row["worker_mb"])
    used = ", ".join(f"{name} {each:.0f} %" for name, each in row["processor_percent"].items())
    print(f"\n{row['clients']} clients: {memory} MB; processors: {used}")
    for kind, figures in row["kinds"].items():
        times = "".join(f"{figures[name]:9.0f}" for name in ("p50_ms", "p95_ms", "p99_ms"))
        print(f"  {kind:12}{figures['per_s']:9.1f}/s{times}{figures['wrong']:7}")
    for problem, count in row["problems"].items():
        print(f"  {count} × {problem}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
