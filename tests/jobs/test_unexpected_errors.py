"""Unexpected errors that do not belong to a row: the job pauses, recovers, or is stopped."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest

from models import Image, Job, JobRow, Lease, database_clock, now
from tests.conftest import ActorOf, MakeImage, ScopeAt
from tests.jobs.conftest import MakeJob, Register, return_done
from tests.jobs.threads import expire_leases, wait_for_job
from webapp.credentials.vault import Vault
from webapp.jobs import backoff, bulk, claims, leases, runner, store, turns
from webapp.jobs.bulk import Selection
from webapp.jobs.bulk_actions import ACTIONS
from webapp.jobs.runner import Runner
from webapp.jobs.store import Outcome
from webapp.jobs.ticker import Ticker

MODES: list[dict[str, bool]] = [{}, {"calls_cloud": True}]


def fail(*_arguments: object, **_options: object) -> None:
    raise ZeroDivisionError("broken")


def remaining_pause(job: Job) -> float:
    lease = Lease.select(Lease.expires_at - database_clock())
    row = JobRow.select(JobRow.not_before - database_clock()).where(JobRow.job == job)
    pause = lease.where(Lease.name == claims.lease_name(job.id)).scalar() or row.scalar()
    return float(pause)


@pytest.mark.parametrize("options", MODES)
def test_the_pauses_grow_until_the_error_heals(
    register: Register, make_job: MakeJob, vault: Vault, caplog: pytest.LogCaptureFixture,
    options: dict[str, bool],
) -> None:  # fmt: skip
    register(return_done, **options)
    job = make_job(1)
    runner.start_job(job, vault)
    with pytest.MonkeyPatch.context() as patch, caplog.at_level(logging.INFO):
        patch.setattr(claims, "save", fail)
        job = wait_for_job(job)
        assert 0.1 < remaining_pause(job) < 1
        for seconds in (20, 1000):
            Job.update(failing_since=now() - timedelta(seconds=seconds)).execute()
            expire_leases()
            job = wait_for_job(job)
            expected = min(seconds, backoff.LONGEST_UNEXPECTED_PAUSE)
            assert 0.45 * expected < remaining_pause(job) < 1.55 * expected + 2
        assert caplog.text.count("waits after an unexpected error") == 1
        assert (job.state, store.outcome_counts(job)) == ("running", {"": 1})

        patch.undo()
        expire_leases()
        job = wait_for_job(job)
    assert (job.state, job.failing_since, job.stop_reason) == ("done", None, "")
    assert f"job {job.id} continues after its unexpected error" in caplog.text


@pytest.mark.parametrize("options", MODES)
def test_a_job_is_stopped_if_the_error_lasts(
    register: Register, make_job: MakeJob, vault: Vault, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, options: dict[str, bool],
) -> None:  # fmt: skip
    register(return_done, **options)
    job = make_job(3)
    runner.start_job(job, vault)
    Job.update(failing_since=now() - timedelta(seconds=backoff.UNEXPECTED_SECONDS)).execute()
    monkeypatch.setattr(claims, "save", fail)
    job = wait_for_job(job)
    assert (job.state, job.stop_reason) == ("stopped", turns.UNEXPECTED_REASON)
    assert job.finished_at is not None
    assert store.outcome_counts(job) == {"": 3}
    assert caplog.text.count("is stopped after unexpected errors") == 1
    assert "ZeroDivisionError: broken" in caplog.text


def test_a_job_that_nobody_has_tried_for_a_while_gets_its_whole_time_again(
    register: Register, make_job: MakeJob, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(return_done)
    job = make_job(1)
    runner.start_job(job, vault)
    Job.update(failing_since=now() - timedelta(hours=2)).execute()
    monkeypatch.setattr(claims, "save", fail)
    job = wait_for_job(job)
    assert job.state == "running"
    assert job.failing_since is not None
    assert now() - job.failing_since < timedelta(hours=1)


def test_what_a_stopped_job_has_deleted_can_be_restored(
    make_image: MakeImage, actor_of: ActorOf, scope: ScopeAt, vault: Vault,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    images = [make_image("acme", number) for number in range(3)]
    editor, acme = actor_of("account-editor"), scope("acme")
    monkeypatch.setattr(runner, "REQUEST_SECONDS", 0.0)  # Only the first image.
    monkeypatch.setattr(turns, "BATCH_SECONDS", 0.0)
    selection = Selection([image.id for image in images])
    job = bulk.start_action(editor, acme, vault, ACTIONS["delete"], selection, {})
    assert Image.select().count() == 2
    Job.update(failing_since=now() - timedelta(seconds=backoff.UNEXPECTED_SECONDS)).execute()
    monkeypatch.setattr(turns, "TURN_SECONDS", 0.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leases, "require", fail)
        job = wait_for_job(job)
    assert (job.state, job.done, Image.select().count()) == ("stopped", 1, 2)
    assert bulk.can_be_undone(job)
    restoring = bulk.restore_batch(editor, acme, vault, job.arguments["batch"])
    assert restoring is not None
    assert wait_for_job(restoring).state == "done"
    assert Image.select().count() == 3


@pytest.mark.parametrize("options", MODES)
def test_an_outcome_that_cannot_be_stored_fails_only_its_row(
    register: Register, make_job: MakeJob, vault: Vault, options: dict[str, bool]
) -> None:
    def process_row(*arguments: Any) -> Outcome:
        return Outcome("done", "\ud800" if arguments[3].position == 1 else "")

    register(process_row, **options)
    job = make_job(3)
    runner.start_job(job, vault, process_if_short=True)
    job = wait_for_job(job)
    assert (job.state, store.outcome_counts(job)) == ("done", {"refused": 1, "done": 2})
    (row,), _ = store.list_rows(job, "refused")
    assert row.message == "Something went wrong. The error was logged. Try again."


@pytest.mark.parametrize("options", MODES)
def test_an_error_is_logged_once_if_it_cannot_be_stored(
    register: Register, make_job: MakeJob, vault: Vault, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, options: dict[str, bool],
) -> None:  # fmt: skip
    register(return_done, **options)
    job = make_job(1)
    runner.start_job(job, vault)
    monkeypatch.setattr(turns, "_unstored_failures", set())
    for name in ("save", "begin_failing"):
        monkeypatch.setattr(claims, name, fail)
    for _ in range(3):
        expire_leases()
        job = wait_for_job(job)
    assert remaining_pause(job) > 0.4 * backoff.LONGEST_UNEXPECTED_PAUSE
    assert caplog.text.count("waits after an unexpected error") == 1


def test_the_threads_log_a_lasting_error_once(
    db: object, vault: Vault, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    running, ticker = Runner(vault), Ticker()
    attempts: list[str] = []

    def stop_after_three() -> None:
        attempts.append("")
        if len(attempts) % 3 == 0:
            running.stop(0)
            ticker._stopping.set()
        fail()

    monkeypatch.setattr(running, "dispatch", stop_after_three)
    monkeypatch.setattr(ticker, "tick", stop_after_three)
    monkeypatch.setattr("webapp.jobs.runner.POLL_SECONDS", 0.0)
    monkeypatch.setattr("webapp.jobs.ticker.TICK_SECONDS", 0.0)
    running._run()
    ticker._stopping.clear()
    ticker._run()
    assert len(attempts) == 6
    assert caplog.text.count("cannot start jobs") == 1
    assert caplog.text.count("periodic work failed") == 1
