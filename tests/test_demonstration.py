"""The demonstration: its organization, and its separation from the application."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask

import models
from models import CloudCredentials, Person
from sandbox import demo_app, demonstration
from tests.environ import ENVIRON
from webapp import database
from webapp.clouds import CLOUDS
from webapp.web.services import services

ROOT = Path(__file__).parent.parent


def test_a_database_with_people_gets_only_missing_credentials(db: Flask) -> None:
    values = {field.name: "x" for field in CLOUDS["aws"].credential_fields}
    sandbox = {"credentials": [{"cloud": "aws", "values": values}]}
    people = Person.select().count()
    with db.app_context():
        vault = services().vault
        assert [demonstration.seed(vault, sandbox) for _ in range(2)] == [False, False]
    assert Person.select().count() == people > 0
    assert [row.name for row in CloudCredentials.select()] == ["Sandbox AWS"]


@pytest.mark.parametrize("folder", ["webapp", "schema", "migrations"])
def test_the_application_does_not_mention_the_demonstration(folder: str) -> None:
    for path in (ROOT / folder).rglob("*.*"):
        if path.suffix in {".py", ".html", ".js"} and "vendor" not in path.parts:
            text = path.read_text()
            assert "sandbox import" not in text, path
            assert "import sandbox" not in text, path
            for email, name, *_ in demonstration.PEOPLE:
                assert email not in text, path
                assert name not in text, path


def test_only_the_demonstration_lists_its_accounts(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = tmp_path / "sandbox.json"
    sandbox.write_text('{"credentials": []}')
    settings = {**ENVIRON, "DATA_DIR": str(tmp_path), "DEMONSTRATION": "true"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    account = "<code>environment@example.com</code>: admin of acme / production"
    assert account not in app.test_client().get("/sign-in").text
    original = models.database.obj
    try:
        demonstration_app = demo_app.create_app(str(sandbox))
        demonstration_app.testing = True  # Otherwise a thread would load SDKs.
        assert account in demonstration_app.test_client().get("/sign-in").text
    finally:
        database.close_all(models.database.obj)
        models.database.initialize(original)
