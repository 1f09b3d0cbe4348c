"""Failures that pass: a locked database, a lost connection, a busy cloud."""

from __future__ import annotations

import sqlite3
import threading
from typing import Any

import psycopg
import pytest

import models
from models import Image, Job, RecordChanged, is_sqlite
from tests.conftest import MakeImage, choices, reload
from tests.jobs.conftest import MakeJob, Register
from tests.jobs.threads import wait_for_job
from webapp.access import Actor
from webapp.clouds.base import CloudError, CloudThrottled, CloudUnreachable
from webapp.credentials.vault import Vault
from webapp.images import editing
from webapp.jobs import backoff, runner, store
from webapp.jobs.store import Outcome

MODES: list[dict[str, bool]] = [{}, {"atomic": True}, {"concurrent": True}]


@pytest.fixture(autouse=True)
def impatient_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let SQLite report a lock at once instead of waiting for ten seconds."""
    if is_sqlite():
        connect = models.database.obj._connect

        def connect_impatiently() -> Any:
            connection = connect()
            connection.execute("PRAGMA busy_timeout = 1")
            return connection

        monkeypatch.setattr(models.database.obj, "_connect", connect_impatiently)
        models.database.close()
        models.database.obj.close_all()
        models.database.connect()


def rename(actor: Actor, *arguments: Any) -> Outcome:
    row = arguments[2]
    image = list(Image.select().order_by(Image.id))[row.position]
    editing.edit(actor, image, choices(name=f"renamed by {row.subject}"))
    return Outcome("done")


@pytest.mark.parametrize("options", MODES)
@pytest.mark.parametrize("waits", [True, False])
def test_a_row_that_meets_a_locked_database_is_tried_again(
    register: Register,
    make_job: MakeJob,
    make_image: MakeImage,
    vault: Vault,
    options: dict[str, bool],
    waits: bool,
) -> None:
    images = [make_image("acme", number) for number in (1, 2, 3)]
    register(rename, **options)
    job = make_job(3)
    if not is_sqlite():
        pytest.skip("PostgreSQL locks rows, and writers wait for them.")
    other = sqlite3.connect(models.database.obj.database, check_same_thread=False, timeout=30)
    Job.update(state="running", seen_at=models.now()).execute()
    job = Job.get()
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.7, other.rollback)
    release.start()
    heartbeat = job.seen_at
    runner._process_job(job.id, heartbeat, vault, in_request=waits)
    release.join()
    job = wait_for_job(job)
    other.close()
    assert (job.state, store.outcome_counts(job)) == ("done", {"done": 3})
    assert [reload(image).name for image in images] == [f"renamed by row {n}" for n in range(3)]


@pytest.mark.parametrize("options", MODES)
def test_a_row_whose_connection_is_lost_is_tried_again(
    register: Register,
    make_job: MakeJob,
    make_image: MakeImage,
    vault: Vault,
    options: dict[str, bool],
) -> None:
    if is_sqlite():
        pytest.skip("SQLite has no connection that a server could close.")
    images = [make_image("acme", number) for number in (1, 2, 3)]
    calls: list[int] = []
    address = models.database.execute_sql("SELECT current_database()").fetchone()[0]

    def process_row(*arguments: Any) -> Outcome:
        calls.append(arguments[3].position)
        if len(calls) == 2:
            (pid,) = models.database.execute_sql("SELECT pg_backend_pid()").fetchone()
            with psycopg.connect(**models.database.obj.connect_params, dbname=address) as other:
                other.execute("SELECT pg_terminate_backend(%s)", (pid,))
        return rename(*arguments)

    register(process_row, **options)
    job = make_job(3)
    runner.start_job(job, vault, wait=True)
    job = wait_for_job(job)
    assert (job.state, store.outcome_counts(job)) == ("done", {"done": 3})
    assert len(calls) == 4
    assert [reload(image).name for image in images] == [f"renamed by row {n}" for n in range(3)]


@pytest.mark.parametrize("options", MODES)
def test_a_row_whose_record_somebody_else_changes_is_tried_again(
    register: Register, make_job: MakeJob, make_image: MakeImage, vault: Vault,
    options: dict[str, bool],
) -> None:  # fmt: skip
    make_image("acme")
    calls: list[int] = []

    def process_row(*arguments: Any) -> Outcome:
        calls.append(arguments[3].position)
        if len(calls) == 1:
            raise RecordChanged(Image.get())
        return Outcome("done")

    register(process_row, **options)
    job = make_job(2)
    runner.start_job(job, vault, wait=True)
    assert store.outcome_counts(wait_for_job(job)) == {"done": 2}
    assert len(calls) == 3


def test_a_database_that_stays_locked_leaves_the_job_to_be_taken_over(
    register: Register, make_job: MakeJob, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "DATABASE_SECONDS", 0.2)

    def process_row(*_arguments: Any) -> Outcome:
        raise RecordChanged(Image())

    register(process_row)
    job = make_job(1)
    runner.start_job(job, vault)
    job = wait_for_job(job)
    assert (job.state, store.outcome_counts(job)) == ("running", {"": 1})


@pytest.mark.parametrize("error", [CloudThrottled("Too many."), CloudUnreachable("No answer.")])
@pytest.mark.parametrize(("failures", "outcome"), [(2, "done"), (3, "refused")])
def test_a_row_whose_cloud_is_busy_is_tried_three_times(
    register: Register, make_job: MakeJob, vault: Vault,
    error: CloudError, failures: int, outcome: str,
) -> None:  # fmt: skip
    calls: list[int] = []

    def process_row(*arguments: Any) -> Outcome:
        calls.append(arguments[3].position)
        if len(calls) <= failures:
            raise error
        return Outcome("done")

    register(process_row, concurrent=True)
    job = make_job(1)
    runner.start_job(job, vault, wait=True)
    job = wait_for_job(job)
    assert store.outcome_counts(job) == {outcome: 1}
    assert len(calls) == min(failures + 1, 3)
    (row,), _ = store.list_rows(job)
    assert row.message == ("" if outcome == "done" else str(error))


def test_pauses_grow_and_differ() -> None:
    pauses = list(backoff.database_pauses())
    assert max(pauses[:3]) < 0.5 < pauses[-1] <= 1.5 * backoff.LONGEST_DATABASE_PAUSE
    assert len(set(pauses)) > len(pauses) // 2
