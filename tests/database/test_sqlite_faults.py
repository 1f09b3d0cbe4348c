"""SQLite: durable writes, and files that are locked, full, read-only, missing or damaged."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

import models
from models import AuditEntry, Scope, SignInSession, is_sqlite, transaction
from tests.cast import PASSWORD
from tests.conftest import ClientOf, Clock
from tests.database.conftest import outage_messages
from tests.test_cli import run_command
from webapp import database
from webapp.database import sqlite, waiting

ACCOUNTS = "/scalr/accounts"
NOT_SAVED = "Nothing was saved."


@pytest.fixture(autouse=True)
def only_sqlite(app: Flask) -> None:
    if not is_sqlite():
        pytest.skip("Only a file can have these faults.")


@pytest.fixture
def client(client_of: ClientOf) -> FlaskClient:
    return client_of("scalr-admin")


@pytest.fixture
def file(app: Flask) -> Path:
    return Path(models.database.obj.database)


def create(client: FlaskClient, name: str = "new", **headers: str) -> Any:
    """Create an account, as the form on the Accounts page does."""
    same_site = {"Origin": "http://localhost", **headers}
    return client.post(ACCOUNTS, data={"name": name}, headers=same_site)


def count(name: str = "new") -> tuple[int, int]:
    """Return how many accounts and how many audit entries with this name there are."""
    with models.database.connection_context():
        scopes = Scope.select().where(Scope.path == name).count()
        return scopes, AuditEntry.select().where(AuditEntry.subject.contains(name)).count()


def test_every_connection_waits_until_a_change_is_on_disk(app: Flask) -> None:
    """`PRAGMA synchronous` is 2 for FULL."""
    found = []

    def read() -> None:
        with models.database.connection_context():
            found.append(models.database.execute_sql("PRAGMA synchronous").fetchone()[0])

    threads = [threading.Thread(target=read) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [2] * 5


def test_migrations_and_commands_write_durably(
    tmp_path: Path, db: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect

    def spy(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)
        opened.append(connection)
        return connection

    opened: list[sqlite3.Connection] = []
    monkeypatch.setattr(sqlite3, "connect", spy)
    fresh = database.open_database(f"sqlite:///{tmp_path}/fresh.db")
    before = models.database.obj
    models.database.initialize(fresh)
    try:
        assert "0001_initial" in run_command(db, "migrate")[1]
        assert run_command(db, "create-admin", "a@example.com", "--password", PASSWORD)[0] == 0
        modes = [row.execute("PRAGMA synchronous").fetchone()[0] for row in opened]
    finally:
        database.close_all(fresh)
        models.database.initialize(before)
    assert modes
    assert set(modes) == {2}


@pytest.fixture
def locked(file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sqlite3.Connection]:
    """Let another program hold the write lock, and requests wait for it only briefly."""
    monkeypatch.setattr(database, "REQUEST_SECONDS", 0.5)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield other
    other.close()


def test_a_locked_database_answers_503_and_works_again_when_the_lock_is_gone(
    client: FlaskClient, locked: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        response = create(client)
        assert response.status_code == 503
        assert response.headers["Retry-After"] == "5"
        assert "The registry is busy" in response.text
        assert NOT_SAVED in response.text
    assert client.get(ACCOUNTS).status_code == 200
    locked.execute("ROLLBACK")
    assert create(client).status_code == 303
    assert count() == (1, 1)
    assert outage_messages(caplog) == ["the database is busy"]


def test_requests_wait_only_briefly_while_nobody_gets_the_lock(
    client: FlaskClient, locked: sqlite3.Connection
) -> None:
    create(client)
    waits: list[float] = []
    wait_for_locks = sqlite._wait_for_locks
    with pytest.MonkeyPatch.context() as patch:

        def spy(connection: Any, seconds: float) -> None:
            waits.append(seconds)
            wait_for_locks(connection, seconds)

        patch.setattr(sqlite, "_wait_for_locks", spy)
        create(client)
        assert waits == [0.5, sqlite.SHORT_LOCK_SECONDS]
        locked.execute("ROLLBACK")
        assert create(client).status_code == 303
        waits.clear()
        assert create(client, "other").status_code == 303
        assert waits == [0.5]


@pytest.fixture
def full(app: Flask, monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Let the file have no more than its pages, as on a full disk, while the value is true."""
    state = {"full": True}
    connect = models.database.obj._connect

    def connect_to_full() -> Any:
        connection = connect()
        connection.execute(f"PRAGMA max_page_count = {1 if state['full'] else 1_000_000}")
        return connection

    monkeypatch.setattr(models.database.obj, "_connect", connect_to_full)
    return state


def test_a_full_disk_refuses_changes_and_still_shows_pages(
    client: FlaskClient, full: dict[str, bool], caplog: pytest.LogCaptureFixture
) -> None:
    response = fill(client)
    assert response.status_code == 503
    assert "The registry can’t save changes" in response.text
    assert "full" in response.text
    assert client.get(ACCOUNTS).status_code == 200
    full["full"] = False
    assert create(client).status_code == 303
    assert count() == (1, 1)
    assert outage_messages(caplog) == [
        "the disk of the database is full or has failed",
        "the database can save changes again",
    ]


def fill(client: FlaskClient) -> Any:
    """Create accounts until the file is full, and return the answer that says so."""
    for number in range(2000):
        response = create(client, f"account-{number}")
        if response.status_code != 303:
            assert count(f"account-{number}") == (0, 0)
            return response
    raise AssertionError("The file is never full.")


def test_a_disk_that_is_full_inside_a_nested_transaction_is_recognized(
    db: Flask, full: dict[str, bool]
) -> None:
    models.database.close()
    models.database.connect()
    root = Scope.at("")

    def create_many() -> None:
        with transaction(), transaction():
            for number in range(5000):
                Scope.create(level="account", path=f"s{number}", name=f"{number:060}", parent=root)

    with pytest.raises(models.DATABASE_FAILURES) as raised:
        create_many()
    assert models.failure_of(raised.value) is models.Failure.FULL


@contextmanager
def read_only(file: Path) -> Iterator[None]:
    """Open the file as read-only. The tests may run as root, who may write every file."""
    pool = models.database.obj
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "database", f"file:{file}?mode=ro")
        patch.setitem(pool.connect_params, "uri", True)
        patch.setattr(pool, "_file_id", lambda: (1, 1))
        database.close_all(pool)
        yield


def test_a_database_that_is_read_only_answers_503(
    client: FlaskClient, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with read_only(file):
        for _ in range(2):
            response = create(client)
            assert response.status_code == 503
            assert "read-only" in response.text
            assert response.headers["Retry-After"]
        assert client.get(ACCOUNTS).status_code == 200
    assert create(client).status_code == 303
    assert count() == (1, 1)
    assert outage_messages(caplog) == [
        "the database is read-only",
        "the database can be written again",
    ]


def test_the_last_use_of_a_session_is_not_saved_while_the_database_is_read_only(
    client: FlaskClient, file: Path, clock: Clock
) -> None:
    last_seen, begin = client.application.extensions["services"].last_seen, clock.now
    clock.go_to(begin + timedelta(minutes=6))
    with read_only(file):
        assert client.get(ACCOUNTS).status_code == 200
        with models.open_connection(), pytest.raises(models.DATABASE_FAILURES):
            last_seen.save()
        database.close_all(models.database.obj)
    assert client.get(ACCOUNTS).status_code == 200
    with models.open_connection():
        assert SignInSession.get().seen_at == begin
        last_seen.save()
        assert SignInSession.get().seen_at == clock.now


def test_a_deleted_file_answers_503_instead_of_losing_changes(
    client: FlaskClient, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert client.get(ACCOUNTS).status_code == 200
    hidden = file.with_suffix(".hidden")
    file.rename(hidden)
    for response in (create(client), client.get(ACCOUNTS)):
        assert response.status_code == 503
        assert "can’t reach its database" in response.text
    assert not file.exists()
    hidden.rename(file)
    assert create(client).status_code == 303
    assert count() == (1, 1)
    assert outage_messages(caplog) == [
        "the database cannot be reached",
        "the database can be reached again",
    ]


def test_a_file_that_was_replaced_is_opened_again(client: FlaskClient, file: Path) -> None:
    assert create(client, "before").status_code == 303
    backup = file.with_suffix(".backup")
    with sqlite3.connect(file) as source, sqlite3.connect(backup) as target:
        source.backup(target)
    assert create(client, "after").status_code == 303
    for name in ("-wal", "-shm"):
        Path(f"{file}{name}").unlink(missing_ok=True)
    backup.replace(file)
    assert create(client, "new").status_code == 303
    assert [count("before")[0], count("after")[0], count("new")[0]] == [1, 0, 1]


def test_another_program_that_opens_and_closes_the_file_loses_no_change(
    client: FlaskClient, file: Path
) -> None:
    """If the app closed the file, it would lose its locks, and the program would delete the WAL."""
    assert create(client, "before").status_code == 303
    with models.database.connection_context():
        thread = threading.Thread(target=open_one_more)
        thread.start()
        thread.join()
    assert names_for_another_program(file) >= {"before"}
    assert create(client, "after").status_code == 303
    assert names_for_another_program(file) >= {"before", "after"}


def open_one_more() -> None:
    with models.database.connection_context():
        models.database.execute_sql("SELECT 1")


def names_for_another_program(file: Path) -> set[str]:
    program = (
        "import sqlite3, sys; file = sqlite3.connect(sys.argv[1]);"
        "print(*(name for name, in file.execute('SELECT path FROM scope'))); file.close()"
    )
    command = [sys.executable, "-c", program, str(file)]
    return set(subprocess.check_output(command, text=True).split())


def test_a_damaged_file_answers_503(client: FlaskClient, file: Path) -> None:
    good = file.with_suffix(".good")
    file.rename(good)
    file.write_bytes(b"not a database at all " * 1000)
    response = client.get(ACCOUNTS)
    assert response.status_code == 503
    assert "damaged" in response.text
    good.replace(file)
    assert client.get(ACCOUNTS).status_code == 200


def test_a_request_waits_less_than_five_seconds() -> None:
    assert waiting.POOL_SECONDS + waiting.CONNECT_SECONDS < 5
    assert waiting.REQUEST_SECONDS + waiting.CANCEL_SECONDS < 5
