"""The commands that operators run."""

from __future__ import annotations

import gc
import os
import runpy
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography.fernet import Fernet
from flask import Flask

import models
import webapp
from models import (
    AuditEntry,
    CloudCredentials,
    Membership,
    Person,
    Scope,
    SessionKind,
    SignInSession,
)
from tests.cast import PASSWORD
from tests.conftest import MakeCredentials
from webapp import database
from webapp.people import sessions
from webapp.people.attempts import Attempts
from webapp.web.services import Services

ROOT = Path(__file__).parent.parent


def run_command(app: Flask, *arguments: str) -> tuple[int, str]:
    """Return the exit code and the output of a command."""
    if not models.database.is_closed():
        models.database.close()
    result = app.test_cli_runner().invoke(args=list(arguments))
    models.database.connect(reuse_if_open=True)
    return result.exit_code, result.output


def test_migrating_an_up_to_date_schema_changes_nothing(db: Flask) -> None:
    assert run_command(db, "migrate") == (0, "The schema is up to date.\n")


def test_an_administrator_is_created_once(db: Flask) -> None:
    arguments = ("create-admin", "Root@Example.com", "--password", PASSWORD)
    assert run_command(db, *arguments)[0] == 0
    person = sessions.sign_in("root@example.com", PASSWORD, "", Attempts(""))
    assert Membership.get(person=person).scope == Scope.at("")
    code, output = run_command(db, *arguments)
    assert (code, "already exists" in output) == (1, True)


def test_a_disabled_admin_is_enabled(db: Flask) -> None:
    email = "scalr-admin@example.com"
    person = Person.get(Person.email == email)
    command = ("enable-person", email.upper())
    assert run_command(db, *command) == (1, f"Error: {email} is not disabled.\n")
    Person.update(disabled_at=models.now()).where(Person.id == person.id).execute()
    with pytest.raises(sessions.SignInRefused):
        sessions.sign_in(email, PASSWORD, "", Attempts(""))
    assert run_command(db, *command) == (0, f"Enabled {email}.\n")
    assert sessions.sign_in(email, PASSWORD, "", Attempts("")) == person
    entry = AuditEntry.get(action="person.enable")
    assert entry.person_name.endswith("(command line)")
    assert (entry.scope, entry.subject) == (Scope.at(""), person.label)
    assert run_command(db, "enable-person", "nobody@example.com")[0] == 1


@pytest.mark.parametrize("command", ["create-admin", "set-password", "rotate-keys"])
def test_commands_ask_to_migrate_an_old_schema(
    db: Flask, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(database, "pending_migrations", lambda _database: ["0009_new"])
    arguments = () if command == "rotate-keys" else ("you@example.com", "--password", PASSWORD)
    code, output = run_command(db, command, *arguments)
    assert (code, "Run `flask --app webapp migrate` first" in output) == (1, True)


@pytest.mark.parametrize("command", ["create-admin", "set-password"])
def test_weak_passwords_are_refused(db: Flask, command: str) -> None:
    code, output = run_command(db, command, "outsider@example.com", "--password", "short")
    assert code == 1
    assert "10 to 256" in output


def test_setting_a_password_ends_the_sessions(db: Flask) -> None:
    email = "outsider@example.com"
    person = Person.get(Person.email == email)
    sessions.start(person, SessionKind.PASSWORD, "127.0.0.1", "")
    assert run_command(db, "set-password", email, "--password", "found again")[0] == 0
    assert sessions.sign_in(email, "found again", "", Attempts(""))
    assert SignInSession.select().count() == 0
    assert run_command(db, "set-password", "no@example.com", "--password", "found again")[0] == 1


def test_sessions_of_a_person_or_of_everybody_can_be_ended(db: Flask) -> None:
    for email in ("outsider@example.com", "account-viewer@example.com"):
        person = Person.get(Person.email == email)
        for _ in range(2):
            sessions.start(person, SessionKind.PASSWORD, "127.0.0.1", "")
    code, output = run_command(db, "end-sessions", "Outsider@example.com")
    assert (code, output) == (0, "Ended all sessions of outsider@example.com.\n")
    assert {row.person.email for row in SignInSession.select()} == {"account-viewer@example.com"}
    assert run_command(db, "end-sessions", "no@example.com")[0] == 1
    assert run_command(db, "end-sessions") == (0, "Ended all sessions of everybody.\n")
    assert SignInSession.select().count() == 0


def test_rotating_keys_encrypts_the_credentials_again(
    db: Flask, make_credentials: MakeCredentials
) -> None:
    row = make_credentials()
    assert run_command(db, "rotate-keys") == (
        0,
        "Re-encrypted 1 set of credentials with the first key.\n",
    )
    assert CloudCredentials.get_by_id(row.id).secrets != row.secrets
    row.reload()
    row.secrets = Fernet(Fernet.generate_key()).encrypt(b"{}").decode()
    row.save()
    code, output = run_command(db, "rotate-keys")
    assert (code, "can decrypt" in output) == (1, True)


def test_the_version_matches_pyproject(db: Flask) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert webapp.__version__ == project["project"]["version"]
    assert run_command(db, "version") == (0, f"Image Registry {webapp.__version__}\n")


def test_each_server_process_logs_the_version(
    db: Flask, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gc, "freeze", lambda: None)
    monkeypatch.setattr(Services, "start_threads", lambda _services: None)
    configuration = runpy.run_path(str(ROOT / "gunicorn.conf.py"))
    configuration["post_worker_init"](SimpleNamespace(wsgi=db))
    assert f"Image Registry {webapp.__version__}, process {os.getpid()}" in caplog.messages
