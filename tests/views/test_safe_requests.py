"""Every route with GET changes nothing, and no route with POST accepts a form of another site.

The routes come from the tables of the access matrix, which cover all routes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import models
from models import Notice, SignInSession
from tests.access_tables import URLS
from tests.cast import HOMES
from tests.conftest import ClientOf
from tests.views.test_access_matrix import PERSONAL, ROWS, create_records

__all__ = ["create_records"]

CreateRecords = Callable[[str], dict[str, object]]
CROSS_SITE: tuple[dict[str, str], ...] = (
    {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
    {"Origin": "https://evil.example"},
    {},
)
"""Headers of requests from a form, a picture or a script of another site."""
DOWNLOADS = {"text/csv", "application/json", "application/jsonl"}

pytestmark = pytest.mark.usefixtures("no_network")


def all_rows() -> dict[str, list[Any]]:
    """Return the rows of all tables, without the time of the last use of sessions.

    A message to the person, such as “This rule no longer exists”, is also a row of `Notice`. It
    changes nothing else.
    """
    tables = [table for table in models.TABLES if table is not Notice]
    with models.database.connection_context():
        rows: dict[str, list[Any]] = {
            table.__name__: list(table.select().order_by().dicts()) for table in tables
        }
    for row in rows[SignInSession.__name__]:
        del row["seen_at"]
    return {name: sorted(found, key=repr) for name, found in rows.items()}


def paths(method: str, level: str, records: dict[str, object]) -> list[str]:
    """Return a path for each route of a level, and for each route outside of scopes."""
    found = [
        URLS[level] + row.path.format(**records)
        for row in ROWS
        if row.method == method and level[0] in row.levels
    ]
    return [*dict.fromkeys(found), *(path for each, path in PERSONAL if each == method)]


def difference(before: dict[str, list[Any]]) -> list[str]:
    after = all_rows()
    return [name for name in before if before[name] != after[name]]


@pytest.mark.parametrize("level", HOMES)
def test_a_get_request_changes_no_row(
    client_of: ClientOf, create_records: CreateRecords, level: str
) -> None:
    records, client = create_records(level), client_of(f"{level}-admin")
    before = all_rows()
    for path in paths("GET", level, records):
        for headers in ({}, {"HX-Request": "true"}):
            client.get(path, headers=headers)
        client.options(path)
        assert not difference(before), path


@pytest.fixture
def csrf_protection(app: Flask) -> Iterator[None]:
    app.config["WTF_CSRF_ENABLED"] = True
    yield
    app.config["WTF_CSRF_ENABLED"] = False


@pytest.mark.usefixtures("csrf_protection")
@pytest.mark.parametrize("level", HOMES)
def test_no_form_of_another_site_is_accepted(
    client_of: ClientOf, create_records: CreateRecords, level: str
) -> None:
    records, client = create_records(level), client_of(f"{level}-admin")
    before = all_rows()
    for path in paths("POST", level, records):
        for headers in CROSS_SITE:
            answer = client.post(path, data={"name": "forged"}, headers=headers)
            assert answer.status_code in {303, 400, 404}, path
        assert not difference(before), path
    assert client.get(URLS[level] + "/images").status_code == 200, "The person is still signed in."


def answers(client: FlaskClient, level: str, records: dict[str, object]) -> Iterator[TestResponse]:
    for path in paths("GET", level, records):
        for headers in ({}, {"HX-Request": "true"}):
            yield client.get(path, headers=headers)


@pytest.mark.parametrize("level", HOMES)
def test_every_answer_says_what_it_is_and_is_not_stored(
    client_of: ClientOf, create_records: CreateRecords, level: str
) -> None:
    """A browser renders only pages, and shared caches store no page of a person."""
    kinds = set()
    for answer in answers(client_of(f"{level}-admin"), level, create_records(level)):
        path = answer.request.path
        caching = answer.headers.get("Cache-Control", "")
        assert "no-store" in caching or {"no-cache", "private"} <= set(caching.split(", ")), path
        assert answer.headers["X-Content-Type-Options"] == "nosniff", path
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"], path
        if not answer.get_data():
            continue
        kinds.add(answer.mimetype)
        if answer.mimetype == "text/html":
            assert answer.content_type == "text/html; charset=utf-8", path
        else:
            disposition = answer.headers.get("Content-Disposition", "")
            assert disposition.startswith("attachment; filename="), (path, answer.content_type)
            if str(answer.mimetype).startswith("text/"):
                assert answer.content_type.endswith("; charset=utf-8"), path
    assert kinds <= {"text/html", *DOWNLOADS}
