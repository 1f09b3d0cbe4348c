"""Measure work on very many images: its requests, its speed, and how it affects other people.

    python -m bench.large_work --database sqlite|postgresql [--images 100000] [--lines 20000]
        [--seconds 20] [--only edit]

One account owns about `--images` images. A person previews, starts and stops bulk actions on all of
them, undoes a deletion, exports the images, and imports a file. The benchmark stops a job that runs
for more than `--seconds`. During each step, the benchmark changes an image of the same account in
the database about ten times a second, and a person of another account opens lists. While the
benchmark watches a job, this person also applies bulk actions to ten images. The application runs
under gunicorn with two workers. To measure another version, change to the checkout of that version,
set PYTHONPATH to that checkout, and run this file with `python -P`.
"""

from __future__ import annotations

import argparse
import html
import os
import re
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import psycopg
import requests

from bench import fleet
from bench.fleet_database import DURABLE, open_fleet
from bench.measure import percentiles, resident_mb, sign_in
from tests import served

WEIGHT_OF_LARGE_ACCOUNT = 0.45
"""The weight of `fleet.LARGE_ACCOUNT` among the owners of images."""
SUM_OF_WEIGHTS = 0.97
"""The approximate sum of the weights of all owners in `bench.fleet`."""
IMAGES = f"/account/{fleet.LARGE_ACCOUNT}/images"
OTHER_IMAGES = f"/account/{fleet.SMALL_ACCOUNT}/images"
HIDDEN_FIELD = re.compile(r'<input[^>]*type="hidden"[^>]*>')
WRITE = (
    "UPDATE image SET agent_installed = NOT agent_installed, revision = revision + 1, "
    "derived_revision = derived_revision + 1"
)
PROGRESS = re.compile(r"([\d,]+) of ([\d,]+) processed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--lines", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument(
        "--only", default="", help="measure only the steps whose name contains this text"
    )
    arguments = parser.parse_args()
    images = int(arguments.images / WEIGHT_OF_LARGE_ACCOUNT * SUM_OF_WEIGHTS)
    settings = {**DURABLE, "autovacuum": "on"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with open_fleet(arguments.database, folder, images, settings=settings) as url:
            environ = {**served.app_environ(folder), "DATABASE_URL": url}
            with served.serve_app(environ, folder / "log", workers=2) as server:
                print(f"{served.ROOT.name}, {arguments.database}, load {os.getloadavg()[0]:.1f}:")
                _Bench(server, url, arguments.seconds, arguments.lines).run(arguments.only)


class _Bench:
    """Measures the steps one after the other."""

    def __init__(self, server: served.Server, url: str, seconds: float, lines: int) -> None:
        self._server, self._seconds, self._lines = server, seconds, lines
        self._database_url = url
        self._actor = sign_in(server.url, fleet.SCALR_ADMIN)
        self._other = sign_in(server.url, fleet.EMAIL_SEEING_LITTLE)

    def run(self, only: str) -> None:
        steps: dict[str, Callable[[], str]] = {
            "nothing": lambda: time.sleep(self._seconds / 2) or "",  # type: ignore[func-returns-value]
            "edit": lambda: self._bulk_action("agent"),
            "deletion": self._delete_and_restore,
            "export": self._export,
            "import": self._import,
        }
        for name, step in steps.items():
            if only in name:
                with _BackgroundLoad(self._server, self._database_url, self._other) as load:
                    print(f"  {name}: {step()}")
                print(f"    {load.report()}", flush=True)

    def _bulk_action(self, action: str) -> str:
        """Apply a bulk action to all images of the account, and return the times.

        The URL of the job is stored in `_job`.
        """
        chosen = {"action": action, "all": "y", "q": ""}
        page, preview_seconds = self._post(f"{IMAGES}/bulk", chosen, IMAGES)
        if "bulk/start" not in page.text:
            return "refused"
        fields = {**_hidden_fields(page.text), **chosen}
        response, start_seconds = self._post(f"{IMAGES}/bulk/start", fields, IMAGES)
        self._job = response.url
        report = f"preview {preview_seconds:.2f} s, start {start_seconds:.2f} s"
        return f"{report}, form {len(fields['revisions']) // 1024} kB, {self._watch_job()}"

    def _delete_and_restore(self) -> str:
        deletion = self._bulk_action("delete")
        page = self._actor.get(self._job, timeout=60).text
        batch = re.search(r'name="batch" value="([^"]+)"', page)
        if batch is None:
            return deletion
        response, seconds = self._post(f"{IMAGES}/undelete", {"batch": batch[1]}, self._job)
        self._job = response.url
        return f"{deletion}\n    undo: request {seconds:.2f} s, {self._watch_job()}"

    def _watch_job(self) -> str:
        """Watch the job, and stop it after a while. Meanwhile, start jobs of another person."""
        began = time.monotonic()
        other_seconds: list[float] = []
        pages: list[float] = []
        done = total = 0
        while (elapsed := time.monotonic() - began) < self._seconds:
            requested = time.monotonic()
            page = self._actor.get(self._job, timeout=60).text
            pages.append((time.monotonic() - requested) * 1000)
            if found := PROGRESS.search(page):
                done, total = (int(number.replace(",", "")) for number in found.groups())
            if 'id="stop-job"' not in page:
                break
            if len(other_seconds) < elapsed // 4:
                other_seconds.append(self._other_job())
            time.sleep(0.5)
        self._post(f"{self._job.partition('?')[0]}/stop", {}, self._job)
        return (
            f"{done:,} of {total:,} rows in {elapsed:.1f} s, {done / elapsed:.0f} rows/s, page of "
            f"the job p95 {percentiles(pages)[1]:.0f} ms, job of another person "
            f"{', '.join(f'{each:.2f}' for each in other_seconds)} s"
        )

    def _other_job(self) -> float:
        """Return the seconds until an action on ten images of another account is done."""
        url = self._server.url
        page = self._other.get(url + OTHER_IMAGES, timeout=60).text
        ids = re.findall(r'name="image"[^>]*value="(\d+)"', page)[:10]
        self._switch = "no-agent" if getattr(self, "_switch", "") == "agent" else "agent"
        chosen = {"action": self._switch, "image": ids}
        began = time.monotonic()
        preview = self._submit(self._other, f"{OTHER_IMAGES}/bulk", chosen, page)
        if "bulk/start" not in preview.text:
            return time.monotonic() - began
        fields = {**_hidden_fields(preview.text), **chosen}
        response = self._submit(self._other, f"{OTHER_IMAGES}/bulk/start", fields, page)
        while "Running." in response.text or "Queued." in response.text:
            time.sleep(0.1)
            response = self._other.get(response.url, timeout=60)
        return time.monotonic() - began

    def _export(self) -> str:
        began = time.monotonic()
        size = 0
        url = f"{self._server.url}{IMAGES}/export.csv"
        with self._actor.get(url, stream=True, timeout=120) as response:
            for piece in response.iter_content(256 * 1024):
                size += len(piece)
        return f"{size / 2**20:.0f} MB in {time.monotonic() - began:.1f} s"

    def _import(self) -> str:
        text = "\n".join(
            f"aws,eu-north-1,ami-{number:017x},ubuntu-24.04-{number}"
            for number in range(2**40, 2**40 + self._lines)
        )
        files = {"file": ("images.csv", f"cloud,location,cloud_image_id,name\n{text}")}
        form = self._actor.get(f"{self._server.url}{IMAGES}/import", timeout=60).text
        began = time.monotonic()
        response = self._submit(
            self._actor, f"{IMAGES}/import", {"how": "unverified"}, form, files=files
        )
        sent = time.monotonic()
        while "plan" not in _hidden_fields(response.text):
            time.sleep(0.2)
            response = self._actor.get(response.url, timeout=60)
            if time.monotonic() - sent > 300:
                return "the plan is never ready"
        planned = time.monotonic()
        path = urlsplit(response.url).path
        response = self._submit(self._actor, path, _hidden_fields(response.text), response.text)
        confirmed = time.monotonic()
        self._job = response.url
        return (
            f"request {sent - began:.2f} s, planned after {planned - sent:.1f} s, confirmation "
            f"{confirmed - planned:.2f} s, {self._watch_job()}"
        )

    def _post(
        self, path: str, fields: Mapping[str, Any], form: str
    ) -> tuple[requests.Response, float]:
        """Return the response after all redirects, and the seconds until the first response."""
        page = self._actor.get(self._absolute(form), timeout=60).text
        response = self._submit(self._actor, path, fields, page)
        first = response.history[0] if response.history else response
        return response, first.elapsed.total_seconds()

    def _submit(
        self,
        session: requests.Session,
        path: str,
        fields: Mapping[str, Any],
        page: str,
        **options: Any,
    ) -> requests.Response:
        token = re.search(r'name="csrf_token" value="([^"]+)"', page)
        assert token is not None
        data = {**fields, "csrf_token": token[1]}
        return session.post(self._absolute(path), data=data, timeout=120, **options)

    def _absolute(self, path: str) -> str:
        return path if path.startswith("http") else self._server.url + path


def _hidden_fields(page: str) -> dict[str, str]:
    fields = {}
    for tag in HIDDEN_FIELD.findall(page):
        attributes = dict(re.findall(r'(\w+)="([^"]*)"', tag))
        fields[attributes.get("name", "")] = html.unescape(attributes.get("value", ""))
    return fields


class _BackgroundLoad:
    """Writes to the database and opens lists while a `with` block runs, and measures the memory."""

    def __init__(self, server: served.Server, database_url: str, session: requests.Session) -> None:
        self._server, self._url = server, database_url
        self._session = requests.Session()
        self._session.cookies.update(session.cookies)
        self._ended = threading.Event()
        self._writes: list[float] = []
        self._lists: list[float] = []
        self._memory = 0.0
        works = (self._write, self._list, self._measure_memory)
        self._threads = [threading.Thread(target=self._repeat, args=(work,)) for work in works]
        self._connection: Any = None

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def report(self) -> str:
        writes, lists = percentiles(self._writes), percentiles(self._lists)
        return (
            f"another writer p50 {writes[0]:.0f} ms, p95 {writes[1]:.0f} ms, longest "
            f"{max(self._writes):.0f} ms; lists p50 {lists[0]:.0f} ms, p95 {lists[1]:.0f} ms, "
            f"longest {max(self._lists):.0f} ms; memory {self._memory:.0f} MB"
        )

    def _repeat(self, work: Callable[[], None]) -> None:
        while not self._ended.wait(0.1):
            work()

    def _write(self) -> None:
        if self._connection is None:
            self._connection, self._image = _connect(self._url)
        began = time.perf_counter()
        self._connection.execute("BEGIN" if self._is_postgresql() else "BEGIN IMMEDIATE")
        self._connection.execute(f"{WRITE} WHERE id = {self._image}")
        self._connection.execute("COMMIT")
        self._writes.append((time.perf_counter() - began) * 1000)

    def _is_postgresql(self) -> bool:
        return self._url.startswith("postgresql")

    def _list(self) -> None:
        began = time.perf_counter()
        response = self._session.get(self._server.url + OTHER_IMAGES, timeout=60)
        assert response.ok, response.status_code
        self._lists.append((time.perf_counter() - began) * 1000)

    def _measure_memory(self) -> None:
        self._memory = max(self._memory, resident_mb(self._server.pid))
        self._ended.wait(0.5)


def _connect(url: str) -> tuple[Any, int]:
    """Return a connection to the database, and the record ID of an image of the large account."""
    statement = (
        "SELECT max(image.id) FROM image JOIN scope ON scope.id = image.scope_id "  # noqa: S608
        f"WHERE scope.path = '{fleet.LARGE_ACCOUNT}'"
    )
    connection: Any
    if url.startswith("postgresql"):
        connection = psycopg.connect(url, autocommit=True)
    else:
        path = urlsplit(url).path
        connection = sqlite3.connect(
            path, timeout=60, isolation_level=None, check_same_thread=False
        )
    (image_id,) = connection.execute(statement).fetchone()
    return connection, image_id or 0


if __name__ == "__main__":
    main()
