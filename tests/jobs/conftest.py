"""Fixtures for jobs: register an action that only one test uses, and create jobs for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from models import Job, JobRow, Scope
from tests.conftest import ActorOf, ScopeAt
from webapp.access import Actor
from webapp.credentials.vault import Vault
from webapp.jobs import actions, store
from webapp.jobs.actions import JobAction
from webapp.jobs.store import Outcome

ProcessRow = Callable[[Actor, Scope, Mapping[str, Any], JobRow, Vault], Outcome]
Register = Callable[..., None]
MakeJob = Callable[..., Job]


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Register:
    """Return a function that registers the action `test` for this test only."""

    def register(process_row: ProcessRow, **options: Any) -> None:
        action = JobAction("test", "Test {images}", process_row, **options)
        monkeypatch.setitem(actions.JOB_ACTIONS, "test", action)

    return register


@pytest.fixture
def make_job(actor_of: ActorOf, scope: ScopeAt) -> MakeJob:
    """Return a function that creates a planned job at acme, with the action `test`."""

    def make_job(count: int = 3, who: str = "account-editor", **arguments: object) -> Job:
        rows = [JobRow(subject=f"row {number}") for number in range(count)]
        return store.create_job(actor_of(who), scope("acme"), "test", arguments, rows)

    return make_job


def return_done(*_arguments: object) -> Outcome:
    return Outcome("done")
