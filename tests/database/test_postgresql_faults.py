"""A PostgreSQL server that hangs, is killed, has no connections left, or is slow or read-only."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from psycopg.conninfo import conninfo_to_dict

import models
from models import AuditEntry, OutcomeUnknown, Scope, transaction
from tests.conftest import fill_database, sign_in
from tests.database.commands import run_flask
from tests.database.conftest import outage_messages
from tests.database.servers import PostgresqlServer, postgresql_server
from tests.postgresql import free_port
from tests.waiting import wait_until
from webapp import database
from webapp.database import postgresql, waiting

ACCOUNTS = "/scalr/accounts"
BUSY = "The registry is busy"
UNREACHABLE = "The registry can’t reach its database"
LIMIT_SECONDS = 9.0
"""A generous limit for one request: the machine may be busy. The request should take five."""


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[PostgresqlServer]:
    if request.config.getoption("database") != "postgresql":
        pytest.skip("Only a server can have these faults.")
    # Unlike other tests, these tests must not lose changes that the server has acknowledged.
    with postgresql_server({"max_connections": "20", "synchronous_commit": "on"}) as running:
        fill_database(running.url)
        yield running


@pytest.fixture
def pool(app: Flask, server: PostgresqlServer) -> Iterator[postgresql.PostgresqlPool]:
    """Let the app use the server, with a fresh pool."""
    before = models.database.obj
    with use(server.url) as opened:
        yield opened
    models.database.initialize(before)


@contextmanager
def use(url: str) -> Iterator[postgresql.PostgresqlPool]:
    opened = database.open_database(url)
    assert isinstance(opened, postgresql.PostgresqlPool)
    models.database.initialize(opened)
    try:
        yield opened
    finally:
        database.close_all(opened)


@pytest.fixture
def client(app: Flask, pool: postgresql.PostgresqlPool) -> FlaskClient:
    return signed_in(app)


def signed_in(app: Flask) -> FlaskClient:
    client = app.test_client()
    sign_in(client, "scalr-admin@example.com")
    with models.database.connection_context():
        Scope.delete().where(Scope.path.startswith("new")).execute()
    return client


def create(client: FlaskClient, name: str = "new") -> Any:
    return client.post(ACCOUNTS, data={"name": name}, headers={"Origin": "http://localhost"})


def seconds_of(client: FlaskClient) -> float:
    """Return how long a request takes that must fail."""
    started = time.monotonic()
    response = client.get(ACCOUNTS)
    assert response.status_code == 503
    assert response.headers["Retry-After"]
    assert UNREACHABLE in response.text
    return time.monotonic() - started


def wait_until_it_works(client: FlaskClient) -> None:
    wait_until(lambda: client.get(ACCOUNTS).status_code == 200)


def count_accounts_and_entries(pool: postgresql.PostgresqlPool) -> tuple[int, int]:
    """Return how many new accounts there are, and how many entries of the audit log."""
    with pool.connection_context():
        scopes = Scope.select().where(Scope.path.startswith("new")).count()
        return scopes, AuditEntry.select().where(AuditEntry.action == "account.create").count()


def test_a_server_that_hangs_costs_each_request_a_few_seconds(
    app: Flask, client: FlaskClient, server: PostgresqlServer, caplog: pytest.LogCaptureFixture
) -> None:
    clients = [client, *(signed_in(app) for _ in range(5))]
    with ThreadPoolExecutor(6) as threads:
        assert [one.status_code for one in threads.map(lambda one: one.get(ACCOUNTS), clients)]
        server.hang()
        try:
            assert max(threads.map(seconds_of, clients)) < LIMIT_SECONDS
            # From now on, at most one request at a time waits for the server.
            quick = [seconds_of(client) for _ in range(10)]
            assert sorted(quick)[5] < 1
        finally:
            server.continue_()
    wait_until_it_works(client)
    assert outage_messages(caplog) == [
        "the database cannot be reached",
        "the database can be reached again",
    ]


def test_a_server_that_was_killed_is_used_again_after_its_start(
    client: FlaskClient, pool: postgresql.PostgresqlPool, server: PostgresqlServer,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    assert create(client, "new1").status_code == 303
    before = count_accounts_and_entries(pool)
    server.stop()
    for _ in range(3):
        assert create(client, "new2").status_code == 503
    server.start()
    wait_until_it_works(client)
    assert count_accounts_and_entries(pool) == before
    assert create(client, "new2").status_code == 303
    assert count_accounts_and_entries(pool) == (before[0] + 1, before[1] + 1)
    assert outage_messages(caplog) == [
        "the database cannot be reached",
        "the database can be reached again",
    ]


def test_a_server_without_free_connections_is_used_again_when_it_has_some(
    client: FlaskClient, pool: postgresql.PostgresqlPool, server: PostgresqlServer
) -> None:
    database.close_all(pool)
    others = []
    try:
        with suppress(psycopg.OperationalError):
            while True:
                others.append(psycopg.connect(server.url))
        assert client.get(ACCOUNTS).status_code == 503
    finally:
        for other in others:
            other.close()
    wait_until_it_works(client)


def test_a_lost_connection_during_a_commit_is_reported_as_unknown(
    pool: postgresql.PostgresqlPool, server: PostgresqlServer
) -> None:
    def change_and_lose_connection() -> None:
        with transaction():
            (pid,) = pool.execute_sql("SELECT pg_backend_pid()").fetchone()
            Scope.update(name="changed").where(Scope.path == "acme").execute()
            with psycopg.connect(server.url, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))

    pool.connect()
    with pytest.raises(OutcomeUnknown):
        change_and_lose_connection()
    pool.close()
    with pool.connection_context():
        assert Scope.get(path="acme").name != "changed"


def test_a_slow_statement_is_cancelled_and_the_connection_stays(
    client: FlaskClient, pool: postgresql.PostgresqlPool, caplog: pytest.LogCaptureFixture
) -> None:
    with pool.connection_context():
        (pid,) = pool.execute_sql("SELECT pg_backend_pid()").fetchone()
        waiting.limit_statements(0.3)
        try:
            with pytest.raises(models.DATABASE_FAILURES) as raised:
                pool.execute_sql("SELECT pg_sleep(30)")
            assert models.failure_of(raised.value) is models.Failure.BUSY
            with waiting.long_statements(20):
                pool.execute_sql("SELECT pg_sleep(1)")
        finally:
            waiting.limit_statements(waiting.BACKGROUND_SECONDS)
        assert pool.execute_sql("SELECT pg_backend_pid()").fetchone() == (pid,)
    assert client.get(ACCOUNTS).status_code == 200
    assert outage_messages(caplog) == []


def test_a_locked_table_answers_503_and_nothing_is_half_done(
    client: FlaskClient, pool: postgresql.PostgresqlPool, server: PostgresqlServer,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr(database, "REQUEST_SECONDS", 0.5)
    before = count_accounts_and_entries(pool)
    with psycopg.connect(server.url) as other:
        other.execute("LOCK TABLE audit_entry IN EXCLUSIVE MODE")
        for _ in range(2):
            response = create(client)
            assert response.status_code == 503
            assert BUSY in response.text
        assert client.get(ACCOUNTS).status_code == 200
    assert count_accounts_and_entries(pool) == before
    assert create(client).status_code == 303
    assert outage_messages(caplog) == ["the database is busy"]


def test_a_read_only_server_answers_503(
    client: FlaskClient, server: PostgresqlServer, caplog: pytest.LogCaptureFixture
) -> None:
    set_read_only(server, "on")
    try:
        response = create(client)
        assert response.status_code == 503
        assert "read-only" in response.text
        assert client.get(ACCOUNTS).status_code == 200
    finally:
        set_read_only(server, "off")
    assert create(client).status_code == 303
    assert outage_messages(caplog) == [
        "the database is read-only",
        "the database can be written again",
    ]


def test_a_file_system_that_is_read_only_is_a_failure_that_may_pass(
    pool: postgresql.PostgresqlPool,
) -> None:
    """PostgreSQL reports it as a lack of the privilege to write the file."""
    message = "could not open file: Read-only file system"
    statement = f"DO $$ BEGIN RAISE insufficient_privilege USING MESSAGE = '{message}'; END $$"
    with pool.connection_context(), pytest.raises(models.DATABASE_FAILURES) as raised:
        pool.execute_sql(statement)
    assert models.failure_of(raised.value) is models.Failure.READ_ONLY
    assert models.is_transient(raised.value)


def set_read_only(server: PostgresqlServer, value: str) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
        connection.execute("SELECT pg_reload_conf()")
    time.sleep(0.5)


def test_the_second_host_is_used_if_the_first_does_not_answer(
    app: Flask, pool: postgresql.PostgresqlPool, server: PostgresqlServer
) -> None:
    parts = conninfo_to_dict(server.url)
    hosts = f"host=127.0.0.1,127.0.0.1&port={free_port()},{parts['port']}"
    url = (
        f"postgresql://{parts['user']}:{parts['password']}@/{parts['dbname']}?{hosts}"
        "&target_session_attrs=read-write&connect_timeout=3"
    )
    with use(url):
        assert signed_in(app).get(ACCOUNTS).status_code == 200


def test_a_database_that_cannot_store_all_characters_gets_one_sentence(
    server: PostgresqlServer,
) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0")
    url = f"{server.url.rpartition('/')[0]}/ascii"
    done = run_flask("migrate", DATABASE_URL=url)
    assert done.returncode == 1
    assert "the database has the encoding SQL_ASCII, not UTF8" in done.stderr
    assert "Traceback" not in done.stderr
