"""Temporary failures: a locked database, a lost connection, a busy cloud."""

from __future__ import annotations

import sqlite3
import time
from typing import Any

import psycopg
import pytest
from flask import Flask

import models
from models import Image, Job, JobRow, Lease, RecordChanged, database_clock, is_sqlite
from tests.conftest import MakeImage, choices, reload
from tests.jobs.conftest import MakeJob, Register
from tests.jobs.threads import expire_leases, wait_for_job
from tests.waiting import TIMEOUT_SECONDS, wait_until
from webapp.access import Actor
from webapp.clouds.errors import CallsInProgress, CloudError, CloudThrottled, CloudUnreachable
from webapp.credentials.vault import Vault
from webapp.images import editing
from webapp.jobs import backoff, runner, store
from webapp.jobs.runner import Runner
from webapp.jobs.store import Outcome

MODES: list[dict[str, bool]] = [{}, {"calls_cloud": True}]


@pytest.fixture
def impatient_database(db: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.mark.usefixtures("impatient_database")
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
    runner.start_job(job, vault)
    other.execute("BEGIN IMMEDIATE")
    if waits:
        runner.process_now(job, vault)
    running = Runner(vault)
    running.start()
    time.sleep(0.7)
    assert store.outcome_counts(job) == {"": 3}
    other.rollback()
    other.close()

    # No lease has to expire, because the process gives it back as soon as it can.
    wait_until(lambda: bool(Job.get_by_id(job.id).state == "done"))
    running.stop(TIMEOUT_SECONDS)
    store.reload_job(job)
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
    name = models.database.execute_sql("SELECT current_database()").fetchone()[0]

    def process_row(*arguments: Any) -> Outcome:
        calls.append(arguments[3].position)
        if len(calls) == 2:
            (pid,) = models.database.execute_sql("SELECT pg_backend_pid()").fetchone()
            with psycopg.connect(**models.database.obj.connect_params, dbname=name) as other:
                other.execute("SELECT pg_terminate_backend(%s)", (pid,))
        return rename(*arguments)

    register(process_row, **options)
    job = make_job(3)
    runner.start_job(job, vault, process_if_short=True)
    job = wait_for_job(job)
    assert (job.state, store.outcome_counts(job)) == ("done", {"done": 3})
    # The transaction that is lost has processed the first two rows, unless each row has its own. On
    # a slow machine, the first row may have a transaction of its own.
    assert len(calls) in ({4} if options else {4, 5})
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
    runner.start_job(job, vault, process_if_short=True)
    assert store.outcome_counts(wait_for_job(job)) == {"done": 2}
    assert len(calls) == 3


def test_a_row_is_given_up_if_the_database_stays_busy_for_long(
    register: Register, make_job: MakeJob, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "DATABASE_ATTEMPTS", 3)

    def process_row(*_arguments: Any) -> Outcome:
        raise RecordChanged(Image())

    for calls_cloud in (False, True):
        register(process_row, calls_cloud=calls_cloud)
        job = make_job(1)
        runner.start_job(job, vault)
        job = wait_for_job(job)
        assert (job.state, store.outcome_counts(job)) == ("done", {"refused": 1})
        (row,), _ = store.list_rows(job)
        assert "too busy" in row.message


@pytest.mark.parametrize("attempts", [1, 3, 20])
def test_a_job_pauses_longer_the_more_often_its_first_row_has_failed(
    register: Register, make_job: MakeJob, vault: Vault, attempts: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(backoff, "FIRST_DATABASE_PAUSE", 0.5)

    def process_row(*_arguments: Any) -> Outcome:
        raise RecordChanged(Image())

    register(process_row)
    job = make_job(2)
    JobRow.update(attempts=attempts - 1).execute()
    runner.start_job(job, vault, process_if_short=True)
    row = JobRow.get(JobRow.position == 0)
    assert (row.outcome, row.attempts) == ("", attempts)
    remaining = Lease.select(Lease.expires_at - database_clock()).scalar()
    pause = min(backoff.FIRST_DATABASE_PAUSE * 2 ** (attempts - 1), backoff.LONGEST_DATABASE_PAUSE)
    assert 0.5 * pause - 0.2 < remaining < 1.5 * pause


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (CloudThrottled("Too many."), backoff.THROTTLED_ATTEMPTS),
        (CloudUnreachable("No answer."), backoff.UNREACHABLE_ATTEMPTS),
    ],
)
@pytest.mark.parametrize("heals", [True, False])
def test_a_row_whose_cloud_is_busy_is_tried_again_a_limited_number_of_times(
    register: Register, make_job: MakeJob, vault: Vault,
    error: CloudError, attempts: int, heals: bool,
) -> None:  # fmt: skip
    calls: list[int] = []

    def process_row(*arguments: Any) -> Outcome:
        calls.append(arguments[3].position)
        if heals and len(calls) == attempts:
            return Outcome("done")
        raise error

    register(process_row, calls_cloud=True)
    job = make_job(1)
    runner.start_job(job, vault, process_if_short=True)
    job = wait_for_job(job)
    assert store.outcome_counts(job) == {"done" if heals else "refused": 1}
    assert len(calls) == attempts
    (row,), _ = store.list_rows(job)
    assert row.message == ("" if heals else f"{error} The registry tried {attempts} times.")


def test_waiting_for_other_calls_is_no_attempt(
    register: Register, make_job: MakeJob, vault: Vault
) -> None:
    calls: list[int] = []

    def process_row(*arguments: Any) -> Outcome:
        calls.append(arguments[3].attempts)
        if len(calls) <= backoff.BUDGET_WAITS:
            raise CallsInProgress("Four calls are in progress.")
        return Outcome("done")

    register(process_row, calls_cloud=True)
    job = make_job(1)
    runner.start_job(job, vault)
    assert wait_for_job(job).state == "done"
    assert calls == [1] * (backoff.BUDGET_WAITS + 1)


def test_a_row_that_waits_survives_a_restart_and_says_why_it_waits(
    register: Register, make_job: MakeJob, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "FIRST_CLOUD_PAUSE", 100.0)
    fails = [True]

    def process_row(*_arguments: Any) -> Outcome:
        if fails:
            raise CloudThrottled("Too many.")
        return Outcome("done")

    register(process_row, calls_cloud=True)
    job = make_job(1)
    runner.start_job(job, vault)
    assert wait_for_job(job).state == "running"
    row = JobRow.get()
    assert (row.outcome, row.attempts) == ("", 1)
    assert row.message == "Too many. The registry will try again."
    waits_long = JobRow.not_before > database_clock() + 40
    assert JobRow.select().where(waits_long).exists()
    fails.clear()
    assert wait_for_job(job).state == "running"
    expire_leases()
    assert wait_for_job(job).state == "done"


def test_a_cloud_may_ask_for_a_longer_pause() -> None:
    error = CloudThrottled("Too many.")
    error.retry_after = 500.0
    assert backoff.cloud_pause(1, error) == 500
    error.retry_after = 1e9
    assert backoff.cloud_pause(1, error) == backoff.LONGEST_RETRY_AFTER


def test_pauses_grow_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    error = CloudThrottled("Too many.")
    cloud = [backoff.cloud_pause(attempts, error) for attempts in range(1, 12)]
    database = [backoff.database_pause(attempts) for attempts in range(1, 20)]
    for pauses, longest in (
        (cloud, backoff.LONGEST_CLOUD_PAUSE),
        (database, backoff.LONGEST_DATABASE_PAUSE),
    ):
        numbers = [pause or 0.0 for pause in pauses]
        assert numbers[0] < numbers[3] < max(numbers) <= 1.5 * longest
        assert len(set(numbers)) == len(numbers)
