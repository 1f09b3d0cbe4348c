"""Rows that end their process, and work that a process gives back because the database fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from peewee import OperationalError

from models import Job, JobRow, Lease
from tests.jobs.conftest import MakeJob, Register, return_done
from tests.jobs.threads import expire_leases, process_jobs, wait_for_job
from webapp.credentials.vault import Vault
from webapp.jobs import claims, leases, runner, store, turns
from webapp.jobs.store import Outcome


class Killed(BaseException):
    """The process ended. Nothing handles this."""


def deadly_at(*positions: int) -> Callable[..., Outcome]:
    """Return a `process_row` that ends the process at the rows with these positions."""

    def process_row(*arguments: Any) -> Outcome:
        if arguments[3].position in positions:
            raise Killed
        return Outcome("done")

    return process_row


def crash_until_done(work: Callable[[], None]) -> int:
    """Do some work again and again after each crash, and return the number of crashes."""
    for crashes in range(100):
        try:
            work()
        except Killed:
            expire_leases()
        else:
            return crashes
    raise AssertionError("It never ends.")


def test_a_row_that_ends_its_process_again_and_again_is_given_up_and_the_others_are_done(
    register: Register, make_job: MakeJob, vault: Vault
) -> None:
    register(deadly_at(7))
    job = make_job(20)
    runner.start_job(job, vault)
    crashes = crash_until_done(lambda: runner.process_now(job, vault))
    assert crashes == claims.MAX_LOST_LEASES
    store.reload_job(job)
    assert (job.state, store.outcome_counts(job)) == ("done", {"refused": 1, "done": 19})
    (row,), _ = store.list_rows(job, "refused")
    assert (row.position, "ended unexpectedly 3 times" in row.message) == (7, True)


def test_two_deadly_rows_of_a_job_are_both_given_up(
    register: Register, make_job: MakeJob, vault: Vault
) -> None:
    register(deadly_at(0, 3))
    job = make_job(120)
    runner.start_job(job, vault)
    crash_until_done(lambda: runner.process_now(job, vault))
    process_jobs()  # On a slow machine, `process_now` leaves rows to the worker.
    assert store.outcome_counts(job) == {"refused": 2, "done": 118}


def test_a_row_at_a_cloud_that_ends_its_process_again_and_again_is_given_up(
    register: Register, make_job: MakeJob, vault: Vault
) -> None:
    register(deadly_at(1), calls_cloud=True)
    job = make_job(3)
    runner.start_job(job, vault)

    def work() -> None:
        while row := claims.claim_row(job.id, []):
            turns.process_cloud_row(job, row, vault)

    assert crash_until_done(work) == claims.MAX_LOST_LEASES
    assert store.outcome_counts(job) == {"refused": 1, "done": 2}


@pytest.mark.parametrize("values", [{"lost_leases": 1}, {"lease_token": "of a killed process"}])
def test_rows_that_may_have_ended_a_process_are_processed_one_at_a_time(
    register: Register, make_job: MakeJob, vault: Vault, values: dict[str, object]
) -> None:
    """Otherwise, rows that are processed beside a deadly row would be given up too."""
    suspects: set[int] = set()
    at_once: list[int] = []

    def process_row(*arguments: Any) -> Outcome:
        row = arguments[3]
        if row.lost_leases:
            suspects.add(row.id)
            at_once.append(len(suspects))
            time.sleep(0.05)
            suspects.discard(row.id)
        return Outcome("done")

    register(process_row, calls_cloud=True)
    job = make_job(6)
    JobRow.update(credentials_id=JobRow.id, **values).where(JobRow.position < 4).execute()
    runner.start_job(job, vault)
    assert store.outcome_counts(wait_for_job(job)) == {"done": 6}
    assert at_once == [1] * 4


def test_a_part_of_a_row_that_is_saved_ends_the_suspicion(
    register: Register, make_job: MakeJob, vault: Vault
) -> None:
    """The deletion of a large account survives any number of restarts."""
    crashes = iter([True, False] * 6)

    def process_row(*arguments: Any) -> Outcome:
        if next(crashes):
            raise Killed
        parts = arguments[3].arguments.get("parts", 0) + 1
        return Outcome("" if parts < 6 else "done", arguments={"parts": parts})

    register(process_row)
    job = make_job(1)
    runner.start_job(job, vault)
    assert crash_until_done(lambda: runner.process_now(job, vault)) == 6
    assert store.outcome_counts(job) == {"done": 1}


@pytest.mark.parametrize("calls_cloud", [False, True])
def test_work_is_given_back_when_the_database_works_again(
    register: Register,
    make_job: MakeJob,
    vault: Vault,
    monkeypatch: pytest.MonkeyPatch,
    calls_cloud: bool,
) -> None:
    """A failure of the database while a lease is given back does not keep the lease."""

    def fail(*_arguments: object) -> None:
        raise OperationalError("database is locked")

    register(return_done, calls_cloud=calls_cloud)
    job = make_job(3)
    runner.start_job(job, vault)
    with monkeypatch.context() as failing:
        failing.setattr(claims, "save", fail)
        failing.setattr(leases, "end_with_pause", fail)
        failing.setattr(claims, "_give_back_row", fail)
        failing.setattr(turns, "is_temporary", lambda _error: True)
        if calls_cloud:
            row = claims.claim_row(job.id, [])
            assert row is not None
            turns.process_cloud_row(job, row, vault)
        else:
            runner.process_now(job, vault)
    claims.retry_give_backs()
    Lease.update(expires_at=0).where(Lease.token == "").execute()
    process_jobs()
    assert Job.get_by_id(job.id).state == "done"
    assert {row.lost_leases for row in JobRow.select()} == {0}
