"""PostgreSQL behind PgBouncer in transaction mode. Run with `--database pgbouncer`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from flask import Flask

import models
from models import Scope, transaction
from tests.conftest import ClientOf
from tests.database.commands import run_flask
from webapp import database
from webapp.database import waiting
from webapp.database.postgresql import PostgresqlPool

CLIENTS = 12
"""More than the sessions that PgBouncer opens, so that clients share sessions."""
PEOPLE = ("account-viewer", "account-editor", "account-admin", "scalr-viewer")


@pytest.fixture
def pool(app: Flask, behind_pgbouncer: bool) -> PostgresqlPool:
    if not behind_pgbouncer:
        pytest.skip("These tests need `--database pgbouncer`.")
    pool = models.database.obj
    assert isinstance(pool, PostgresqlPool)
    return pool


def url_of(pool: PostgresqlPool) -> str:
    parts = pool.connect_params
    server = f"{parts['user']}:{parts['password']}@{parts['host']}:{parts['port']}"
    return f"postgresql://{server}/{pool.database}"


def test_clients_that_share_sessions_do_not_disturb_each_other(
    pool: PostgresqlPool, client_of: ClientOf
) -> None:
    # A person with this many requests at once would be refused.
    clients = [client_of(name) for name in PEOPLE for _ in range(CLIENTS // len(PEOPLE))]
    with ThreadPoolExecutor(CLIENTS) as threads:
        for _ in range(8):
            answers = threads.map(lambda one: one.get("/account/acme/images"), clients)
            assert {answer.status_code for answer in answers} == {200}


def test_transactions_of_clients_that_share_sessions_are_separate(pool: PostgresqlPool) -> None:
    def rename(number: int) -> None:
        with pool.connection_context(), transaction():
            Scope.update(name=f"name {number}").where(Scope.path == "acme").execute()
            assert Scope.get(path="acme").name == f"name {number}"

    with ThreadPoolExecutor(CLIENTS) as threads:
        list(threads.map(rename, range(40)))


def test_migrate_leaves_no_lock_behind(pool: PostgresqlPool) -> None:
    done = run_flask("migrate", DATABASE_URL=url_of(pool), PGBOUNCER="true")
    assert (done.returncode, done.stdout) == (0, "The schema is up to date.\n")
    with psycopg.connect(url_of(pool), prepare_threshold=None) as connection:
        row = connection.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
        assert row.fetchone() == (0,)
    with pool.connection_context():
        assert database.migrate(pool) == []


def test_without_the_setting_a_sentence_says_what_to_do(pool: PostgresqlPool) -> None:
    done = run_flask("migrate", DATABASE_URL=url_of(pool))
    assert done.returncode == 1
    assert "set PGBOUNCER=true" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_slow_statement_is_cancelled_through_pgbouncer(pool: PostgresqlPool) -> None:
    with pool.connection_context():
        waiting.limit_statements(0.3)
        try:
            with pytest.raises(models.DATABASE_FAILURES) as raised:
                pool.execute_sql("SELECT pg_sleep(30)")
        finally:
            waiting.limit_statements(waiting.BACKGROUND_SECONDS)
        assert models.failure_of(raised.value) is models.Failure.BUSY
        assert pool.execute_sql("SELECT 1").fetchone() == (1,)
