"""The page of a job: its place in the queue, and rows that wait to be tried again."""

from __future__ import annotations

import pytest

from models import Job, JobRow
from tests.conftest import ActorOf, ClientOf, ScopeAt
from tests.jobs.threads import process_jobs
from webapp.clouds.base import CloudThrottled
from webapp.credentials.vault import Vault
from webapp.jobs import backoff, runner, store
from webapp.jobs.actions import JOB_ACTIONS, JobAction
from webapp.jobs.store import Outcome


@pytest.fixture
def start(
    monkeypatch: pytest.MonkeyPatch, actor_of: ActorOf, scope: ScopeAt, vault: Vault
) -> list[Job]:
    """Start five jobs of one person at a cloud that is busy."""

    def process_row(*_arguments: object) -> Outcome:
        raise CloudThrottled("The cloud is busy.")

    action = JobAction("test", "Test {images}", process_row, calls_cloud=True)
    monkeypatch.setitem(JOB_ACTIONS, "test", action)
    monkeypatch.setattr(backoff, "FIRST_CLOUD_PAUSE", 100.0)
    jobs = []
    for _ in range(5):
        rows = [JobRow(subject="row")]
        job = store.create_job(actor_of("account-editor"), scope("acme"), "test", {}, rows)
        runner.start_job(job, vault)
        jobs.append(job)
    return jobs


def test_a_queued_job_shows_how_many_jobs_must_finish_first(
    start: list[Job], client_of: ClientOf
) -> None:
    client = client_of("account-editor")
    assert "Running." in client.get(f"/account/acme/jobs/{start[2].id}").text
    fourth = client.get(f"/account/acme/jobs/{start[3].id}").text
    assert "Queued." in fourth
    assert "One of your other jobs must finish first." in fourth
    assert "2 of your other jobs" in client.get(f"/account/acme/jobs/{start[4].id}").text


def test_a_queued_job_can_be_stopped(start: list[Job], client_of: ClientOf) -> None:
    client = client_of("account-editor")
    url = f"/account/acme/jobs/{start[4].id}"
    assert "Stopped." in client.post(f"{url}/stop", follow_redirects=True).text


def test_stopping_a_job_asks_for_confirmation_and_is_in_the_audit_log(
    start: list[Job], client_of: ClientOf
) -> None:
    client = client_of("account-editor")
    url = f"/account/acme/jobs/{start[0].id}"
    assert f'href="{url}/stop"' in client.get(url).text
    question = client.get(f"{url}/stop").text
    assert "Stop “Test 1 image”" in question
    assert "0 of 1 images have been processed." in question
    assert Job.get_by_id(start[0].id).state == "running"
    stopped = client.post(f"{url}/stop", follow_redirects=True).text
    assert "Stopped." in stopped
    assert "The remaining images weren’t changed." in stopped
    assert client.get(f"{url}/stop").location.endswith(url)
    log = client_of("account-admin").get("/account/acme/audit").text
    assert "stopped the job" in log
    assert "Test 1 image" in log


def test_a_row_that_waits_for_a_busy_cloud_says_so(start: list[Job], client_of: ClientOf) -> None:
    process_jobs()
    client = client_of("account-editor")
    url = f"/account/acme/jobs/{start[0].id}"
    assert "1 image waits to be tried again." in client.get(url).text
    assert (
        "The cloud is busy. The registry will try again." in client.get(f"{url}?show=pending").text
    )


def test_a_row_says_when_it_is_tried_again_until_its_job_is_stopped(
    start: list[Job], client_of: ClientOf
) -> None:
    process_jobs()
    client = client_of("account-editor")
    url = f"/account/acme/jobs/{start[0].id}"
    pending = client.get(f"{url}?show=pending").text
    assert "Next attempt:" in pending
    assert "will try again" in pending
    client.post(f"{url}/stop")
    stopped = client.get(url).text
    assert "Not processed" in stopped
    assert "Next attempt:" not in stopped
    assert "will try again" not in stopped
