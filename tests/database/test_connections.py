"""Lost connections, and migrations when several processes start at the same time."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from flask import Flask

import models
from models import is_sqlite
from tests.conftest import ClientOf
from webapp import database
from webapp.database import migrating
from webapp.database.migrating import _migration_lock
from webapp.database.postgresql import PostgresqlPool


def test_only_one_process_at_a_time_migrates_a_file(tmp_path: Path) -> None:
    """Each thread has its own connection, as a process would."""
    url = f"sqlite:///{tmp_path}/registry.db"
    locked, release = threading.Event(), threading.Event()

    def hold_lock() -> None:
        with _migration_lock(database.open_database(url)):
            locked.set()
            release.wait(5)

    first = threading.Thread(target=hold_lock)
    first.start()
    assert locked.wait(5)
    locked.clear()
    second = threading.Thread(target=hold_lock)
    second.start()
    assert not locked.wait(0.2)
    release.set()
    assert locked.wait(5)
    first.join()
    second.join()


def test_a_process_that_waits_to_migrate_holds_no_snapshot(
    db: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CREATE INDEX CONCURRENTLY waits for all snapshots, and the process waits for the index."""
    if is_sqlite():
        pytest.skip("SQLite locks a file, and has no CREATE INDEX CONCURRENTLY")
    tries: list[float] = []

    def pause(seconds: float) -> None:
        tries.append(seconds)
        if len(tries) == 10:  # psycopg prepares a statement that it has executed five times.
            other = models.database.obj.open_separate_connection()
            with other as connection:
                held.append(connection.execute(SNAPSHOTS).fetchone()[0])
            release.set()
        time.sleep(0.01)

    held: list[int] = []
    locked, release = threading.Event(), threading.Event()

    def hold_lock() -> None:
        with _migration_lock(models.database.obj):
            locked.set()
            release.wait(60)

    first = threading.Thread(target=hold_lock)
    first.start()
    assert locked.wait(60)
    monkeypatch.setattr(migrating, "time", SimpleNamespace(sleep=pause))
    with _migration_lock(models.database.obj):
        first.join()
    assert held == [0]


SNAPSHOTS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE query LIKE '%pg_try_advisory_xact_lock%' AND pid <> pg_backend_pid()
      AND datname = current_database() AND backend_xmin IS NOT NULL
"""


def test_pages_survive_a_restart_of_the_database_server(
    client_of: ClientOf,
) -> None:
    client = client_of("account-viewer")
    assert client.get("/account/acme/images").status_code == 200
    end_idle_connections()
    for _ in range(2):
        assert client.get("/account/acme/images").status_code == 200


def end_idle_connections() -> None:
    """End the connections in the pool, as a restart of the server does. SQLite has no server."""
    if is_sqlite():
        return
    parameters = models.database.obj.connect_params
    address = {name: parameters[name] for name in ("host", "port", "user", "password")}
    # A separate connection, because the pool could return the connection that has to be ended.
    with psycopg.connect(dbname=models.database.obj.database, **address) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_a_connection_counts_as_closed_once_the_server_closes_it() -> None:
    pool = PostgresqlPool("registry")
    client_socket, server_socket = socket.socketpair()
    with client_socket, server_socket:
        connection = SimpleNamespace(
            closed=False, fileno=client_socket.fileno, close=client_socket.close
        )
        assert not pool._is_closed(connection)
        server_socket.close()
        assert pool._is_closed(connection)
    assert pool._is_closed(SimpleNamespace(closed=True))
