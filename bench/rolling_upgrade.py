"""Upgrade a running installation, and count the requests that fail.

    python -m bench.rolling_upgrade OLD_CHECKOUT [--database sqlite|postgresql]

A server of the old checkout and, after `migrate`, a server of this checkout use the same database.
The steps are those of "Upgrade without an interruption" in `docs/upgrade.md`. People work on both
servers over HTTP: they register, edit, list and delete images of the sandbox. At the end, the
benchmark compares the database with the responses that the people got, and counts the rows whose
new columns are not filled.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlencode, urljoin

import requests

import models
from bench.measure import sign_in
from models import AuditEntry, Image
from sandbox import aws
from schema.images import UNDERIVED
from tests.database.servers import postgresql_server
from tests.served import ROOT, app_environ, python_of, sandbox, seed, serve_app
from webapp.database import close_all, open_database
from webapp.images.operating_systems import OTHER

SCOPES = tuple(f"/environment/{path}" for path in ("acme/production", "acme/staging", "globex/lab"))
"""Scopes that do not see each other's images.

The people of the first two use the old server, and those of the third use the new server."""
OPERATING_SYSTEM = {
    "os_family": OTHER,
    "os_family_other": "Linux",
    "os_version": OTHER,
    "os_version_other": "1",
}
EMAIL = "scalr@example.com"
PHASE_SECONDS = 8.0
"""How long people work on the old version alone, and then on both versions."""
CATCH_UP_SECONDS = 25.0
"""How long the new version runs alone, so that it can fill the new columns."""
PAUSE_SECONDS = 0.05


class _Forms(HTMLParser):
    """Collects the forms of a page: their URLs and the values of their fields."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, str]]] = []
        self._select = self._area = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append((values.get("action", ""), {}))
        elif self.forms and (name := values.get("name", self._select)):
            fields = self.forms[-1][1]
            if tag == "select":
                self._select = name
            elif tag == "textarea":
                self._area, fields[name] = name, ""
            elif (
                "selected" in values or name not in fields
                if tag == "option"
                else tag == "input"
                and (values.get("type") not in {"checkbox", "radio"} or "checked" in values)
            ):
                fields[name] = values.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self._select = ""
        elif tag == "textarea":
            self._area = ""

    def handle_data(self, data: str) -> None:
        if self._area:
            self.forms[-1][1][self._area] += data


class Worker(threading.Thread):
    """A person who registers, edits, lists and deletes images of one scope at one server."""

    def __init__(self, server: str, scope: str, results: Counter[str]) -> None:
        super().__init__(daemon=True)
        self._server, self._scope, self._results = server, scope, results
        self.ended = threading.Event()
        self.phase = "before"
        self.names: dict[str, str | None] = {}
        """The expected name of each image, or None for a deleted image, by the path of its page."""

    def run(self) -> None:
        self._session = sign_in(self._server, EMAIL)
        number = 0
        while not self.ended.is_set():
            path = self._register(aws.CATALOG[number % len(aws.CATALOG)], aws.REGIONS[number % 3])
            if path:
                self._edit(path, f"edited {number}")
                self._get("image", path)
            self._get("list", f"{self._scope}/images")
            if path and number % 3 == 0:
                self._delete_image(path)
            number += 1
            time.sleep(PAUSE_SECONDS)

    def _register(self, image: aws.SandboxImage, region: str) -> str | None:
        image_id = image.id_in(region)
        new = self._get("new", f"{self._scope}/images/new/aws")
        fields = {name: value for _, form in _forms(new) for name, value in form.items()}
        query = {"credentials": fields.get("credentials", ""), "location": region}
        url = f"{self._scope}/images/new/aws/confirm?{urlencode({**query, 'image_id': image_id})}"
        page = self._get("look-up", url, {200, 422})
        for action, form in _forms(page):
            if "receipt" in form:
                form |= {"name": f"registered {image_id}", **OPERATING_SYSTEM}
                target = self._post("register", action or url, form)
                if target is not None:
                    path = target.split("?")[0]
                    self.names[path] = form["name"]
                    return path
        return None

    def _edit(self, path: str, name: str) -> None:
        page = self._get("edit form", f"{path}/edit")
        for action, form in _forms(page):
            if "os_family" in form:
                form["name"] = name
                if self._post("edit", action or f"{path}/edit", form) is not None:
                    self.names[path] = name

    def _delete_image(self, path: str) -> None:
        page = self._get("delete form", f"{path}/delete")
        for action, form in _forms(page):
            if action.endswith("/delete") or (not action and "csrf_token" in form):
                if self._post("delete", action or f"{path}/delete", form) is not None:
                    self.names[path] = None
                return

    def _get(self, action: str, path: str, expected: set[int] | None = None) -> str:
        response = self._session.get(urljoin(self._server, path), timeout=60)
        self._count(action, response, response.status_code in (expected or {200}))
        return response.text if response.ok else ""

    def _post(self, action: str, path: str, form: Mapping[str, str]) -> str | None:
        """Return the path that the response redirects to, or None after an error."""
        url = urljoin(self._server, path)
        response = self._session.post(url, data=form, timeout=60, allow_redirects=False)
        is_done = response.status_code == 303
        self._count(action, response, is_done)
        return (
            urljoin(url, response.headers["Location"]).removeprefix(self._server)
            if is_done
            else None
        )

    def _count(self, action: str, response: requests.Response, is_done: bool) -> None:
        outcome = "ok" if is_done else str(response.status_code)
        self._results[f"{self.phase}: {action}: {outcome}"] += 1


def _forms(page: str) -> list[tuple[str, dict[str, str]]]:
    parser = _Forms()
    parser.feed(page)
    return parser.forms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path, help="a checkout of the old version")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, _database(arguments.database, Path(name)) as url:
        print(json.dumps(upgrade(url, arguments.old.resolve(), Path(name)), indent=2))


@contextmanager
def _database(kind: str, folder: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{folder}/registry.db"
        return
    with postgresql_server({}) as server:
        yield server.url


def upgrade(url: str, old: Path, folder: Path) -> dict[str, object]:
    """Upgrade an installation while people work, and return a report.

    The report contains the output and the duration of `migrate`, the number of requests with each
    outcome, the number of tracebacks in the log of each server, and the result of `_compare`.
    """
    environ = {**app_environ(folder), "DATABASE_URL": url}
    results: dict[str, Counter[str]] = {"old": Counter(), "new": Counter()}
    with sandbox(folder) as file:
        _flask(old, environ, "migrate")
        seed(environ, file, old)
        with serve_app(environ, folder / "old.log", 2, old) as old_server:
            at_old = [Worker(old_server.url, scope, results["old"]) for scope in SCOPES[:2]]
            _start(at_old)
            time.sleep(PHASE_SECONDS)
            _enter("while migrating", at_old)
            begun = time.monotonic()
            applied = _flask(ROOT, environ, "migrate")
            seconds = round(time.monotonic() - begun, 1)
            with serve_app(environ, folder / "new.log", 2) as new_server:
                at_new = [Worker(new_server.url, scope, results["new"]) for scope in SCOPES[2:]]
                _enter("both versions", [*at_old, *at_new])
                _start(at_new)
                time.sleep(PHASE_SECONDS)
                _end(at_old)
                old_server.end()
                _enter("new version", at_new)
                time.sleep(CATCH_UP_SECONDS)
                _end(at_new)
        errors = {
            log.stem: sum("Traceback" in line for line in log.read_text().splitlines())
            for log in folder.glob("*.log")
        }
    return {
        "migrate": applied,
        "seconds": seconds,
        "requests": results,
        "tracebacks": errors,
        **_compare(url, [*at_old, *at_new]),
    }


def _flask(checkout: Path, environ: Mapping[str, str], command: str) -> str:
    arguments = [python_of(checkout), "-m", "flask", "--app", "webapp", command]
    done = subprocess.run(
        arguments, env=environ, cwd=checkout, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def _start(workers: list[Worker]) -> None:
    for worker in workers:
        worker.start()


def _enter(phase: str, workers: list[Worker]) -> None:
    for worker in workers:
        worker.phase = phase


def _end(workers: list[Worker]) -> None:
    for worker in workers:
        worker.ended.set()
    for worker in workers:
        worker.join()


def _compare(url: str, workers: list[Worker]) -> dict[str, object]:
    """Compare the database with the responses that the workers got."""
    expected = {path: name for worker in workers for path, name in worker.names.items()}
    database = open_database(url)
    models.database.initialize(database)
    with models.database.connection_context():
        names = {image.id: image.name for image in Image.select()}
        wrong = [
            path for path, name in expected.items() if names.get(int(path.split("/")[-1])) != name
        ]
        found: dict[str, object] = {
            "images": len(expected),
            "wrong": wrong,
            "underived": Image.select().where(UNDERIVED).count(),
            "without_keys": Image.select().where(Image.location_key.is_null()).count(),
            "entries_without_account": AuditEntry.select()
            .where(AuditEntry.account_id.is_null(), AuditEntry.scope_label != "Scalr")
            .count(),
        }
    close_all(database)
    return found


if __name__ == "__main__":
    main()
