"""Taking over jobs: another process continues the work of a process that ended, hung or is old."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from models import (
    NO_HEARTBEAT,
    Job,
    JobRow,
    now,
    open_connection,
    transaction,
)
from tests.jobs.conftest import MakeJob, Register, return_done
from tests.jobs.threads import expire_leases, wait_for_job
from tests.waiting import TIMEOUT_SECONDS
from webapp.credentials.vault import Vault
from webapp.jobs import claims, leases, runner, store, turns
from webapp.jobs.claims import ABANDONED_AFTER
from webapp.jobs.runner import Runner
from webapp.jobs.store import Outcome


def test_a_job_of_a_killed_process_is_continued_when_its_lease_expires(
    register: Register, make_job: MakeJob, vault: Vault
) -> None:
    processed: list[int] = []

    def process_row(*arguments: Any) -> Outcome:
        processed.append(arguments[3].position)
        return Outcome("done")

    register(process_row)
    job = make_job(4)
    JobRow.update(outcome="unchanged").where(JobRow.position == 0).execute()
    Job.update(state="running", seen_at=NO_HEARTBEAT).execute()
    assert leases.acquire(f"job:{job.id}", 60)
    assert store.outcome_counts(wait_for_job(job)) == {"unchanged": 1, "": 3}
    expire_leases()
    job = wait_for_job(job)
    assert processed == [1, 2, 3]
    assert (job.state, store.outcome_counts(job)) == ("done", {"done": 3, "unchanged": 1})


def test_rows_of_a_killed_process_are_called_again_when_their_leases_expire(
    register: Register, make_job: MakeJob, vault: Vault
) -> None:
    register(return_done, calls_cloud=True)
    job = make_job(3)
    runner.start_job(job, vault)
    assert claims.claim_row(job.id, [])
    assert store.outcome_counts(wait_for_job(job)) == {"done": 2, "": 1}
    assert Job.get().state == "running"
    expire_leases()
    job = wait_for_job(job)
    assert (job.state, store.outcome_counts(job)) == ("done", {"done": 3})


def test_a_job_whose_process_ended_after_the_last_row_is_done(
    register: Register, make_job: MakeJob
) -> None:
    register(return_done)
    job = make_job(2)
    Job.update(state="running", seen_at=NO_HEARTBEAT).execute()
    JobRow.update(outcome="done").execute()
    job = wait_for_job(job)
    assert (job.state, job.done) == ("done", 2)


def test_a_job_of_the_old_version_is_taken_over_when_its_heartbeat_is_old(
    register: Register, make_job: MakeJob
) -> None:
    register(return_done)
    job = make_job()
    Job.update(state="running", seen_at=now()).execute()
    assert store.outcome_counts(wait_for_job(job)) == {"": 3}
    Job.update(seen_at=now() - ABANDONED_AFTER - timedelta(seconds=1)).execute()
    assert wait_for_job(job).state == "done"


@pytest.mark.parametrize("calls_cloud", [False, True])
def test_a_process_that_lost_its_lease_cannot_save_an_outcome(
    register: Register, make_job: MakeJob, vault: Vault, calls_cloud: bool
) -> None:
    """A process hangs, another process takes its work over, and then the first one continues."""

    def process_row(*_arguments: Any) -> Outcome:
        if not calls_cloud:
            return Outcome("done", "stale")
        JobRow.update(not_before=0).execute()
        assert claims.claim_row(job.id, [])
        return Outcome("done", "stale")

    register(process_row, calls_cloud=calls_cloud)
    job = make_job(1)
    runner.start_job(job, vault)
    if calls_cloud:
        wait_for_job(job)
    else:
        lease = leases.acquire(f"job:{job.id}", 0)
        assert lease
        assert leases.acquire(f"job:{job.id}", 60)
        turns.process_turn(Job.get(), lease, vault, 1.0)
    row = JobRow.get()
    assert (row.outcome, row.message) == ("", "")


def test_the_lease_of_a_job_is_locked_until_its_row_is_saved(db: Flask) -> None:
    """No other process can take a job over between the check of the lease and the commit."""
    lease = leases.acquire("job:1", 0)
    assert lease
    taken: list[object] = []

    def take_over() -> None:
        with open_connection():
            taken.append(leases.acquire("job:1", 60))

    with transaction():
        leases.require(lease)
        thread = threading.Thread(target=take_over)
        thread.start()
        thread.join(0.3)
        assert taken == []
    thread.join(TIMEOUT_SECONDS)
    assert taken[0]


@pytest.mark.parametrize("minutes", [-5, 5])
def test_the_clock_of_a_server_does_not_decide_who_works(
    register: Register,
    make_job: MakeJob,
    vault: Vault,
    monkeypatch: pytest.MonkeyPatch,
    minutes: int,
) -> None:
    """Another server, whose clock is wrong, sees that the rows are being processed."""
    calls: list[int] = []
    other = Runner(vault)
    wrong_now = now() + timedelta(minutes=minutes)

    def process_row(*arguments: Any) -> Outcome:
        calls.append(arguments[3].position)
        for module in (claims, runner, store):
            monkeypatch.setattr(module, "now", lambda: wrong_now)
        other.dispatch()
        return Outcome("done")

    register(process_row, calls_cloud=True)
    job = make_job(6)
    runner.start_job(job, vault)
    wait_for_job(job)
    other.run_until_idle()
    assert sorted(calls) == list(range(6))


def test_a_runner_that_stops_gives_its_unfinished_rows_back(
    register: Register, make_job: MakeJob, vault: Vault
) -> None:
    may_end, entered = threading.Event(), threading.Event()

    def process_row(*_arguments: object) -> Outcome:
        entered.set()
        assert may_end.wait(TIMEOUT_SECONDS)
        return Outcome("done")

    register(process_row, calls_cloud=True)
    job = make_job(1)
    runner.start_job(job, vault)
    running = Runner(vault)
    running.start()
    assert entered.wait(TIMEOUT_SECONDS)
    running.stop(0)
    row = JobRow.get()
    assert (row.lease_token, row.not_before, row.attempts) == ("", 0.0, 0)
    may_end.set()
    assert wait_for_job(job).state == "done"
