"""Imports with the API: the plan and the job of the page, without its pages."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from peewee import OperationalError

from models import ApiToken, AuditEntry, Image, Job, JobRow, now
from tests.api.client import ApiClient, ClientFor
from tests.conftest import ClientOf, MakeCredentials, MakeImage
from tests.jobs.threads import process_jobs
from webapp.credentials.vault import Vault
from webapp.images.receipts import VALID_SECONDS
from webapp.jobs import runner, store
from webapp.jobs.ticker import PERIODIC_WORK
from webapp.transfer import import_preparation, imports
from webapp.transfer.import_formats import MAX_BYTES

IMPORTS = "/account/acme/images/imports"
ROOT = "http://localhost/api/v1"


def item(number: int, **values: object) -> dict[str, object]:
    return {
        "cloud": "aws",
        "location": "us-east-1",
        "cloud_image_id": f"ami-{number:017x}",
        "name": f"web {number}",
        "os_family": "ubuntu",
        "os_version": "24.04",
        "size_gb": 8,
        **values,
    }


def body(*items: object, **options: object) -> dict[str, object]:
    return {"content": json.dumps(items), "look_up": False, **options}


@pytest.fixture
def api(api_of: ClientFor) -> ApiClient:
    return api_of("account-editor")


def read(api: ApiClient, url: str) -> Any:
    answer = api.get(url.removeprefix(ROOT))
    assert answer.status_code == 200, answer.text
    return answer.json


def test_an_import_is_the_job_of_the_page(
    api: ApiClient, client_of: ClientOf, make_image: MakeImage
) -> None:
    make_image("acme", 1, name="old")
    before = AuditEntry.select().count()
    answer = api.post(IMPORTS, body(item(1), item(2), item(3, size_gb="large")))
    assert answer.status_code == 202
    started: Any = answer.json
    assert answer.headers["Location"] == started["job"]["url"]
    process_jobs()
    job = read(api, started["job"]["url"])
    assert (job["action"], job["state"], job["total"]) == ("import", "done", 3)
    assert job["outcomes"] == {"refused": 1, "created": 1, "updated": 1}
    assert {image.name for image in Image.select()} == {"web 1", "web 2"}
    assert AuditEntry.select().count() > before
    assert {entry.token_name for entry in AuditEntry.select()} >= {ApiToken.get().name}
    rows = read(api, f"{started['job']['url']}/rows?outcome=refused")
    assert "size" in rows["items"][0]["message"]
    page = client_of("account-editor").get(job["web_url"].removeprefix("http://localhost"))
    assert "web 2" in page.text


def test_a_dry_run_returns_the_plan_of_each_line(
    api: ApiClient, make_image: MakeImage, vault: Vault
) -> None:
    image = make_image("acme", 1, name="old")
    content = "cloud,location,cloud_image_id,name,os_family,os_version,colour\n" + "".join(
        f"aws,us-east-1,ami-{number:017x},web,ubuntu,24.04,red\n" for number in (1, 2)
    )
    answer = api.post(IMPORTS, {"content": content, "look_up": False, "dry_run": True})
    planned: Any = answer.json
    assert (planned["state"], planned["format"], planned["total"]) == ("planned", "CSV", 2)
    assert planned["effects"] == {"error": 0, "create": 1, "update": 1, "unchanged": 0}
    assert planned["unknown_columns"] == ["colour"]
    lines = read(api, f"{planned['url']}/lines?limit=1")
    (created,) = lines["items"]
    assert (created["effect"], created["line"], created["image"]) == ("create", "line 3", None)
    (updated,) = read(api, lines["next"])["items"]
    assert (updated["effect"], updated["image"]) == ("update", image.id)
    assert {"field": "name", "before": "old", "after": "web"} in updated["changes"]
    assert read(api, f"{planned['url']}/lines?effect=error")["items"] == []
    imports.proceed_chunk(vault)
    assert Image.select().count() == 1
    assert read(api, planned["job"]["url"])["state"] == "planned"
    path = planned["url"].removeprefix(ROOT)
    assert api.post(f"{path}/apply", {"plan": "another"}).status_code == 409
    applied = api.post(f"{path}/apply", {"plan": planned["plan"]})
    assert applied.status_code == 202
    process_jobs()
    assert read(api, planned["url"])["state"] == "done"
    assert {each.name for each in Image.select()} == {"web"}


def test_missing_values_are_sent_with_the_file_or_later(api: ApiClient) -> None:
    manifest = {
        "builds": [
            {
                "name": "web",
                "builder_type": "openstack",
                "build_time": 1796000000,
                "artifact_id": str(uuid.UUID(int=7)),
                "custom_data": {"os_family": "ubuntu", "os_version": "24.04", "size_gb": "8"},
            }
        ]
    }
    content = {"content": json.dumps(manifest), "look_up": False}
    planned: Any = api.post(IMPORTS, {**content, "dry_run": True}).json
    assert planned["format"] == "Packer manifest"
    assert planned["questions"] == [{"cloud": "openstack", "name": "location", "lines": 1}]
    path = planned["url"].removeprefix(ROOT)
    answers = {"openstack": {"location": "RegionOne"}}
    completed: Any = api.post(f"{path}/answers", {"answers": answers}).json
    assert completed["effects"]["create"] == 1
    refused: Any = api.post(f"{path}/answers", {"operating_system": "Ubuntu"})
    assert refused.json["errors"][0]["field"] == "operating_system"
    api.post(IMPORTS, {**content, "answers": answers})
    process_jobs()
    assert Image.get().location == "RegionOne"


def test_look_ups_use_the_only_credentials_and_need_no_further_request(
    api: ApiClient, make_credentials: MakeCredentials, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The periodic work carries out the import after its look-ups."""
    credentials = make_credentials("acme", "build")
    answer: Any = api.post(IMPORTS, {"content": json.dumps([item(1)])}).json
    assert answer["state"] == "planning"
    job = Job.get_by_id(answer["id"])
    assert job.arguments["credentials"] == {"aws": credentials.id}
    assert read(api, answer["job"]["url"])["state"] == "running"
    assert read(api, f"{answer['url']}/lines")["items"] == []
    process_jobs()  # The cloud of these credentials can't be reached, so the look-up fails.
    store.reload_job(job)
    assert (job.action, job.state) == ("import-read", "done")
    imports.proceed_chunk(vault)
    store.reload_job(job)
    assert (job.action, job.state) == ("import", "done")
    assert read(api, answer["job"]["url"])["outcomes"] == {"refused": 1}


def test_a_long_file_is_planned_and_imported_in_the_background(
    api: ApiClient, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.transfer.import_preparation.SHORT_FILE_LINES", 2)
    started: Any = api.post(IMPORTS, body(*map(item, range(1, 6)))).json
    assert started["state"] == "planning"
    for _ in range(2):
        process_jobs()
        imports.proceed_chunk(vault)
    process_jobs()
    job = read(api, started["job"]["url"])
    assert (job["state"], job["outcomes"]) == ("done", {"created": 5})


def break_preparation(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("broken")

    monkeypatch.setattr(import_preparation._Preparation, "run", fail)


def test_the_periodic_work_repeats_a_preparation_that_failed(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody needs to read an import that needs no review."""
    with monkeypatch.context() as patched:
        break_preparation(patched)
        started = start_long_import(api, monkeypatch)
        process_jobs()
    job = Job.get_by_id(started["id"])
    assert (job.action, job.state) == ("import-plan", "planned")
    continue_imports = PERIODIC_WORK["continue imports"].do_chunk
    continue_imports()
    continue_imports()  # The preparation is in progress.
    assert Job.select().where(Job.action == import_preparation.PREPARE).count() == 2
    process_jobs()
    continue_imports()
    process_jobs()
    store.reload_job(job)
    assert (job.action, job.state) == ("import", "done")
    assert Image.select().count() == 5


def test_a_preparation_without_a_job_is_started(
    api: ApiClient, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For example, the server ended before the request had started the job."""
    started = start_long_import(api, monkeypatch)
    Job.delete().where(Job.action == import_preparation.PREPARE).execute()
    for _ in range(2):
        imports.proceed_chunk(vault)
        process_jobs()
    assert Job.get_by_id(started["id"]).state == "done"


def test_a_preparation_that_always_fails_stops_the_import(
    api: ApiClient, client_of: ClientOf, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        break_preparation(patched)
        started = start_long_import(api, monkeypatch)
        for _ in range(2 * import_preparation.MAX_ATTEMPTS):
            process_jobs()
            imports.proceed_chunk(vault)
        attempts = Job.select().where(Job.action == import_preparation.PREPARE).count()
        assert attempts == import_preparation.MAX_ATTEMPTS
        job = read(api, started["job"]["url"])
        assert job["state"] == read(api, started["url"])["state"] == "stopped"
        assert "Planning the import failed 5 times" in job["stop_reason"]
        page = f"/account/acme/images/import/{started['id']}"
        # A page that somebody opened earlier asks for the progress. It must not begin again.
        shown = client_of("account-editor").get(f"{page}?progress=import-plan")
        assert shown.location == "/activity"
        assert read(api, started["job"]["url"])["state"] == "stopped"
        assert Job.select().where(Job.action == import_preparation.PREPARE).count() == attempts
    assert not Image.select().exists()


def test_reading_an_import_does_not_try_it_too_often(
    api: ApiClient, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_preparation(monkeypatch)
    started = start_long_import(api, monkeypatch)
    for _ in range(2 * import_preparation.MAX_ATTEMPTS):
        process_jobs()
        assert read(api, started["url"])["state"] == "planning"
    attempts = Job.select().where(Job.action == import_preparation.PREPARE).count()
    assert attempts == import_preparation.MAX_ATTEMPTS


def test_an_import_ends_if_its_look_ups_are_stopped(
    api: ApiClient, make_credentials: MakeCredentials, vault: Vault
) -> None:
    make_credentials("acme", "build")
    answer: Any = api.post(IMPORTS, {"content": json.dumps([item(1)])}).json
    stopped: Any = api.post(f"{answer['job']['url'].removeprefix(ROOT)}/stop").json
    assert stopped["state"] == "stopped"
    imports.proceed_chunk(vault)
    assert read(api, answer["url"])["state"] == "stopped"
    assert not Image.select().exists()


def test_a_revoked_token_imports_nothing(api: ApiClient, vault: Vault) -> None:
    planned: Any = api.post(IMPORTS, body(item(1), dry_run=True)).json
    ApiToken.delete().execute()
    job = Job.get_by_id(planned["id"])
    imports.apply(job, vault)
    process_jobs()
    assert not Image.select().exists()


def test_a_failure_stops_the_import(
    api: ApiClient, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job.get_by_id(api.post(IMPORTS, body(item(1), dry_run=True)).json["id"])  # type: ignore[index]
    Job.update(arguments={**job.arguments, "review": "skipped"}).execute()

    def fail(*_: object, **__: object) -> None:
        raise ValueError("broken")

    with monkeypatch.context() as patched:
        patched.setattr(runner, "start_job", fail)
        imports.proceed_chunk(vault)
    imports.proceed_chunk(vault)
    assert not Image.select().exists()
    job = Job.get_by_id(job.id)
    assert (job.state, "nothing was imported" in job.stop_reason) == ("stopped", True)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"content": ""}, "content"),
        ({"content": "{}"}, "content"),
        ({"content": "x" * (MAX_BYTES + 1)}, "content"),
        ({"credentials": {"aws": 999}}, "credentials"),
        ({"credentials": {"awz": 1}}, "credentials"),
        ({"answers": {"awz": {"location": "x"}}}, "answers"),
        ({"operating_system": "Ubuntu"}, "operating_system"),
    ],
)
def test_a_wrong_value_starts_nothing(
    api: ApiClient, changes: dict[str, object], field: str
) -> None:
    answer = api.post(IMPORTS, body(item(1), **changes))
    assert answer.status_code == 422
    assert answer.json is not None
    assert answer.json["errors"][0]["field"] == field
    assert not Job.select().exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"credentials": {"aws": "x" * 65}},
        {"answers": {"aws": {"location": "x" * 256}}},
        {"answers": {"aws": {"project": "x" * 256}}},
        {"operating_system": f"{'x' * 200} 24.04"},
    ],
)
def test_a_long_value_is_refused_and_not_repeated(
    api: ApiClient, changes: dict[str, object]
) -> None:
    answer = api.post(IMPORTS, body(item(1), **changes))
    assert answer.status_code == 422
    assert "length" in answer.text
    assert "xxxx" not in answer.text
    assert not Job.select().exists()


def test_only_an_import_can_have_a_large_body(api: ApiClient) -> None:
    large = {"content": "x" * (2 * MAX_BYTES)}
    assert api.post(IMPORTS, large).status_code == 413
    assert api.post("/account/acme/images", {"cloud": "x" * 1024 * 1024}).status_code == 413
    again = body(item(1), content=json.dumps([item(1, notes="x" * 30_000)] * 40))
    assert api.post(IMPORTS, again).status_code == 202


def test_nobody_else_sees_an_import(api: ApiClient, api_of: ClientFor) -> None:
    planned: Any = api.post(IMPORTS, body(item(1), dry_run=True)).json
    path = planned["url"].removeprefix(ROOT)
    other = api_of("account-admin")
    for method, name in (("GET", ""), ("GET", "/lines"), ("POST", "/apply"), ("POST", "/answers")):
        options: dict[str, Any] = {"json": {}} if method == "POST" else {}
        assert other.open(method, path + name, **options).status_code == 404
    assert other.get(planned["job"]["url"].removeprefix(ROOT)).status_code == 404


def test_a_repeated_request_starts_one_import(api: ApiClient) -> None:
    headers = {"Idempotency-Key": "k"}
    first = api.post(IMPORTS, body(item(1)), headers=headers)
    again = api.post(IMPORTS, body(item(1)), headers=headers)
    assert first.json == again.json
    assert Job.select().count() == 1


def test_an_import_ends_although_its_look_ups_took_long(
    api: ApiClient, make_credentials: MakeCredentials, vault: Vault
) -> None:
    make_credentials("acme", "build")
    answer: Any = api.post(IMPORTS, {"content": json.dumps([item(1)])}).json
    process_jobs()
    job = Job.get_by_id(answer["id"])
    long_ago = now() - timedelta(seconds=2 * VALID_SECONDS)
    Job.update(arguments={**job.arguments, "looked_up_at": long_ago.isoformat()}).execute()
    imports.proceed_chunk(vault)
    store.reload_job(job)
    assert (job.action, job.state) == ("import", "done")


def start_long_import(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Start an import that a background job plans, and return the answer."""
    monkeypatch.setattr("webapp.transfer.import_preparation.SHORT_FILE_LINES", 2)
    started: Any = api.post(IMPORTS, body(*map(item, range(1, 6)))).json
    assert Job.get_by_id(started["id"]).action == "import-plan"
    return started


def stop(api: ApiClient, started: Any) -> Any:
    answer = api.post(f"{started['job']['url'].removeprefix(ROOT)}/stop")
    assert answer.status_code == 200, answer.text
    return answer.json


def test_an_import_ends_if_it_is_stopped_while_it_is_planned(
    api: ApiClient, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = start_long_import(api, monkeypatch)
    stopped = stop(api, started)
    assert (stopped["state"], stopped["title"]) == ("stopped", "Import")
    assert stopped["finished_at"]
    assert AuditEntry.select().where(AuditEntry.action == "job.stop").get().subject == "Import"
    assert stop(api, started)["state"] == "stopped"
    for _ in range(2):
        process_jobs()
        imports.proceed_chunk(vault)
    assert read(api, started["url"])["state"] == "stopped"
    assert AuditEntry.select().where(AuditEntry.action == "job.stop").count() == 1
    assert not Image.select().exists()


def test_an_import_that_was_stopped_while_it_was_planned_can_be_reviewed(
    api: ApiClient, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = start_long_import(api, monkeypatch)
    stop(api, started)
    process_jobs()
    page = started["web_url"].removeprefix("http://localhost")
    client = client_of("account-editor")
    assert "Planning the import" in client.get(page).text
    process_jobs()
    assert "5 images will be registered" in client.get(page).text
    assert not Image.select().exists()


def test_an_import_that_is_stopped_after_its_look_ups_imports_nothing(
    api: ApiClient, make_credentials: MakeCredentials, vault: Vault
) -> None:
    make_credentials("acme", "build")
    started: Any = api.post(IMPORTS, {"content": json.dumps([item(1)])}).json
    process_jobs()
    job = Job.get_by_id(started["id"])
    assert (job.action, job.state) == ("import-read", "done")
    assert stop(api, started)["state"] == "stopped"
    imports.proceed_chunk(vault)
    store.reload_job(job)
    assert (job.action, job.state) == ("import-read", "stopped")


def test_stopping_leaves_a_plan_for_its_review(api: ApiClient) -> None:
    planned: Any = api.post(IMPORTS, body(item(1), dry_run=True)).json
    assert stop(api, planned)["state"] == "planned"
    assert read(api, planned["url"])["plan"] == planned["plan"]


def test_an_import_whose_lines_are_partly_stored_is_not_carried_out(
    api: ApiClient, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that stores the lines is killed after its first transaction."""
    insert = store.inserts

    def insert_and_die(*arguments: Any) -> Any:
        first, *_ = insert(*arguments)
        return [first, die]

    def die() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(store, "INSERT_SIZE", 2)
        patched.setattr(store, "inserts", insert_and_die)
        with pytest.raises(KeyboardInterrupt):
            api.post(IMPORTS, body(*map(item, range(1, 6))))
    assert JobRow.select().count() == 2
    imports.proceed_chunk(vault)
    process_jobs()
    assert not Image.select().exists()


def test_a_database_failure_after_the_start_does_not_lead_to_a_second_import(
    api: ApiClient, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OperationalError("locked")

    headers = {"Idempotency-Key": "k"}
    with monkeypatch.context() as patched:
        patched.setattr(import_preparation, "advance", fail)
        first = api.post(IMPORTS, body(item(1)), headers=headers)
    assert first.status_code == 202
    again = api.post(IMPORTS, body(item(1)), headers=headers)
    assert again.json == first.json
    imports.proceed_chunk(vault)
    process_jobs()
    assert Job.select().count() == 1
    assert Image.select().count() == 1


def test_long_imports_that_are_planned_do_not_delay_others(
    api: ApiClient, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "CHUNK_SIZE", 1)
    start_long_import(api, monkeypatch)
    planned: Any = api.post(IMPORTS, body(item(9), dry_run=True)).json
    job = Job.get_by_id(planned["id"])
    Job.update(arguments={**job.arguments, "review": "skipped"}).where(Job.id == job.id).execute()
    imports.proceed_chunk(vault)
    store.reload_job(job)
    assert job.state != "planned"


def test_values_for_an_import_without_a_plan_are_refused(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: Any = api.post(IMPORTS, body(item(1))).json
    for started in (done, start_long_import(api, monkeypatch)):
        path = started["url"].removeprefix(ROOT)
        answer = api.post(f"{path}/answers", {"operating_system": "Debian 13"})
        assert answer.status_code == 409
        assert answer.json is not None
        assert "Read it again" in answer.json["detail"]
        assert Job.get_by_id(started["id"]).arguments["operating_system"] is None
