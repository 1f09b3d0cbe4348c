"""Fixtures for the tests of several pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from models import CloudCredentials, Job, JobRow
from sandbox import aws
from tests.conftest import ActorOf, MakeCredentials, ScopeAt
from webapp.clouds.errors import CloudThrottled
from webapp.credentials.vault import Vault
from webapp.jobs import backoff, runner, store
from webapp.jobs.actions import JOB_ACTIONS, JobAction
from webapp.jobs.store import Outcome


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """Yield the URL of a sandbox AWS."""
    with aws.start() as url:
        yield url


@pytest.fixture
def credentials(make_credentials: MakeCredentials, endpoint: str) -> CloudCredentials:
    """Return credentials of Scalr for the sandbox AWS."""
    return make_credentials("", "Sandbox", endpoint)


@pytest.fixture
def five_jobs(
    monkeypatch: pytest.MonkeyPatch, actor_of: ActorOf, scope: ScopeAt, vault: Vault
) -> list[Job]:
    """Start five jobs of one person whose cloud is busy, and return the jobs."""

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
