"""No request makes the server fail, whatever its URL, fields and headers contain.

No answer contains markup of a request, a secret, or a redirect to another site. No request changes
a record that the person may not change. `HOSTILE_REQUESTS` and `HOSTILE_SEED` in the environment
change the number of requests for each person, and which requests are made.
"""

from __future__ import annotations

import logging
import os
import traceback
import zlib
from collections import Counter
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

import models
from models import Membership, Person
from tests.access_tables import URLS
from tests.cast import CAST, HOMES
from tests.conftest import ClientOf
from tests.views.hostile import Crawl, Request, record_names
from tests.views.hostile_effects import Rows, answer_problems, forbidden_changes, stored_rows
from tests.views.test_access_matrix import ROWS, create_records

__all__ = ["create_records"]

log = logging.getLogger(__name__)
REQUESTS = int(os.environ.get("HOSTILE_REQUESTS", "150"))
SEED = int(os.environ.get("HOSTILE_SEED", "1"))


RESTORE_EVERY = 10
"""Requests after which the person signs in again, and deleted rows are restored."""


def restore(rows: Rows) -> None:
    """Insert the rows that were deleted, and restore people and their roles."""
    with models.database.connection_context():
        for table, stored in rows.items():
            for row in stored:
                if table is Person:
                    Person.update(row).where(Person.id == row["id"]).execute()
                if table is Membership:
                    Membership.update_all(role=row["role"]).where(
                        Membership.id == row["id"]
                    ).execute()
                table.insert(row).on_conflict_ignore().execute()


def send(request: Request, client: FlaskClient) -> tuple[int, list[str]]:
    """Send a request. Return the status of the answer, and what is wrong with it."""
    try:
        answer = request.send(client)
    except Exception as error:  # noqa: BLE001  every error is a failure
        last = traceback.extract_tb(error.__traceback__)[-1]
        return 500, [f"{type(error).__name__} at {last.filename}:{last.lineno}: {error}"[:300]]
    problems = answer_problems(answer)
    if answer.status_code >= 500:
        problems.append(f"status {answer.status_code}")
    return answer.status_code, [f"{problem} in {request.path}" for problem in problems]


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("who", [*CAST, "nobody"])
def test_no_request_makes_the_server_fail(
    app: Flask,
    client_of: ClientOf,
    create_records: Callable[[str], dict[str, object]],
    monkeypatch: pytest.MonkeyPatch,
    who: str,
) -> None:
    level = who.partition("-")[0]
    level = level if level in HOMES else "account"
    records = create_records(level)
    arguments: dict[str, list[object]] = {
        "image_id": [records[name] for name in ("image", "promoted", "deleted", "inherited")],
        "credentials_id": [records["credentials"], records["foreign"]],
        "member_id": [records["member"]],
        "membership_id": [records["member"]],
        "invitation_id": [records["invitation"]],
        "person_id": [records["person"], records["lost_person"]],
        "view_id": [records["view"], records["private"]],
        "job_id": [records["job"]],
        "account": ["acme"],
        "environment": ["production"],
        "cloud_key": ["aws", "azure", "gce", "openstack", "vmware"],
        "slug": ["globex", "staging"],
        "name": ["globex", "staging", "searching"],
    }
    client = client_of(who)
    foreign = [str(records[name]) for name in ("unrelated", "foreign", "private", "job")]
    foreign += [f"#{records['unrelated']}", f"ami-{9:017x}", "globex", "globex/lab", "there"]
    foreign += ["stranger", "stranger@example.com", "owner@example.com"]
    recording_request, names_read = record_names(app)
    monkeypatch.setattr(app, "request_class", recording_request)
    crawl = Crawl(app, SEED + zlib.crc32(who.encode()), arguments, foreign, names_read)
    paths = [
        URLS[level] + row.path.format(**records)
        for row in ROWS
        if row.method == "GET" and level[0] in row.levels
    ]
    crawl.read_forms(client, [*paths, "/sign-in", "/password", "/scopes"])
    failures: Counter[str] = Counter()
    examples: dict[str, str] = {}
    statuses: Counter[int] = Counter()
    inputs = 0
    initial = before = stored_rows()
    has_signed_out, batch = False, list[Request]()

    def note(cause: str, example: str) -> None:
        failures[cause] += 1
        if cause not in examples:
            examples[cause] = example
            log.warning("%s: %s\n    %s", who, cause, example)

    for index, request in enumerate(crawl.requests(REQUESTS)):
        if index % RESTORE_EVERY == 0 or has_signed_out:
            for change in forbidden_changes(who, before, stored_rows()):
                note(f"forbidden change of {change}"[:1000], f"{batch!r}"[:9000])
            restore(initial)
            before, batch = stored_rows(), []
            client = client_of(who)
        has_signed_out = request.path == "/sign-out"
        batch.append(request)
        inputs += len(request.query) + len(request.fields) + len(request.headers)
        status, problems = send(request, client)
        statuses[status] += 1
        for problem in problems:
            note(problem, f"{request!r}"[:1500])
        if (index + 1) % 100 == 0:
            log.info("%s: %s requests, %s failures", who, index + 1, failures.total())
    log.info("%s: %s inputs, %s", who, inputs, dict(sorted(statuses.items())))
    assert not failures, "\n".join(
        f"{number} × {cause}\n    {examples[cause]}" for cause, number in failures.most_common()
    )
