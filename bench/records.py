"""Measure the pages of records other than images: audit log, scopes, environments, credentials.

The benchmark fills a database with many records of each kind, and requests each page in the same
process, so the times contain no network. It prints p50 and p95 in milliseconds, the number of
statements, and the size of the page. To measure another version, change to the checkout of that
version, set PYTHONPATH to that checkout, and run this file with `python -P`.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from statistics import quantiles
from typing import Any

from cryptography.fernet import Fernet

import models
import webapp
from models import AuditEntry, CloudCredentials, Level, Membership, Person, Role, Scope, now
from tests.postgresql import cluster
from webapp.database import migrate
from webapp.people import accounts

PASSWORD = "correct horse battery"  # noqa: S105  only for the measurement
CHUNK = 500
PEOPLE = 200
FREQUENT_ACTIONS = ("image.check", "image.edit", "image.register")
RARE = {"person_name": "Rare", "action": "credentials.delete", "subject": "needle"}
"""The person, action and subject of three old entries."""
JOB = {"action": "image.edit", "job_id": 77}
"""The action and the job of almost all entries in the range JOB_RANGE of the log."""
JOB_RANGE = (0.85, 0.95)
"""Where the range begins and ends, as fractions of the number of all entries."""
ENTRIES_PER_ENVIRONMENT_ENTRY = 100
"""One in this many entries belongs to an environment of the large account."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--scopes", type=int, default=5_000, help="environments of one account")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--rounds", type=int, default=50)
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        url = f"sqlite:///{Path(folder)}/registry.db"
        if options.database == "postgresql":
            url = stack.enter_context(cluster(own=True))
        _measure(url, options.entries, options.scopes, options.rounds)


def _measure(url: str, entries: int, scopes: int, rounds: int) -> None:
    key = Fernet.generate_key().decode()
    environ = {"SECRET_KEY": key, "CREDENTIALS_KEYS": key, "SECURE_COOKIES": "false"}
    app = webapp.create_app({**environ, "DATABASE_URL": url})
    app.config.update(TESTING=True, WTF_CSRF_ENABLED=False)
    with models.database.connection_context():
        migrate(models.database.obj)
        _fill(entries, scopes)
    client = app.test_client()
    client.post("/sign-in", data={"email": "admin@example.com", "password": PASSWORD})
    statements = _record_statements()
    print(f"{'milliseconds':36}{'p50':>9}{'p95':>9}{'statements':>12}{'HTML kB':>9}")
    for name, path in {
        "audit log of the Scalr scope": "/scalr/audit",
        "audit log of a large account": "/account/large/audit",
        "audit log of another account": "/account/other/audit",
        "audit log without entries": "/account/quiet/audit",
        "audit log of an environment": "/environment/large/e7/audit",
        "audit log, far page": f"/account/large/audit?before={entries // 2}",
        "audit log, a large job": f"/account/other/audit?before={entries * 94 // 100}",
        **_searches(entries),
        "scopes": "/scopes",
        "scopes, searched": "/scopes?q=e499",
        "environments": "/account/large/environments",
        "credentials": "/account/large/credentials",
    }.items():
        client.get(path)
        times = []
        for _ in range(rounds):
            statements.clear()
            began = time.perf_counter()
            response = client.get(path)
            times.append((time.perf_counter() - began) * 1000)
            assert response.status_code == 200, (path, response.status_code)
        cuts = quantiles(times, n=100, method="inclusive")
        size = len(response.data) / 1000
        print(f"{name:36}{cuts[49]:9.1f}{cuts[94]:9.1f}{len(statements):12}{size:9.0f}", flush=True)


def _searches(entries: int) -> dict[str, str]:
    """Return the URLs of searches in the whole log and in the log of an account, by case name."""
    searches = {
        "frequent person": "by:%22Person 0%22",
        "rare person": "by:Rare",
        "beginning of many names": "by:person",
        "frequent action": "did:check",
        "rare action": "did:delete",
        "all but an action": "-did:check",
        "kind": "on:image",
        "person and action": "by:%22Person 0%22 did:edit",
        "person without the action": "by:%22Person 0%22 did:delete",
        "frequent word": "web-12",
        "word without entries": "needlx",
        "beginning of a name": "on:needle",
        "person and word": "by:%22Person 0%22 needlx",
        "many people, action and word": "by:person did:check needlx",
        "period": "at:>2000 at:<=2999",
        "days": "at:7d",
        "person and days": "at:30d by:%22Person 3%22",
        "job": "job:77",
        "all but a person": "-by:%22Person 0%22",
        "word, far page": f"web-12&before={entries // 2}",
    }
    scopes = {"Scalr": "/scalr", "account": "/account/other"}
    return {
        f"{level}: {name}": f"{path}/audit?q={text.replace(' ', '+')}"
        for name, text in searches.items()
        for level, path in scopes.items()
    } | {"suggestions of people": "/account/other/audit/suggestions?q=by:p"}


def _fill(entries: int, scopes: int) -> None:
    scalr = Scope.get(Scope.path == "")
    person = accounts.create("admin@example.com", "Admin", PASSWORD)
    Membership.create(person=person, scope=scalr, role=Role.ADMIN)
    large, other, _quiet = (
        Scope.create(level=Level.ACCOUNT, parent=scalr, path=name, name=name)
        for name in ("large", "other", "quiet")
    )
    names = [f"e{number}" for number in range(scopes)]
    environment = {"level": Level.ENVIRONMENT, "parent": large}
    _insert(Scope, ({**environment, "path": f"large/{name}", "name": name} for name in names))
    owned = {"scope": large, "cloud": "aws", "settings": {}, "secrets": ""}
    _insert(CloudCredentials, ({**owned, "name": name} for name in names))
    below = [each.id for each in Scope.select().where(Scope.parent == large)]
    _insert(Person, _people())
    _insert(AuditEntry, _entries(entries, other.id, below))
    if models.database.param == "%s":
        models.database.execute_sql("ANALYZE")


def _people() -> Iterator[dict[str, Any]]:
    for number in range(PEOPLE):
        yield {
            "email": f"person{number}@example.com", "name": f"Person {number}",
            "password_hash": "", "session_key": "",
        }  # fmt: skip


def _entries(count: int, other: int, below: list[int]) -> Iterator[dict[str, Any]]:
    """Yield entries of a year, the oldest first."""
    first_moment = now() - timedelta(days=365)
    values = {
        "scope_label": "Account other", "record": "image:1", "revision": 1,
        "changes": {"name": ["ubuntu", "ubuntu-noble"]},
    }  # fmt: skip
    chance = random.Random(1)  # noqa: S311  not a secret
    for number in range(count):
        is_below = number % ENTRIES_PER_ENVIRONMENT_ENTRY == 0
        index = number // ENTRIES_PER_ENVIRONMENT_ENTRY % len(below)
        # A few people make most changes.
        person = int(PEOPLE * chance.random() ** 4)
        entry = {
            "at": first_moment + timedelta(days=365) * (number / count),
            "scope": below[index] if is_below else other,
            "person_name": f"Person {person}",
            "action": chance.choices(FREQUENT_ACTIONS, (50, 30, 20))[0],
            "subject": f"web-{chance.randrange(50_000)}",
            "job_id": None,
        }
        if number in range(1_001, 1_004):
            entry |= RARE
        if JOB_RANGE[0] <= number / count < JOB_RANGE[1] and number % 50:
            entry |= JOB
        yield {**values, **entry}


def _insert(table: Any, rows: Iterator[dict[str, Any]]) -> None:
    with models.transaction():
        chunk = []
        for row in rows:
            chunk.append(row)
            if len(chunk) == CHUNK:
                table.insert_many(chunk).execute()
                chunk = []
        if chunk:
            table.insert_many(chunk).execute()


def _record_statements() -> list[str]:
    """Return a list to which the SQL of each statement is appended."""
    statements: list[str] = []
    database: Any = models.database.obj
    execute = database.execute_sql

    def execute_and_record(sql: str, *arguments: Any, **options: Any) -> Any:
        statements.append(sql)
        return execute(sql, *arguments, **options)

    database.execute_sql = execute_and_record
    return statements


if __name__ == "__main__":
    main()
