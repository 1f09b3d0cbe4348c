"""Fixtures for imports: planning the import of lines, and applying a plan."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import pytest

from models import Job, JobRow, Scope
from tests.conftest import ActorOf, ScopeAt
from tests.jobs.threads import process_jobs
from webapp.access import Actor
from webapp.credentials.vault import Vault
from webapp.jobs import store
from webapp.people import accounts
from webapp.transfer import import_formats, import_job, import_preparation, imports
from webapp.transfer.import_file import ParsedFile
from webapp.transfer.import_plan import ImportOptions

PlanImport = Callable[..., Job]
ApplyPlan = Callable[[Job], list[tuple[str, str]]]
UNVERIFIED = ImportOptions(look_up=False)


@pytest.fixture
def plan(actor_of: ActorOf, scope: ScopeAt, vault: Vault) -> PlanImport:
    """Return a function that plans the import of lines.

    By default, the editor of the account acme imports them at acme.
    """

    def plan(
        *lines: Mapping[str, object],
        path: str = "acme",
        who: str = "account-editor",
        options: ImportOptions = UNVERIFIED,
    ) -> Job:
        file = import_formats.parse_file(json.dumps(lines).encode())
        return make_plan(actor_of(who), scope(path), vault, file, options)

    return plan


def make_plan(
    actor: Actor, scope: Scope, vault: Vault, file: ParsedFile, options: ImportOptions
) -> Job:
    """Return the plan of a file, after its new images were looked up."""
    job = imports.start(actor, scope, vault, file, options)
    finish_look_ups(job, vault)
    return job


def finish_look_ups(job: Job, vault: Vault) -> None:
    """Wait for the look-ups of an import, and plan the import."""
    process_jobs()
    store.reload_job(job)
    import_preparation.advance(job, vault)


@pytest.fixture
def apply_plan(vault: Vault) -> ApplyPlan:
    """Return a function that applies a plan.

    It returns the outcome and the message of each line, in the order of the plan.
    """

    def apply_plan(job: Job) -> list[tuple[str, str]]:
        actor = accounts.actor_for(job.person)
        rows = JobRow.select().where(JobRow.job == job).order_by(JobRow.position)
        outcomes = [
            import_job.import_line(actor, job.scope, job.arguments, row, vault) for row in rows
        ]
        return [(outcome.kind, outcome.message) for outcome in outcomes]

    return apply_plan


def ami_id(number: int) -> str:
    return f"ami-{number:017x}"


def line(number: int = 1, **values: object) -> dict[str, object]:
    """Return a line with only the values that an import without a look-up requires."""
    locator = {"cloud": "aws", "location": "us-east-1", "cloud_image_id": ami_id(number)}
    return {**locator, "name": "ubuntu-noble-24.04", **values}
