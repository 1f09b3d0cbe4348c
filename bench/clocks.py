"""Verify that two application servers work together although their clocks are 5 minutes apart.

    python -m bench.clocks --database postgresql

One server has the right clock. The clock of the other server is first 5 minutes ahead, and in a
second measurement 5 minutes behind. Both servers work on the same jobs, one of each kind. The due
date of one image passes, and only one of the servers may apply it. Meanwhile, a person signs in at
one server. With this session, the other server must show a list, and must register an image that
the person looked up at the first server. It must also accept the link of an invitation that the
first server created. After the person has signed out at the first server, the other server must
refuse the session.

A library that the benchmark compiles with `cc` changes the clock of a process. SQLite reads the
clock of the process that it runs in. So with SQLite, the database functions of the two servers also
return different times. In reality, this cannot happen, because all processes that use an SQLite
file run on one machine with one clock.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import requests
from peewee import fn

from bench.every_job import EveryJob, start_every_job
from bench.fleet_database import DURABLE
from bench.killed_jobs import cloud, job_environ, prepared_database
from models import AuditEntry, CloudCredentials, Image, JobRow, now
from sandbox import faulty
from tests.cast import PASSWORD
from tests.database.servers import postgresql_server
from tests.served import serve_app
from tests.views.pages import form_action, receipt_in
from webapp.credentials.vault import Vault

APART_SECONDS = 300
ROWS = 100
"""The number of rows of most jobs that call no cloud (see `start_every_job`)."""
CLOUD_ROWS = 20
"""The number of rows of a job that calls a cloud."""
LONGEST_SECONDS = 400
"""Jobs that are not done after this time count as a problem."""
LIBRARY = r"""
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long ahead(void) { const char *text = getenv("CLOCK_AHEAD"); return text ? atol(text) : 0; }
int clock_gettime(clockid_t clock, struct timespec *moment) {
    int failed = syscall(SYS_clock_gettime, clock, moment);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        moment->tv_sec += ahead();
    return failed;
}
int gettimeofday(struct timeval *moment, void *zone) {
    int failed = syscall(SYS_gettimeofday, moment, zone);
    if (!failed) moment->tv_sec += ahead();
    return failed;
}
time_t time(time_t *stored) {
    struct timespec moment;
    clock_gettime(CLOCK_REALTIME, &moment);
    if (stored) *stored = moment.tv_sec;
    return moment.tv_sec;
}
"""


class CountingCloud:
    """A cloud that counts the calls for each image, and records the peak of simultaneous calls."""

    def __init__(self) -> None:
        self.described: Counter[str] = Counter()
        self.maximum = 0
        self._running = 0
        self._lock = threading.Lock()
        self._answer = cloud()

    def __call__(self, request: faulty.Request) -> faulty.Answer | None:
        with self._lock:
            self.described[request.form.get("ImageId.1", "")] += 1
            self._running += 1
            self.maximum = max(self.maximum, self._running)
        try:
            return self._answer(request)
        finally:
            with self._lock:
                self._running -= 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument(
        "--ahead", type=int, nargs="*", default=[APART_SECONDS, -APART_SECONDS], metavar="SECONDS"
    )
    arguments = parser.parse_args()
    problems: list[str] = []
    for ahead in arguments.ahead:
        print(f"the clock of the second server is {ahead:+d} s:", flush=True)
        found = _measure(arguments.database, ahead)
        print(*(found or ["  nothing was repeated or left incomplete"]), sep="\n  ", flush=True)
        problems += found
    sys.exit(bool(problems))


def _measure(database: str, ahead: int) -> list[str]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = f"sqlite:///{folder}/registry.db"
        if database == "postgresql":
            url = stack.enter_context(postgresql_server(DURABLE)).url
        environ = job_environ(folder, url)
        counting = CountingCloud()
        endpoint = stack.enter_context(faulty.serve(counting))
        stack.enter_context(prepared_database(url, environ))
        vault = Vault([environ["CREDENTIALS_KEYS"]])
        every = start_every_job(vault, endpoint, ROWS, CLOUD_ROWS)
        due = _make_due(every)
        servers = stack.enter_context(_servers(folder, environ, ahead))
        problems = _try_people(servers)
        deadline = time.monotonic() + LONGEST_SECONDS
        while (every.unfinished() or _is_due(due)) and time.monotonic() < deadline:
            time.sleep(0.5)
        problems += [f"{key}: not finished" for key in every.unfinished()]
        problems += [*every.problems(), *_stolen_leases(), *_described_twice(counting)]
        entries = AuditEntry.select().where(AuditEntry.action == "image.due").count()
        if entries != 1:
            problems.append(f"a due date was applied {entries} times")
        print(
            f"  calls to the cloud: at most {counting.maximum} at once (with one server: at most 3)"
        )
        return problems


@contextmanager
def _servers(folder: Path, environ: Mapping[str, str], ahead: int) -> Iterator[list[str]]:
    """Run two servers. Yield their URLs. The first server has the right clock."""
    source, library = folder / "clock.c", folder / "clock.so"
    source.write_text(LIBRARY)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)  # noqa: S607
    clock = {"LD_PRELOAD": str(library), "CLOCK_AHEAD": str(ahead)}
    with (
        serve_app(environ, folder / "log1") as right,
        serve_app({**environ, **clock}, folder / "log2") as other,
    ):
        yield [right.url, other.url]
        for log in (folder / "log1", folder / "log2"):
            for line in log.read_text().splitlines():
                if " ERROR " in line or "Traceback" in line:
                    print(f"  {log.name}: {line}")


def _make_due(every: EveryJob) -> int:
    """Set the due date of an image to 20 seconds from now, by the right clock.

    Return the record ID of the image.
    """
    used = {each for ids in every.images.values() for each in ids}
    free = Image.select(Image.id).where(Image.id.not_in(used)).order_by(Image.id.desc())
    found: int = free.first().id
    Image.update(due_at=now() + timedelta(seconds=20)).where(Image.id == found).execute()
    return found


def _is_due(image_id: int) -> bool:
    return bool(Image.select().where((Image.id == image_id) & Image.due_at.is_null(False)).exists())


def _stolen_leases() -> list[str]:
    """Return a text if a server took over work although the other server was alive."""
    lost = int(JobRow.select(fn.SUM(JobRow.lost_leases)).scalar() or 0)
    again = JobRow.select().where(JobRow.attempts > 1).count()
    return [f"{lost} stolen leases, {again} rows with several attempts"] if lost or again else []


def _described_twice(counting: CountingCloud) -> list[str]:
    """Return a text if jobs called the cloud more than once for the same image."""
    twice = {key: count for key, count in counting.described.items() if count > 1 and key}
    twice.pop(PERSONS_IMAGE, None)
    return [f"{len(twice)} images were requested from the cloud more than once"] if twice else []


PERSONS_IMAGE = "ami-0123456789abcdef0"
"""The image that the person looks up at both servers. No job uses it."""


def _try_people(servers: list[str]) -> list[str]:
    """Sign in at each server, and try steps at the other. Return a text for each failed step."""
    problems = []
    for number, (first, second) in enumerate((servers, servers[::-1])):
        works = _try_person(first, second, number)
        problems += [
            f"signed in at server {number + 1}: {name} fails at server {2 - number}"
            for name, does_work in works.items()
            if not does_work
        ]
    return problems


def _try_person(first: str, second: str, number: int) -> dict[str, bool]:
    """Sign in at the first server. Return whether each step works at the second server."""
    session = _sign_in(first, "account-admin@example.com")
    page = session.get(f"{second}/account/acme/images", allow_redirects=False, timeout=30)
    return {
        "a list": page.status_code == 200,
        "a registration": _register(session, first, second, number),
        "an invitation": _invite(session, first, second, number),
        "signing out": _sign_out(session, first, second),
    }


def _sign_in(server: str, email: str) -> requests.Session:
    session = requests.Session()
    page = session.get(f"{server}/sign-in", timeout=30).text
    form = {"csrf_token": _token(page), "email": email, "password": PASSWORD}
    session.post(f"{server}/sign-in", data=form, headers=_origin(server), timeout=30)
    return session


def _register(session: requests.Session, first: str, second: str, number: int) -> bool:
    """Look up an image at the first server. Return whether the second server can register it."""
    credentials = CloudCredentials.get(name="AWS").id
    query = {"credentials": str(credentials), "location": "us-east-1", "image_id": PERSONS_IMAGE}
    path = "/account/acme/images/new/aws/confirm"
    page = session.get(f"{first}{path}", params=query, timeout=30).text
    form = {
        "csrf_token": _token(page),
        "receipt": receipt_in(page),
        "name": f"of a person {number}",
        "os_family": "ubuntu",
        "os_version": "ubuntu|24.04",
        "size_gb": "8",
    }
    action = f"{second}{form_action(page)}"
    response = session.post(
        action, data=form, headers=_origin(second), allow_redirects=False, timeout=30
    )
    Image.delete().where(Image.cloud_image_id == PERSONS_IMAGE).execute()
    return response.status_code == 303


def _invite(session: requests.Session, first: str, second: str, number: int) -> bool:
    """Invite somebody at the first server. Return whether the link works at the second."""
    members = "/account/acme/members"
    page = session.get(f"{first}{members}", timeout=30).text
    form = {"csrf_token": _token(page), "email": f"new{number}@example.com", "role": "viewer"}
    page = session.post(f"{first}{members}", data=form, headers=_origin(first), timeout=30).text
    link = re.search(r"/invitation/[\w-]+", page)
    assert link is not None, page
    page = requests.get(f"{second}{link[0]}", timeout=30).text
    return "password" in page.lower()


def _sign_out(session: requests.Session, first: str, second: str) -> bool:
    """Sign out at the first server. Return whether the second refuses the old cookies."""
    old = session.cookies.copy()
    token = _token(session.get(f"{first}/account/acme/images/new", timeout=30).text)
    session.post(
        f"{first}/sign-out", data={"csrf_token": token}, headers=_origin(first), timeout=30
    )
    response = requests.get(
        f"{second}/account/acme/images", cookies=old, allow_redirects=False, timeout=30
    )
    return response.status_code == 303


def _origin(server: str) -> dict[str, str]:
    return {"Origin": server}


def _token(page: str) -> str:
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page) or re.search(
        r"X-CSRFToken&#34;: &#34;([^&]+)", page
    )
    assert found is not None, page
    return found[1]


if __name__ == "__main__":
    main()
