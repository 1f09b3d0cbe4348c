"""Health checks and metrics: who gets which answer, also while the database fails."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

import models
import webapp
from models import CloudCredentials
from tests.conftest import NewDatabase
from tests.environ import ENVIRON
from webapp import database
from webapp.credentials.vault import Vault
from webapp.monitoring import bounded
from webapp.web.services import Services

TOKEN = "Probes-token-0123456789"
PRIVATE = {"Authorization": f"Bearer {TOKEN}"}
SETTINGS = {"METRICS_TOKEN": TOKEN, "URL_PREFIX": "/registry"}


@pytest.fixture
def site(new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """Yield an app that shows metrics. Its results are never cached."""
    monkeypatch.setattr(bounded, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(bounded, "STALE_SECONDS", 0.0)
    with new_database() as url:
        app = webapp.create_app({**ENVIRON, **SETTINGS, "DATABASE_URL": url})
        app.config["TESTING"] = True
        yield app
        database.close_all(models.database.obj)


@pytest.fixture
def client(site: Flask) -> FlaskClient:
    return site.test_client()


def services_of(app: Flask) -> Services:
    found: Services = app.extensions["services"]
    return found


def problems(client: FlaskClient) -> list[str]:
    answer = client.get("/readyz", headers=PRIVATE)
    found: list[str] = json.loads(answer.text)["problems"]
    assert answer.status_code == (503 if found else 200)
    return found


def test_strangers_get_a_status_and_a_word(client: FlaskClient) -> None:
    for path, word in (("/healthz", "ok"), ("/readyz", "ready"), ("/registry/readyz", "ready")):
        answer = client.get(path)
        assert (answer.status_code, answer.text) == (200, f"{word}\n")
        assert "Set-Cookie" not in answer.headers
        assert "Cookie" not in answer.headers.get("Vary", "")
        assert answer.headers["Cache-Control"] == "no-store"
        assert client.head(path).text == ""
        assert client.post(path).status_code == 405


@pytest.mark.parametrize("host", ["10.0.0.7:8000", "", "bad host", "[::1]", "é", "x" * 300])
def test_a_probe_may_send_any_host(client: FlaskClient, host: str) -> None:
    for path in ("/healthz", "/readyz"):
        assert client.get(path, environ_overrides={"HTTP_HOST": host}).status_code == 200


def test_without_a_database_the_process_is_alive_but_not_ready(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*_arguments: object, **_options: object) -> None:
        raise models.DATABASE_FAILURES[0]("for administrators only")

    with monkeypatch.context() as patch:
        patch.setattr(models.database.obj, "connect", connect)
        answer = client.get("/readyz")
        assert (answer.status_code, answer.text) == (503, "not ready\n")
        assert client.get("/healthz").status_code == 200
        assert problems(client) == ["the database does not answer", "for administrators only"]
        assert metrics_of(client)["image_registry_database_up"] == 0
    assert problems(client) == []
    assert metrics_of(client)["image_registry_database_up"] == 1


def test_a_database_without_a_migration_is_not_ready(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    rename = "UPDATE schema_migration SET name = '{}' WHERE name = '{}'"
    with models.database.connection_context():
        models.database.execute_sql(rename.format("x", "0001_initial"))
    try:
        for _ in range(3):
            assert problems(client) == ["the database lacks migrations: 0001_initial"]
        assert client.get("/readyz").text == "not ready\n"
    finally:
        with models.database.connection_context():
            models.database.execute_sql(rename.format("0001_initial", "x"))
    assert caplog.text.count("this process is not ready: the database lacks migrations") == 1
    assert problems(client) == []
    assert caplog.text.count("this process is ready again") == 1


def test_keys_that_decrypt_no_stored_credentials_are_not_ready(
    site: Flask, client: FlaskClient
) -> None:
    vault = services_of(site).vault
    other = Vault(["6YxSDL1qKcXjCoFyVjVbCnXQ7pC4Cwb3mAfMqkzyy2k="])
    with models.database.connection_context():
        root = models.Scope.at("")
        for name, key in (("old", other), ("new", other)):
            row = CloudCredentials(scope=root, cloud="aws", name=name)
            key.store(row, (), {})
            row.save(force_insert=True)
    message = "no key in CREDENTIALS_KEYS can decrypt the oldest or the newest credentials"
    assert problems(client) == [message]
    with models.database.connection_context():
        vault.store(row, (), {})
        row.save()
    # Credentials whose key is lost do not make all servers count as not ready.
    assert problems(client) == []


def test_a_thread_that_has_ended_is_not_ready(site: Flask, client: FlaskClient) -> None:
    background = services_of(site).background
    background._names = ["ticker", "runner"]
    assert problems(client) == [f"the thread “{name}” has ended" for name in background._names]


def test_a_process_that_shuts_down_is_not_ready(site: Flask, client: FlaskClient) -> None:
    services_of(site).readiness.drain()
    assert problems(client) == ["the process is shutting down"]
    assert client.get("/healthz").status_code == 200


def metrics_of(client: FlaskClient) -> dict[str, float]:
    text = client.get("/metrics", headers=PRIVATE).text
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.parametrize(
    "value",
    ["", "Bearer", "Bearer ", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer é", "Bearer \0"],
)
def test_metrics_do_not_exist_without_the_token(client: FlaskClient, value: str) -> None:
    answer = client.get("/metrics", headers={"Authorization": value} if value else {})
    assert answer.status_code == 404
    assert "Page not found" in answer.text
    assert client.get("/readyz", headers={"Authorization": value}).text == "ready\n"


def test_metrics_do_not_exist_without_a_setting(app: Flask) -> None:
    client = app.test_client()
    for value in ("Bearer ", "Bearer", f"Bearer {TOKEN}"):
        assert client.get("/metrics", headers={"Authorization": value}).status_code == 404


def test_metrics_are_shown_with_the_token(client: FlaskClient) -> None:
    client.get("/sign-in")
    answer = client.get("/registry/metrics", headers=PRIVATE)
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain; version=")
    assert f'image_registry_build_info{{version="{webapp.__version__}"}} 1.0' in answer.text
    assert 'route="people.sign_in"' in answer.text
    assert metrics_of(client)["image_registry_ready"] == 1


def samples(client: FlaskClient) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
    text = client.get("/metrics", headers=PRIVATE).text
    return {
        (sample.name, tuple(sorted(sample.labels.items())))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_two_thousand_urls_and_methods_create_few_series(client: FlaskClient) -> None:
    for path in ("/x", "/account/a/images", "/environment/a/b", "/static/x", "/help/x"):
        client.get(path)
    client.open("/x", method="X0")
    before = samples(client)
    for number in range(500):
        client.get(f"/x{number}?q={number}")
        client.get(f"/account/a{number}/images")
        client.get(f"/help/{number}")
        client.open("/x", method=f"X{number}")
    assert not samples(client) - before


def test_levels_share_a_route(site: Flask) -> None:
    """Every level has the same views, so the label `route` can leave out the level."""
    names = {rule.endpoint for rule in site.url_map.iter_rules()}
    assert {"scalr.images", "account.images", "environment.images"} <= names


def test_jobs_and_leases_are_counted(site: Flask, client: FlaskClient) -> None:
    with models.database.connection_context():
        person = models.Person.get()
        scope = models.Scope.at("")
        for state, total, done in (("running", 7, 3), ("running", 2, 0), ("done", 5, 5)):
            models.Job.create(
                scope=scope, person=person, action="x", arguments={}, state=state, total=total,
                done=done,
            )  # fmt: skip
        clock = models.database_clock()
        models.Lease.insert(name="job:1", token="x", expires_at=clock + 60).execute()
        models.Lease.insert(name="job:2", token="x", expires_at=clock - 60).execute()
    found = metrics_of(client)
    assert found["image_registry_jobs_running"] == 2
    assert found["image_registry_job_rows_queued"] == 6
    assert found["image_registry_job_oldest_age_seconds"] >= 0
    assert found["image_registry_leases_held"] == 1
