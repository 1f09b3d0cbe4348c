"""Fixtures for jobs: register an action that only one test uses, and create jobs for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from flask import Flask

from models import Job, JobRow, Scope
from tests.conftest import ActorOf, ScopeAt
from tests.jobs.threads import join_job_threads
from webapp.access import Actor
from webapp.credentials.vault import Vault
from webapp.jobs import runner, store
from webapp.jobs.runner import JobAction
from webapp.jobs.store import Outcome

ProcessRow = Callable[[Actor, Scope, Mapping[str, Any], JobRow, Vault], Outcome]
Register = Callable[..., None]
MakeJob = Callable[..., Job]


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Register:
    """Return a function that registers the action `test` for this test only."""
    monkeypatch.setattr(runner, "JOB_ACTIONS", runner.JOB_ACTIONS.copy())

    def register(process_row: ProcessRow, **options: bool) -> None:
        runner.register([JobAction("test", "Test {images}", process_row, **options)])

    return register


@pytest.fixture
def make_job(actor_of: ActorOf, scope: ScopeAt) -> MakeJob:
    """Return a function that creates a planned job at acme, with the action `test`."""

    def make_job(count: int = 3, who: str = "account-editor", **arguments: object) -> Job:
        rows = [JobRow(subject=f"row {number}") for number in range(count)]
        return store.create_job(actor_of(who), scope("acme"), "test", arguments, rows)

    return make_job


@pytest.fixture(autouse=True)
def no_threads_left(db: Flask) -> Iterator[None]:
    """Join the threads of a test before its database is removed."""
    yield
    join_job_threads()


def return_done(*_arguments: object) -> Outcome:
    return Outcome("done")
