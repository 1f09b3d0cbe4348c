"""DATABASE_URL: what it may contain, and the sentence if it is wrong or nobody answers."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

import models
from models import is_sqlite
from tests.database.commands import run_flask
from tests.environ import ENVIRON
from tests.postgresql import free_port
from webapp import create_app
from webapp.database import open_database
from webapp.people.attempts import REDIS_TIMEOUT_SECONDS, Attempts
from webapp.settings import SettingsError, read_settings


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "must begin with sqlite:/// or postgresql://"),
        ("registry.db", "must begin with"),
        ("mysql://u:hidden@h/x", "must begin with"),
        ("postgresql+psycopg://u:hidden@h/x", "must begin with"),
        ("postgresql:/u:hidden@h/x", "must look like postgresql://"),
        ("postgresql:u:hidden@h/x", "must look like postgresql://"),
        ("postgresql://", "names no database"),
        ("postgresql://u:hidden@h", "names no database"),
        ("postgresql://u:hidden@h/", "names no database"),
        ("postgresql://u:hidden@h:port/x", "A port is a number"),
        ("postgresql://u:hidden@h:0/x", "A port is a number"),
        ("postgresql://u:hidden@h:65536/x", "A port is a number"),
        ("postgresql://u:hidden@h:٥/x", "A port is a number"),
        ("postgresql://u:hid/den@h/x", "%2F for /"),
        ("postgresql://u:hid@den@h/x", "%40 for @"),
        ("postgresql://u:hid%zzden@h/x", "percent-encoded"),
        ("postgresql://u:hid den@h/x", "spaces"),
        ("postgresql://u:hidden@[::1/x", "IPv6"),
        ("postgresql://u:hidden@h/x?sslmod=require", "invalid URI query parameter"),
        ("postgresql://u:hidden@/x?host=a,b&port=1,2,3", "one port for all hosts"),
        ("postgresql://u:hidden@h/x?connect_timeout=soon", "connect_timeout in DATABASE_URL"),
        ("postgresql://u:hidden@h/x?target_session_attrs=writable", "target_session_attrs"),
        ("sqlite://registry.db", "sqlite:/// and the path of a file"),
        ("sqlite:registry.db", "sqlite:/// and the path of a file"),
        ("sqlite:///", "sqlite:/// and the path of a file"),
        ("sqlite:////tmp", "names the folder"),
        ("sqlite:////proc/nowhere/registry.db", "cannot be created"),
        ("sqlite:////dev/null/registry.db", "cannot be created"),
        ("sqlite:////tmp/%00x", "sqlite:/// and the path of a file"),
        ("sqlite:////tmp/x?mode=ro", "sqlite:/// and the path of a file"),
        ("sqlite:////tmp/x#y", "sqlite:/// and the path of a file"),
        ("sqlite://[x.db", "sqlite:/// and the path of a file"),
        (f"sqlite:////tmp/{'x' * 300}", "File name too long"),
        (f"sqlite:////tmp/{'x' * 250}", "File name too long"),
        (f"sqlite:////tmp/{'x' * 300}/registry.db", "cannot be created"),
    ],
)
def test_a_wrong_url_gets_one_sentence_without_the_password(url: str, words: str) -> None:
    with pytest.raises(SettingsError) as raised:
        open_database(url)
    message = raised.value.message
    assert words in message
    assert "hid" not in message
    assert "den" not in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "url",
    [
        "garbage:hidden",
        "sqlite:///hidden.db",
        "postgresql://u:hid%zzden@h/x",
        "postgresql://hidden",
        "postgresql://u:hidden@h:0/x",
        "postgresql://u:hidden@/x?host=a,b&port=1,2,3",
        "postgresql://u:hidden@h/x?connect_timeout=soon",
        "postgresql://u:hidden@h/x?target_session_attrs=writable",
    ],
)
def test_the_start_refuses_a_wrong_direct_url_by_its_name(url: str) -> None:
    with pytest.raises(SettingsError, match="DIRECT_DATABASE_URL") as raised:
        create_app({**ENVIRON, "DATABASE_URL": "sqlite:///:memory:", "DIRECT_DATABASE_URL": url})
    assert "hid" not in raised.value.message
    assert " DATABASE_URL" not in f" {raised.value.message}"


def test_several_hosts_are_tried_in_order() -> None:
    for url in (
        "postgresql://u:p@a:1,b:2/x?target_session_attrs=read-write&connect_timeout=3",
        "postgresql://u:p@/x?host=a,b&port=1,2&target_session_attrs=read-write&connect_timeout=3",
    ):
        parameters = open_database(url).connect_params
        assert (parameters["host"], parameters["port"]) == ("a,b", "1,2")
        assert parameters["target_session_attrs"] == "read-write"
        assert parameters["connect_timeout"] == "3"


def test_special_characters_and_own_options_are_passed_on() -> None:
    database = open_database(
        "postgresql://me%40x:p%2Fw@h/x?options=-c%20work_mem%3D8MB&sslmode=require"
    )
    assert database.connect_params["user"] == "me@x"
    assert database.connect_params["password"] == "p/w"
    assert database.connect_params["sslmode"] == "require"
    assert database.connect_params["options"].endswith("-c work_mem=8MB")


def test_pgbouncer_gets_no_options_and_no_prepared_statements() -> None:
    database = open_database("postgresql://u:p@h/x", pgbouncer=True)
    assert "options" not in database.connect_params
    assert database.connect_params["prepare_threshold"] is None
    with pytest.raises(SettingsError, match="cannot contain options"):
        open_database("postgresql://u:p@h/x?options=-c%20work_mem%3D8MB", pgbouncer=True)
    with pytest.raises(SettingsError, match="PGBOUNCER needs"):
        open_database("sqlite:///x.db", pgbouncer=True)
    assert read_settings({**ENVIRON, "PGBOUNCER": "true"}).pgbouncer


def test_a_server_that_nobody_runs_gets_one_sentence() -> None:
    url = f"postgresql://u:hidden@127.0.0.1:{free_port()}/x"
    done = run_flask("migrate", DATABASE_URL=url)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: The database at DATABASE_URL cannot be opened: ")
    assert "Traceback" not in done.stderr
    assert "hidden" not in done.stderr


def test_a_file_that_is_no_database_gets_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "registry.db"
    file.touch(mode=0o600)
    file.write_text("no database " * 1000)
    done = run_flask("migrate", DATABASE_URL=f"sqlite:///{file}")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: The database at DATABASE_URL cannot be opened: file is")
    assert "Traceback" not in done.stderr


def test_a_command_says_that_the_database_is_locked(tmp_path: Path) -> None:
    file = tmp_path / "registry.db"
    assert run_flask("migrate", DATABASE_URL=f"sqlite:///{file}").returncode == 0
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    done = run_flask(
        "create-admin",
        "a@example.com",
        "--password",
        "correct horse battery staple",
        DATABASE_URL=f"sqlite:///{file}",
    )
    other.close()
    assert done.returncode == 1
    assert "The database failed, so the command did not finish: database is locked" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "url",
    [
        "http://h",
        "memory://",
        "redis:/h",
        "redis://:hidden@h:port/0",
        "redis://[::1",
        "redis://h/notanumber",
        "redis://:hidden@h/0?foo=bar",
        "redis://h/0?connection_class=x",
        "redis://h/0?db=x",
        "redis://h/0?protocol=9",
        "redis://h/0?encoding=unknown",
        "redis+unix:///run/redis.sock?foo=bar",
        "redis+cluster://",
        "rediss://h/0?ssl_cert_reqs=unknown",
    ],
)
def test_a_wrong_url_of_redis_gets_one_sentence(url: str) -> None:
    with pytest.raises(SettingsError, match="REDIS_URL is not a valid URL") as raised:
        Attempts(url)
    assert "hidden" not in raised.value.message


@pytest.mark.parametrize(
    "url",
    [
        "redis://h",
        "redis://h/",
        "redis://h:6379/15",
        "redis://h/0?socket_timeout=-1&retry=3",
        "redis+unix:///run/redis.sock?db=1",
        "rediss://:secret@h/0?ssl_cert_reqs=none",
    ],
)
def test_a_url_of_redis_is_accepted_and_its_query_does_not_replace_the_timeouts(url: str) -> None:
    shared = Attempts(url)._shared
    assert shared is not None
    options = shared._client.connection_pool.connection_kwargs
    assert options["socket_timeout"] == REDIS_TIMEOUT_SECONDS
    assert not isinstance(options["retry"], str)


def test_the_connections_of_the_tests_know_their_limits(app: object) -> None:
    if is_sqlite():
        pytest.skip("SQLite has no server.")
    with models.database.connection_context():
        row = models.database.execute_sql("SHOW statement_timeout").fetchone()
        if "options" in models.database.obj.connect_params:
            assert row == ("10min",)
