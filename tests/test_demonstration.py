"""The demonstration: its organization, and its separation from the application."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

import models
from models import CloudCredentials, Image, LifeCycle, Person, Scope
from sandbox import demo_app, demonstration, sample_images
from tests import served
from tests.environ import ENVIRON
from webapp import database
from webapp.clouds import CLOUDS
from webapp.clouds.details import ImageState
from webapp.clouds.errors import CloudUnreachable
from webapp.images import registration
from webapp.images.receipts import Receipt
from webapp.web.services import services

ROOT = Path(__file__).parent.parent


def test_a_database_with_people_gets_only_missing_credentials(db: Flask) -> None:
    values = {field.name: "x" for field in CLOUDS["aws"].credential_fields}
    sandbox = {"credentials": [{"cloud": "aws", "values": values}]}
    people = Person.select().count()
    with db.app_context():
        vault = services().vault
        assert [demonstration.seed(vault, sandbox) for _ in range(2)] == [0, 0]
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


def test_the_first_start_registers_sample_images(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images at all scopes, in all clouds, states and stages of the life cycle.

    The first look-up fails, as on a busy machine.
    """
    look_up, failures = registration.look_up, [CloudUnreachable("AWS took too long to respond.")]

    def slow_look_up(*args: Any, **options: Any) -> Receipt:
        if failures:
            raise failures.pop()
        return look_up(*args, **options)

    monkeypatch.setattr(registration, "look_up", slow_look_up)
    with served.sandbox(tmp_path) as sandbox, own_database(tmp_path, monkeypatch):
        for _ in range(2):
            started = demo_app.create_app(str(sandbox))
            with started.app_context(), models.database.connection_context():
                images = list(Image.select(Image, Scope).join(Scope))
            assert len(images) == 68
    assert not failures
    assert {image.scope.path for image in images} == {"", *demonstration.SCOPES}
    assert {image.cloud for image in images} == set(CLOUDS)
    assert {image.state for image in images} == set(ImageState)
    assert {image.status for image in images} == set(LifeCycle)
    assert {image.agent_installed for image in images} == {image.shared for image in images}
    assert any(image.successor_id for image in images)
    assert {"cis", "team=web"} < {tag for image in images for tag in image.tags}
    assert max(len(image.name) for image in images) > 150


def test_only_the_demonstration_lists_its_accounts_and_example_images(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = tmp_path / "sandbox.json"
    sandbox.write_text('{"credentials": []}')
    account = "admin of the environment acme / production"
    assert account not in app.test_client().get("/sign-in").text
    monkeypatch.setattr(sample_images, "register_all", lambda *_: 0)
    with own_database(tmp_path, monkeypatch):
        demonstration_app = demo_app.create_app(str(sandbox))
        demonstration_app.testing = True  # Otherwise a thread would load SDKs.
        client = demonstration_app.test_client()
        page = client.get("/sign-in").text
        assert account in page
        fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]+)">', page))
        answer = client.post("/sign-in", data=fields | {"email": "environment@example.com"})
        assert (answer.status_code, answer.location) == (303, "/")
        examples = demonstration_app.jinja_env.globals["example_images"]
        assert examples == demonstration.EXAMPLE_IMAGES


@contextmanager
def own_database(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let apps that are created in this context use a database in `folder`."""
    settings = {**ENVIRON, "DATA_DIR": str(folder), "DEMONSTRATION": "true"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    original = models.database.obj
    try:
        yield
    finally:
        database.close_all(models.database.obj)
        models.database.initialize(original)
