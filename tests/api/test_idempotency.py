"""The header Idempotency-Key: a repeated POST does its work once, even if a server is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from peewee import OperationalError

import models
from models import (
    AuditEntry,
    CloudCredentials,
    Image,
    Job,
    OutcomeUnknown,
    RepeatableRequest,
    Scope,
)
from tests.api.client import ApiClient, ClientFor
from tests.conftest import MakeImage, ScopeAt, details
from tests.environ import ENVIRON
from webapp import repeatable_requests
from webapp.access import Actor
from webapp.api import idempotency
from webapp.images import checking, deletion, registration
from webapp.repeatable_requests import Claim

IMAGES = "/account/acme/images"
KEY = {"Idempotency-Key": "9f1c6d0e-1"}


@pytest.fixture
def api(api_of: ClientFor) -> ApiClient:
    return api_of("account-editor")


@pytest.fixture
def url(make_image: MakeImage) -> str:
    return f"{IMAGES}/{make_image('acme').id}/tags"


def entry_count() -> int:
    return int(AuditEntry.select().where(AuditEntry.action == "image.edit").count())


def test_a_repeated_request_gets_the_same_answer(api: ApiClient, url: str) -> None:
    first = api.post(url, {"add": ["one"]}, headers=KEY)
    api.post(url, {"remove": ["one"]})
    again = api.post(url, {"add": ["one"]}, headers=KEY)
    assert (again.status_code, again.json) == (200, first.json)
    assert again.headers["ETag"] == first.headers["ETag"] == '"2"'
    assert again.mimetype == "application/json"
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert Image.get().tags == []
    assert entry_count() == 2


def test_a_key_belongs_to_one_request_of_one_token(
    api: ApiClient, api_of: ClientFor, url: str
) -> None:
    api.post(url, {"add": ["one"]}, headers=KEY)
    other_body = api.post(url, {"add": ["two"]}, headers=KEY)
    assert other_body.status_code == 422
    assert other_body.json is not None
    assert other_body.json["type"] == "urn:problem-type:idempotency-key-reused"
    assert api.post(f"{url}?", {"add": ["one"]}, headers=KEY).status_code == 200
    assert api_of("account-admin").post(url, {"add": ["two"]}, headers=KEY).status_code == 200
    assert Image.get().tags == ["one", "two"]


@pytest.mark.parametrize("key", ["", " ", "ä", "a b", "x" * 256])
def test_an_invalid_key_is_refused(api: ApiClient, url: str, key: str) -> None:
    answer = api.post(url, {"add": ["one"]}, headers={"Idempotency-Key": key})
    assert answer.status_code == 400
    assert Image.get().tags == []


def test_a_request_that_failed_is_processed_again(api: ApiClient, url: str) -> None:
    assert api.post(url, {"add": ["a,b"]}, headers=KEY).status_code == 422
    assert not RepeatableRequest.select().exists()
    assert api.post(url, {"add": ["one"]}, headers=KEY).status_code == 200


def test_a_key_can_be_used_again_after_24_hours(api: ApiClient, url: str) -> None:
    api.post(url, {"add": ["one"]}, headers=KEY)
    RepeatableRequest.update(created_at=models.now() - timedelta(hours=23)).execute()
    assert not repeatable_requests.purge_chunk()
    assert api.post(url, {"add": ["two"]}, headers=KEY).status_code == 422
    RepeatableRequest.update(created_at=models.now() - timedelta(hours=25)).execute()
    assert api.post(url, {"add": ["two"]}, headers=KEY).status_code == 200
    RepeatableRequest.update(created_at=models.now() - timedelta(hours=25)).execute()
    repeatable_requests.purge_chunk()
    assert not RepeatableRequest.select().exists()


def test_the_stored_answer_cannot_be_read_in_the_database(api: ApiClient, url: str) -> None:
    api.post(url, {"add": ["very-secret"]}, headers=KEY)
    row = RepeatableRequest.get()
    assert "very-secret" not in str(row.__data__)
    assert KEY["Idempotency-Key"] not in str(row.__data__)


class Killed(BaseException):
    """Stands for the end of the process: nothing after it runs."""


def expire_claims() -> None:
    RepeatableRequest.update(claimed_until=0).execute()


def test_a_killed_request_leaves_nothing_and_can_be_repeated(
    api: ApiClient, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:

        def store(*_arguments: Any) -> None:
            raise Killed

        patched.setattr(Claim, "store", store)
        with pytest.raises(Killed):
            api.post(url, {"add": ["one"]}, headers=KEY)
    assert Image.get().tags == []
    waiting = api.post(url, {"add": ["one"]}, headers=KEY)
    assert waiting.status_code == 409
    assert waiting.headers["Retry-After"] == "2"
    assert waiting.json is not None
    assert waiting.json["type"] == "urn:problem-type:idempotency-key-in-use"
    expire_claims()
    assert api.post(url, {"add": ["one"]}, headers=KEY).status_code == 200
    assert Image.get().tags == ["one"]
    assert entry_count() == 1


def test_a_process_that_only_hung_saves_nothing_after_another_took_over(
    api: ApiClient, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Claim.store

    def hang(claim: Claim, answer: Any) -> None:
        RepeatableRequest.update(claim="another process").execute()
        store(claim, answer)

    monkeypatch.setattr(Claim, "store", hang)
    answer = api.post(url, {"add": ["one"]}, headers=KEY)
    assert answer.status_code == 409
    assert Image.get().tags == []


def test_an_answer_stays_stored_if_the_connection_breaks_during_the_commit(
    api: ApiClient, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client gets an error, although the work was done, and repeats the request."""

    @contextmanager
    def break_after_commit() -> Iterator[None]:
        with models.transaction():
            yield
        raise OutcomeUnknown(OperationalError("connection lost"))

    with monkeypatch.context() as patched:
        patched.setattr(idempotency, "transaction", break_after_commit)
        assert api.post(url, {"add": ["one"]}, headers=KEY).status_code >= 500
    assert Image.get().tags == ["one"]
    again = api.post(url, {"add": ["one"]}, headers=KEY)
    assert (again.status_code, again.headers.get("Idempotency-Replayed")) == (200, "true")
    assert entry_count() == 1


def started_jobs() -> int:
    return int(Job.select().where(Job.state != "planned").count())


@contextmanager
def killed_before_the_commit() -> Iterator[None]:
    """Kill each request in the `with` body after its work, before its transaction commits."""

    def store(*_arguments: Any) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Claim, "store", store)
        with pytest.raises(Killed):
            yield
    expire_claims()


def test_a_killed_request_starts_no_job(api: ApiClient, make_image: MakeImage) -> None:
    image = make_image("acme", shared=False)
    body = {"action": "share", "images": [image.id]}
    with killed_before_the_commit():
        api.post(f"{IMAGES}/bulk", body, headers=KEY)
    assert started_jobs() == 0
    first = api.post(f"{IMAGES}/bulk", body, headers=KEY)
    again = api.post(f"{IMAGES}/bulk", body, headers=KEY)
    assert first.status_code == again.status_code == 202
    assert first.json == again.json
    assert started_jobs() == 1
    # The request processed the short job after the commit.
    assert Image.get().shared


def test_a_killed_request_restores_no_image(
    api: ApiClient, make_image: MakeImage, editor: Actor
) -> None:
    image = make_image("acme")
    deletion.delete(editor, image)
    url = f"{IMAGES}/{image.id}/restore"
    with killed_before_the_commit():
        api.post(url, headers=KEY)
    assert not Image.select().exists()
    assert [api.post(url, headers=KEY).status_code for _ in range(2)] == [200, 200]
    assert Image.select().count() == 1


def test_a_killed_request_deletes_no_environment(api_of: ClientFor, scope: ScopeAt) -> None:
    api, name = api_of("account-admin"), scope("acme/staging").name
    url = "/account/acme/environments/staging/delete"
    with killed_before_the_commit():
        api.post(url, {"name": name}, headers=KEY)
    assert Scope.at("acme/staging") is not None
    assert started_jobs() == 0
    assert [api.post(url, {"name": name}, headers=KEY).status_code for _ in range(2)] == [202, 202]
    assert Scope.at("acme/staging") is None
    assert started_jobs() == 1


def test_a_killed_request_adds_no_credentials(api_of: ClientFor) -> None:
    api, url = api_of("account-admin"), "/account/acme/credentials"
    values = {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "a-secret"}
    body = {"cloud": "aws", "name": "Build", "values": values, "check": False}
    with killed_before_the_commit():
        api.post(url, body, headers=KEY)
    assert not CloudCredentials.select().exists()
    assert [api.post(url, body, headers=KEY).status_code for _ in range(2)] == [201, 201]
    assert CloudCredentials.select().count() == 1


def test_a_killed_request_saves_no_check(
    api: ApiClient, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = make_image("acme")
    monkeypatch.setattr(checking, "_read", lambda *_arguments: details(name="new"))
    url = f"{IMAGES}/{image.id}/check"
    with killed_before_the_commit():
        api.post(url, headers=KEY)
    checks = AuditEntry.select().where(AuditEntry.action == "image.check")
    assert checks.count() == 0
    first, again = (api.post(url, headers=KEY) for _ in range(2))
    assert first.status_code == again.status_code == 200
    assert first.json == again.json
    assert "ETag" not in first.headers
    assert checks.count() == 1


def test_of_simultaneous_attempts_one_does_the_work(api_of: ClientFor, url: str) -> None:
    api = api_of("account-editor")
    barrier = threading.Barrier(3, timeout=30)
    statuses: list[int] = []

    def post() -> None:
        client = ApiClient(api.client.application.test_client(), api.token)
        barrier.wait()
        statuses.append(client.post(url, {"add": ["one"]}, headers=KEY).status_code)

    threads = [threading.Thread(target=post) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) <= {200, 409}
    assert 200 in statuses
    assert entry_count() == 1


def test_no_transaction_is_open_while_a_cloud_answers(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction of SQLite would make all other writers wait."""
    seen = []

    def look_up(*_arguments: Any, **_options: Any) -> None:
        seen.append(models.database.in_transaction())
        raise registration.CredentialsNotUsable

    monkeypatch.setattr(registration, "look_up", look_up)
    body = {"cloud": "aws", "location": "us-east-1", "cloud_image_id": "ami-1", "credentials": 1}
    assert api.post(IMAGES, body, headers=KEY).status_code == 422
    assert seen == [False]


KILLED_SERVER = """
import os, signal, sys
import webapp
from webapp.repeatable_requests import Claim

url, token, moment = sys.argv[1:]
store = Claim.store

def store_and_die(claim, answer):
    store(claim, answer)
    if moment == "before the commit":
        os.kill(os.getpid(), signal.SIGKILL)

Claim.store = store_and_die
app = webapp.create_app()
app.testing = True
headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "killed"}
app.test_client().post(f"/api/v1{url}", json={"add": ["one"]}, headers=headers)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("moment", ["before the commit", "after the commit"])
def test_a_process_that_is_killed_does_the_work_once_or_not_at_all(
    api: ApiClient, url: str, moment: str
) -> None:
    if not models.is_sqlite():
        pytest.skip("The URL of the database is not known here.")
    path = models.database.obj.database
    process = subprocess.run(
        [sys.executable, "-c", KILLED_SERVER, url, api.token, moment],
        env={**os.environ, **ENVIRON, "DATABASE_URL": f"sqlite:///{path}", "PYTHONPATH": "."},
        check=False,
        capture_output=True,
        text=True,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr
    is_saved = moment == "after the commit"
    assert Image.get().tags == (["one"] if is_saved else [])
    expire_claims()
    again = api.post(url, {"add": ["one"]}, headers={"Idempotency-Key": "killed"})
    assert again.status_code == 200
    assert ("Idempotency-Replayed" in again.headers) is is_saved
    assert Image.get().tags == ["one"]
    assert entry_count() == 1
