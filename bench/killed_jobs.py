"""Kill workers in the middle of each kind of job, and verify that each row is done exactly once.

    python -m bench.killed_jobs --database postgresql

There is one job of each kind. One worker (`flask work`) at a time works on the jobs. As soon as the
worker is in the middle of a job that no kill has interrupted yet, the benchmark kills the worker
with SIGKILL and starts another worker. After each kill but the last, the benchmark lets the leases
expire immediately. After the last kill, it measures how long the next worker waits until the leases
expire.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from peewee import fn

import models
from bench.every_job import EveryJob, start_every_job
from bench.fleet_database import DURABLE
from bench.load import DESCRIBED, DESCRIBED_ID
from models import JobRow
from sandbox import faulty
from tests.clouds.aws import answers
from tests.conftest import fill_database
from tests.database.servers import postgresql_server
from tests.jobs.threads import expire_leases
from tests.served import ROOT, app_environ
from webapp import create_app, database
from webapp.credentials.vault import Vault

CLOUD_SECONDS = 0.3
"""How long the cloud takes to respond."""
ROWS = 150
"""The number of rows of most jobs that call no cloud (see `start_every_job`)."""
CLOUD_ROWS = 15
"""The number of rows of a job that calls a cloud."""
LONGEST_SECONDS = 500
"""Jobs that are not done after this time count as a problem."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", help="kill only in the middle of jobs of these kinds")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = f"sqlite:///{folder}/registry.db"
        if arguments.database == "postgresql":
            url = stack.enter_context(postgresql_server(DURABLE)).url
        environ = job_environ(folder, url)
        endpoint = stack.enter_context(faulty.serve(cloud()))
        with prepared_database(url, environ):
            every = start_every_job(
                Vault([environ["CREDENTIALS_KEYS"]]), endpoint, ROWS, CLOUD_ROWS
            )
            problems = _kill(every, environ, set(arguments.kinds or every.jobs))
    print(*problems or ["Each row was done exactly once."], sep="\n")
    sys.exit(bool(problems))


def job_environ(folder: Path, url: str) -> dict[str, str]:
    return {
        **app_environ(folder / "data"),
        "DATABASE_URL": url,
        "DEMONSTRATION": "false",
        "SECURE_COOKIES": "false",
        "ALLOWED_ENDPOINTS": "default,127.0.0.0/8",
    }


def cloud() -> faulty.Behavior:
    """Return an EC2 that knows every image, and takes CLOUD_SECONDS to respond."""
    described = answers.images(DESCRIBED)

    def describe(request: faulty.Request) -> faulty.Answer:
        answer = described(request)
        assert answer is not None
        image_id = request.form.get("ImageId.1", DESCRIBED_ID).encode()
        return replace(answer, body=answer.body.replace(DESCRIBED_ID.encode(), image_id))

    return faulty.slow(CLOUD_SECONDS, describe)


@contextmanager
def prepared_database(url: str, environ: Mapping[str, str]) -> Iterator[None]:
    """Create a database with the people and scopes of the tests, and connect to it."""
    fill_database(url)
    create_app(environ)
    with models.database.connection_context():
        yield
    database.close_all(models.database.obj)


def _kill(every: EveryJob, environ: Mapping[str, str], remaining: set[str]) -> list[str]:
    kills = 0
    deadline = time.monotonic() + LONGEST_SECONDS
    worker = _start(environ)
    try:
        while time.monotonic() < deadline and every.unfinished():
            if hit := every.kinds_in_progress() & remaining:
                worker.kill()
                worker.wait()
                kills += 1
                remaining -= every.kinds_in_progress()
                print(f"kill {kills} in the middle of {', '.join(sorted(hit))}", flush=True)
                worker = _start(environ)
                if remaining:
                    expire_leases()
                    # A row that is in progress during three kills would be given up.
                    JobRow.update(lost_leases=0).where(JobRow.outcome == "").execute()
                else:
                    _measure_takeover()
            time.sleep(0.005)
    finally:
        worker.kill()
        worker.wait()
    print(f"{kills} kills, kinds never interrupted: {', '.join(sorted(remaining)) or 'none'}")
    unfinished = every.unfinished()
    return [*(f"{key}: not finished" for key in unfinished), *every.problems()]


def _measure_takeover() -> None:
    """Print after how many seconds the next worker continued the work of the killed worker."""
    began, before = time.monotonic(), _taken_over()
    while _taken_over() == before and time.monotonic() < began + 120:
        time.sleep(0.1)
    print(f"the next worker took over after {time.monotonic() - began:.1f} s", flush=True)


def _taken_over() -> int:
    """Return how many leases were taken over from killed workers."""
    return int(JobRow.select(fn.SUM(JobRow.lost_leases)).scalar() or 0)


def _start(environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "flask", "--app", "webapp", "work"]
    return subprocess.Popen(
        command, env=environ, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


if __name__ == "__main__":
    main()
