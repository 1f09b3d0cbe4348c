"""Connections that are lost, and migrating when several processes start at once."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from types import SimpleNamespace

import models
from models import is_sqlite
from tests.conftest import ClientOf
from webapp import database
from webapp.database import PostgresqlPool


def test_only_one_process_at_a_time_migrates_a_file(tmp_path: Path) -> None:
    """Each thread has its own connection, as a process would."""
    url = f"sqlite:///{tmp_path}/registry.db"
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with database._migration_lock(database.open_database(url)):
            inside.set()
            leave.wait(5)

    first = threading.Thread(target=hold)
    first.start()
    assert inside.wait(5)
    inside.clear()
    second = threading.Thread(target=hold)
    second.start()
    assert not inside.wait(0.2)
    leave.set()
    assert inside.wait(5)
    first.join()
    second.join()


def test_pages_survive_a_restart_of_the_database_server(
    client_of: ClientOf,
) -> None:
    client = client_of("account-viewer")
    assert client.get("/account/acme/images").status_code == 200
    end_idle_connections()
    for _ in range(2):
        assert client.get("/account/acme/images").status_code == 200


def end_idle_connections() -> None:
    """End the connections in the pool, as a server does that restarts. SQLite has no server."""
    if is_sqlite():
        return
    # From a pool of its own: otherwise it would take the connection that is to be ended.
    other = database.open_database(url_of(models.database.obj))
    with other.connection_context():
        other.execute_sql(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    database.close_all(other)


def url_of(postgresql: PostgresqlPool) -> str:
    parts = postgresql.connect_params
    server = f"{parts['user']}:{parts['password']}@{parts['host']}:{parts['port']}"
    return f"postgresql://{server}/{postgresql.database}"


def test_a_connection_is_lost_once_its_server_has_something_to_say() -> None:
    pool = PostgresqlPool("registry")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = SimpleNamespace(closed=False, fileno=ours.fileno, close=ours.close)
        assert not pool._is_closed(connection)
        theirs.close()
        assert pool._is_closed(connection)
    assert pool._is_closed(SimpleNamespace(closed=True))
