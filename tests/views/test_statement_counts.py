"""The number of statements of a page does not depend on the number of records.

Every route with GET is requested twice, by an admin of Scalr: with a few records of each kind, and
with 300 of each. A new route is covered as soon as the table of the access matrix has a row for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

import models
from models import (
    AuditEntry,
    BookmarkBar,
    CloudCredentials,
    Image,
    Invitation,
    Job,
    JobRow,
    Level,
    Membership,
    Person,
    Role,
    SavedView,
    Scope,
    now,
)
from tests.access_tables import URLS
from tests.cast import HOMES
from tests.conftest import ClientOf
from tests.views.test_access_matrix import ROWS, create_records

__all__ = ["create_records"]

MANY = 300
PERSONAL_PAGES = (
    "/",
    "/activity",
    "/scopes",
    "/scopes?q=n",
    "/password",
    "/sessions",
    "/security",
    "/help",
)
SEARCHES = (
    *("/members?q=n", "/people?q=n", "/credentials?q=n", "/views?q=n"),
    *("/audit?before=100000", "/images?q=n"),
)
ALLOWANCE = 2
"""The number of additional statements that a page may send if its lists are long.

For example, such a statement counts the rows of a list.
"""


@contextmanager
def recorded_statements() -> Iterator[list[str]]:
    database, statements = models.database.obj, []
    execute = database.execute_sql

    def execute_and_record(sql: str, *arguments: Any, **options: Any) -> Any:
        statements.append(sql)
        return execute(sql, *arguments, **options)

    database.execute_sql = execute_and_record
    try:
        yield statements
    finally:
        del database.execute_sql


def statement_counts(client: FlaskClient, urls: list[str]) -> dict[str, int]:
    counts = {}
    for url in urls:
        client.get(url)  # The first request may fill caches.
        with recorded_statements() as statements:
            client.get(url)
        counts[url] = len(statements)
    return counts


def add_records(here: Scope, person: Person, record_ids: dict[str, Any]) -> None:
    """Add MANY records of each kind to the scope, and MANY scopes below it."""
    numbers = range(MANY)
    image = Image.get_by_id(record_ids["image"])
    credentials = CloudCredentials.get_by_id(record_ids["credentials"])
    _copy(credentials, [{"name": f"n{number}"} for number in numbers])
    Image.update(credentials=credentials).where(Image.id == image.id).execute()
    keys = [f"ami-{number:017x}" for number in range(1000, 1000 + MANY)]
    _copy(
        Image.get_by_id(image.id),
        [{"cloud_image_id": key, "image_key": key, "name": key} for key in keys],
    )
    _copy(AuditEntry.get_by_id(record_ids["entry"]), [{"subject": str(each)} for each in numbers])
    secrets = {"password_hash": "", "session_key": ""}
    people = [
        {
            "email": f"n{each}@example.com",
            "name": f"n{each}",
            **secrets,
        }
        for each in numbers
    ]
    Person.insert_many(people).execute()
    joined = [each.id for each in Person.select().where(Person.name.startswith("n"))][:MANY]
    for each in joined:
        Membership.create(person=each, scope=here, role=Role.ADMIN)
        SavedView.create(person=each, scope=here, name="n", path="images", shared=True)
    for number in numbers:
        Invitation.create(
            scope=here, email=f"i{number}@example.com", role=Role.VIEWER, token_digest=str(number),
            expires_at=now() + timedelta(days=1),
        )  # fmt: skip
        if number < 47:
            SavedView.create(person=person, scope=here, name=f"n{number}", path="images")
        job = Job.create(
            scope=here, person=person, action="image-share", arguments={}, total=1, state="done"
        )
        JobRow.create(job=record_ids["job"], position=number + 1, subject="n")
        JobRow.create(job=job, position=1, subject="n")
    items = [{"label": f"n{each}", "path": f"images?q={each}"} for each in range(20)]
    BookmarkBar.create(person=person, scope=here, items=items)
    _add_scopes(here)


def _add_scopes(here: Scope) -> None:
    account = here if here.level is Level.ACCOUNT else Scope.get(path="acme")
    for number in range(MANY):
        Scope.create(
            level=Level.ENVIRONMENT, parent=account, path=f"{account.path}/n{number}",
            name=f"n{number}",
        )  # fmt: skip
        if here.level is Level.SCALR:
            Scope.create(level=Level.ACCOUNT, parent=here, path=f"n{number}", name=f"n{number}")


def _copy(record: Any, changes: list[dict[str, Any]]) -> None:
    values = {name: value for name, value in record.__data__.items() if name != "id"}
    table: Any = type(record)
    for number in range(0, len(changes), 20):
        rows = [{**values, **each} for each in changes[number : number + 20]]
        table.insert_many(rows).execute()


@pytest.mark.parametrize("level", HOMES)
def test_a_page_sends_as_many_statements_for_many_records_as_for_few(
    client_of: ClientOf, create_records: Callable[[str], dict[str, Any]], level: str
) -> None:
    record_ids, here = create_records(level), Scope.get(path=HOMES[level])
    admin = Person.get(Person.email == "scalr-admin@example.com")
    Job.update(person=admin).execute()
    SavedView.update(person=admin).where(SavedView.id == record_ids["private"]).execute()
    client = client_of("scalr-admin")
    urls = [
        URLS[level] + row.path.format(**record_ids)
        for row in ROWS
        if row.method == "GET" and level[0] in row.levels
    ]
    urls += [URLS[level] + path for path in SEARCHES]
    urls += PERSONAL_PAGES
    before = statement_counts(client, urls)
    with models.database.connection_context():
        add_records(here, admin, record_ids)
    after = statement_counts(client, urls)
    grown = {url: (before[url], after[url]) for url in urls if after[url] > before[url] + ALLOWANCE}
    assert not grown
    for url in urls:
        # Exports contain all images.
        if "/export." not in url:
            assert len(client.get(url).data) < 600_000, url
