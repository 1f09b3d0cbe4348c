"""Compare the answers about records that a person may not see with answers about no record.

If both answers are the same, nobody learns from them which records of others exist.
"""

from __future__ import annotations

import html
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus

import pytest
from werkzeug.test import TestResponse

import models
from models import (
    ApiToken,
    AuditEntry,
    Identity,
    Image,
    Job,
    Membership,
    Passkey,
    Person,
    Role,
    SavedView,
    Scope,
    SessionKind,
    SignInSession,
)
from tests.conftest import ActorOf, MakeCredentials, MakeImage, ScopeAt
from tests.single_sign_on.helpers import make_role_rule
from tests.tokens.helpers import make_rule, make_token
from webapp.access import Actor
from webapp.credentials.vault import Vault
from webapp.images import deletion
from webapp.jobs import runner
from webapp.people import members, sessions

NO_RECORD = 400_000
"""A number that is added to an ID, so that no record has the ID."""
SEALED = re.compile(
    r"a256gcm\.[\w-]{40,}=*|[\w-]{30,}\.[\w-]{5,}\.[\w-]{20,}"
    r'|(?<=value=")[0-9a-f]{16}(?=")|(?<=/invitation/)[\w-]{43}'
    r'|(?<=<time datetime=")[^"]*">[^<]*(?=</time>)'
)
"""Matches encrypted and signed values, random IDs of plans, tokens of invitations, and times.

The times of new records differ if a second begins between the two requests.
"""
_UNLIKE = ("X-Request-ID", "Set-Cookie", "Content-Length", "Date", "ETag", "RateLimit")
"""Headers that differ between two answers to the same request."""


class Pair(NamedTuple):
    """A value that names a record of others, and a value of the same shape that names nothing."""

    foreign: str
    nonexistent: str


@dataclass
class Comparisons:
    """Counts comparisons, and collects differences and times in seconds."""

    number: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)
    times: list[tuple[float, float]] = field(default_factory=list)

    def compare(self, name: str, pair: Pair, send: Callable[[str], list[TestResponse]]) -> None:
        """Send the request `name` with both values, and compare the answers.

        `send` returns the answer, and the pages to which it redirects. Each of its calls finds the
        same records in the database. The number of statements stands for the time, because it does
        not depend on the load of the machine.
        """
        answers, statements, seconds = [], [], []
        for value in (pair.foreign, pair.nonexistent):
            with counted_statements() as count:
                started = time.perf_counter()
                answers.append([_comparable(answer, pair) for answer in send(value)])
                seconds.append(time.perf_counter() - started)
            statements.append(count())
        self.number += 1
        self.times.append((seconds[0], seconds[1]))
        self.statuses[int(answers[0][0]["status"])] += 1
        differing = _first_difference(*answers)
        if not differing and abs(statements[0] - statements[1]) > 1:
            differing = f"{statements[0]} and {statements[1]} statements"
        if differing:
            self.differences.append(f"{name} with {pair}: {differing}")

    def summary(self) -> str:
        foreign, none = (median(values) * 1000 for values in zip(*self.times, strict=True))
        return (
            f"{self.number} comparisons, {len(self.differences)} differences, statuses "
            f"{dict(sorted(self.statuses.items()))}, medians {foreign:.1f} and {none:.1f} ms"
        )


@contextmanager
def counted_statements() -> Iterator[Callable[[], int]]:
    """Yield a function that returns how many statements have been sent to the database."""
    database, number = models.database.obj, 0
    execute = database.execute_sql

    def execute_and_count(*arguments: Any, **options: Any) -> Any:
        nonlocal number
        number += 1
        return execute(*arguments, **options)

    database.execute_sql = execute_and_count
    try:
        yield lambda: number
    finally:
        del database.execute_sql


def _comparable(answer: TestResponse, pair: Pair) -> dict[str, str]:
    """Return the parts of an answer, without the value and what differs in each answer."""
    parts = {"status": str(answer.status_code), "body": answer.get_data(as_text=True)}
    parts |= {name: value for name, value in answer.headers.items() if name not in _UNLIKE}
    if request_id := answer.headers.get("X-Request-ID"):
        parts["body"] = parts["body"].replace(request_id, "REQUEST")
    # A page can repeat only the value of a search term, such as `by:Somebody`.
    values = {part for value in pair for part in (value, value.rpartition(":")[2])}
    # The link to the page before or after a cursor contains the next number.
    numbers = [int(value) for value in pair if value.isdecimal()]
    values |= {str(number + step) for number in numbers for step in (-1, 1)}
    spellings = {
        each
        for value in values
        for each in (value, html.escape(value), quote(value), quote(value, ""), quote_plus(value))
    }
    pattern = re.compile("|".join(map(_pattern_of, sorted(spellings, key=len, reverse=True))))
    return {name: pattern.sub("VALUE", SEALED.sub("SEALED", text)) for name, text in parts.items()}


def _pattern_of(spelling: str) -> str:
    """Return a pattern for a value. A number must not be a part of a longer number."""
    return rf"(?<!\w){spelling}(?!\w)" if spelling.isdecimal() else re.escape(spelling)


def _first_difference(first: list[dict[str, str]], second: list[dict[str, str]]) -> str:
    if len(first) != len(second):
        return f"{[each['status'] for each in first]} and {[each['status'] for each in second]}"
    for one, other in zip(first, second, strict=True):
        for name in sorted({*one, *other}, key=lambda name: (name != "status", name)):
            before, after = one.get(name, ""), other.get(name, "")
            if before != after:
                lines = zip(before.splitlines(), after.splitlines(), strict=False)
                pairs = [(a.strip(), b.strip()) for a, b in lines if a != b]
                return f"{name}: {pairs[:2] or (before[-300:], after[-300:])}"[:900]
    return ""


@contextmanager
def restorable_database() -> Iterator[Callable[[], None]]:
    """Yield a function that restores all rows of the database as they are now.

    It also restores the next ID of each table, because an answer may contain the ID of a new row.
    """
    with _restorable_sqlite() if models.is_sqlite() else _restorable_postgresql() as restore:
        yield restore


@contextmanager
def _restorable_sqlite() -> Iterator[Callable[[], None]]:
    path = models.database.obj.database
    with closing(sqlite3.connect(":memory:")) as copy:
        with closing(sqlite3.connect(path)) as source:
            source.backup(copy)

        def restore() -> None:
            with closing(sqlite3.connect(path, timeout=30)) as target:
                copy.backup(target)

        yield restore


@contextmanager
def _restorable_postgresql() -> Iterator[Callable[[], None]]:
    """Copy the rows to a second schema, as `tests.conftest` does."""
    with models.database.obj.open_separate_connection() as connection:
        tables = _names(connection, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        copies = "".join(f"CREATE TABLE stored.{name} AS TABLE public.{name};" for name in tables)
        clear = "".join(f"DELETE FROM public.{name};" for name in tables)
        inserts = "".join(f"INSERT INTO public.{name} TABLE stored.{name};" for name in tables)
        # No trigger changes the stored rows.
        without_triggers = "SET LOCAL session_replication_role = replica;"
        with connection.transaction():
            connection.execute(f"CREATE SCHEMA stored; {copies}")
        next_ids = "".join(
            f"SELECT setval('public.{name}', {value}, {is_called});"
            for name, value, is_called in _next_ids(connection)
        )

        def restore() -> None:
            with connection.transaction():
                connection.execute(f"{without_triggers}{clear}{inserts}{next_ids}")

        try:
            yield restore
        finally:
            with connection.transaction():
                connection.execute("DROP SCHEMA stored CASCADE")


def _names(connection: Any, query: str) -> list[str]:
    with connection.transaction():
        return sorted(name for (name,) in connection.execute(query).fetchall())


def _next_ids(connection: Any) -> Iterator[tuple[str, int, bool]]:
    """Yield the name, the last value and the state of each sequence."""
    query = "SELECT sequencename FROM pg_sequences WHERE schemaname = 'public'"
    for name in _names(connection, query):
        with connection.transaction():
            row = connection.execute(f"SELECT last_value, is_called FROM public.{name}").fetchone()
        yield name, *row


@dataclass(frozen=True)
class ForeignRecords:
    """Creates records that the people of a scope may not see, at a scope beside it."""

    make_image: MakeImage
    make_credentials: MakeCredentials
    make_token: Callable[[str], ApiToken]
    admin: Actor
    """An admin of the Scalr scope."""

    def create(self, here: Scope, beside: Scope) -> dict[str, list[Pair]]:
        """Return pairs by kind. The private records of an owner without a role are at `here`."""
        image = self.make_image(beside.path, 61)
        deleted = self.make_image(beside.path, 62)
        deletion.delete(self.admin, deleted)
        members.invite(self.admin, beside, "invited-there@example.com", Role.VIEWER)
        owner = Person.create(
            email="somebody@example.com", name="Somebody", password_hash="", session_key=""
        )
        sessions.start(owner, SessionKind.PASSWORD, "203.0.113.9", "")
        view = {"person": owner, "path": "images"}
        job = {"person": owner, "arguments": {}, "total": 0, "state": "done"}
        membership = Membership.create(person=owner, scope=beside, role=Role.VIEWER)
        of_owner = {
            "session": SignInSession.get(person=owner),
            "identity": Identity.create(
                person=owner, issuer="https://there.example", subject="1", label="there"
            ),
            "passkey": Passkey.create(
                person=owner,
                name="there",
                credential="there",
                public_key="",
                user_handle="there",
                sign_count=0,
                transports=[],
            ),
            "view": SavedView.create(scope=beside, name="there", shared=True, **view),
            "private": SavedView.create(scope=here, name="mine", shared=False, **view),
        }
        records: dict[str, Any] = {
            **of_owner,
            "image": image,
            "deleted": deleted,
            "credentials": self.make_credentials(beside.path, "elsewhere"),
            "membership": membership,
            "invitation": members.open_invitations(beside).rows[0],
            "person": owner,
            "token": self.make_token(beside.path),
            "role rule": make_role_rule(self.admin, beside, value="elsewhere"),
            "rule": make_rule(self.admin, beside, name="elsewhere"),
            "job": Job.create(scope=beside, action="image-share", **job),
            "import": Job.create(scope=beside, action="import", **job),
            "entry": AuditEntry.get(record=image.reference),
        }
        pairs = {kind: [pair_of(row.id)] for kind, row in records.items()}
        pairs["view"] += pairs.pop("private")
        pairs["image"] += pairs["deleted"]
        pairs["job"] += pairs.pop("import")
        return {**pairs, **_texts(image, beside)}


def pair_of(record_id: int) -> Pair:
    return Pair(str(record_id), str(record_id + NO_RECORD))


def _texts(image: Image, beside: Scope) -> dict[str, list[Pair]]:
    """Return pairs of texts that can name records."""
    cloud_id, none = image.cloud_image_id, "ami-0abcdef0123456789"
    paths = Pair(beside.path, "nowhere/lost" if "/" in beside.path else "nowhere")
    number = pair_of(image.id)
    levels = "environment" if "/" in beside.path else "account"
    return {
        "account": [Pair("globex", "nowhere")],
        "environment": [Pair("lab", "lost"), Pair(beside.path.rpartition("/")[2], "lost")],
        "slug": [Pair(beside.path.rpartition("/")[2], "lost"), Pair("lab", "lost")],
        "path": [paths],
        "scope": [pair_of(beside.id)],
        "url": [
            Pair(f"/{levels}/{paths.foreign}/images", f"/{levels}/{paths.nonexistent}/images"),
            Pair(f"images/{number.foreign}", f"images/{number.nonexistent}"),
        ],
        "cloud image": [Pair(cloud_id, none)],
        "successor": [
            Pair(f"#{number.foreign}", f"#{number.nonexistent}"),
            Pair(cloud_id, none),
        ],
        "search": [
            # A shorter text would be refused, because it is too short for a search.
            Pair(f"#{number.foreign:0>6}", f"#{number.nonexistent:0>6}"),
            Pair(f"id:{cloud_id}", f"id:{none}"),
            Pair(f"scope:{paths.foreign}", f"scope:{paths.nonexistent}"),
            Pair("by:Somebody", "by:Nobodyx"),
            Pair("Somebody", "Nobodyx"),
            Pair("elsewhere", "elsewhent"),
        ],
        "email": [
            Pair("somebody@example.com", "nobodyxx@example.com"),
            Pair("invited-there@example.com", "invited-nowhr@example.com"),
        ],
        "person name": [Pair("Somebody", "Nobodyx")],
    }


@pytest.fixture
def no_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no job start, because a job could change the records while they are restored."""
    monkeypatch.setattr(runner, "start_job", lambda *_arguments, **_options: None)


@pytest.fixture
def foreign_records(
    make_image: MakeImage,
    make_credentials: MakeCredentials,
    actor_of: ActorOf,
    scope: ScopeAt,
    vault: Vault,
) -> ForeignRecords:
    def token_at(path: str) -> ApiToken:
        admin = actor_of("scalr-admin")
        return make_token(admin, scope(path), vault, name="elsewhere", is_personal=False).token

    return ForeignRecords(make_image, make_credentials, token_at, actor_of("scalr-admin"))
