"""No request makes the server fail, whatever its URL, fields and headers contain.

`HOSTILE_REQUESTS` and `HOSTILE_SEED` in the environment change the number of requests for each
person, and which requests are made.
"""

from __future__ import annotations

import logging
import os
import socket
import traceback
import zlib
from collections import Counter
from collections.abc import Callable

import pytest
from flask import Flask

import models
from models import CloudCredentials, Image, Invitation, Job, Membership, SavedView, Scope
from schema.base import Table
from tests.cast import CAST, HOMES
from tests.conftest import ClientOf
from tests.views.hostile import Crawl
from tests.views.test_access_matrix import URLS, create_records, table_rows

__all__ = ["create_records"]

log = logging.getLogger(__name__)
REQUESTS = int(os.environ.get("HOSTILE_REQUESTS", "150"))
SEED = int(os.environ.get("HOSTILE_SEED", "1"))


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection of an SDK at once. The database has its own sockets."""

    def refuse(*_arguments: object, **_options: object) -> None:
        raise ConnectionRefusedError

    def not_found(*_arguments: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", not_found)
    monkeypatch.setattr("time.sleep", lambda _seconds: None)


TABLES = (Scope, Membership, CloudCredentials, Image, Invitation, SavedView, Job)
"""Tables whose rows the requests may delete, in an order in which they can be restored."""
RESTORE_EVERY = 10
"""Requests after which the person signs in again, and deleted rows are restored."""
Rows = dict[type[Table], list[dict[str, object]]]


def stored_rows() -> Rows:
    with models.database.connection_context():
        return {table: [*table.select().dicts()] for table in TABLES}


def restore(rows: Rows) -> None:
    """Insert the rows that were deleted, and restore the roles of people."""
    with models.database.connection_context():
        for table, stored in rows.items():
            for row in stored:
                if table is Membership:
                    Membership.update_all(role=row["role"]).where(
                        Membership.id == row["id"]
                    ).execute()
                table.insert(row).on_conflict_ignore().execute()


@pytest.mark.parametrize("who", [*CAST, "nobody"])
def test_no_request_makes_the_server_fail(
    app: Flask,
    client_of: ClientOf,
    create_records: Callable[[str], dict[str, object]],
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
        "view_id": [records["view"], records["private"]],
        "job_id": [records["job"]],
        "account": ["acme"],
        "environment": ["production"],
        "cloud_key": ["aws", "azure", "gce", "openstack", "vmware"],
        "slug": ["globex", "staging"],
        "name": ["globex", "staging", "searching"],
    }
    client = client_of(who)
    crawl = Crawl(app, SEED + zlib.crc32(who.encode()), arguments)
    paths = [
        URLS[level] + row.path.format(**records)
        for row in table_rows()
        if row.method == "GET" and level[0] in row.levels
    ]
    crawl.read_forms(client, [*paths, "/sign-in", "/password", "/scopes"])
    failures: Counter[str] = Counter()
    examples: dict[str, str] = {}
    statuses: Counter[int] = Counter()
    rows, has_signed_out = stored_rows(), False
    for index, request in enumerate(crawl.requests(REQUESTS)):
        if index % RESTORE_EVERY == 0 or has_signed_out:
            restore(rows)
            client = client_of(who)
        has_signed_out = request.path == "/sign-out"
        try:
            status = request.send(client)
        except Exception as error:  # noqa: BLE001  every error is a failure
            last = traceback.extract_tb(error.__traceback__)[-1]
            cause = f"{type(error).__name__} at {last.filename}:{last.lineno}: {error}"[:300]
            status = 500
        else:
            cause = f"status {status} of {request.path}"
        statuses[status] += 1
        if status >= 500:
            failures[cause] += 1
            examples.setdefault(cause, f"{request!r}"[:1500])
    log.info("%s: %s", who, dict(sorted(statuses.items())))
    assert not failures, "\n".join(
        f"{number} × {cause}\n    {examples[cause]}" for cause, number in failures.most_common()
    )
