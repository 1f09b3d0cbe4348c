"""Storing jobs: creating, listing and deleting them."""

from __future__ import annotations

from datetime import timedelta

from models import Job, JobRow, now
from tests.jobs.conftest import MakeJob, Register, return_done
from webapp.jobs import store
from webapp.jobs.store import RETENTION


def test_a_new_job_is_planned_and_not_started(register: Register, make_job: MakeJob) -> None:
    register(return_done)
    job = make_job(1200)
    assert (job.state, job.total, job.done) == ("planned", 1200, 0)
    assert store.outcome_counts(job) == {"": 1200}
    positions = JobRow.select(JobRow.position).where(JobRow.job == job).order_by(JobRow.id)
    assert [row.position for row in positions] == list(range(1200))


def test_rows_are_paged_with_refused_rows_first(register: Register, make_job: MakeJob) -> None:
    register(return_done)
    job = make_job(7)
    for position, outcome in enumerate(["done", "refused", "done", "", "refused", "done", ""]):
        JobRow.update(outcome=outcome).where(JobRow.position == position).execute()
    pages, cursor = [], ""
    while True:
        rows, cursor = store.list_rows(job, after=cursor, size=3)
        pages.append([row.position for row in rows])
        if not cursor:
            break
    assert pages == [[1, 4, 0], [2, 3, 5], [6]]
    done_rows, next_cursor = store.list_rows(job, "done", size=2)
    assert [row.position for row in done_rows] == [0, 2]
    assert [row.position for row in store.list_rows(job, "done", after=next_cursor)[0]] == [5]
    assert [row.position for row in store.list_rows(job, "")[0]] == [3, 6]
    for invalid_cursor in ("x", "0", "2-1", "0-x", "1-99999999999999999999", "-"):
        assert len(store.list_rows(job, after=invalid_cursor)[0]) == 7
    assert list(store.outcome_counts(job).items()) == [("refused", 2), ("done", 3), ("", 2)]


def test_old_jobs_are_deleted_with_their_rows(register: Register, make_job: MakeJob) -> None:
    register(return_done)
    old, young = make_job(1200), make_job()
    for job, age in (
        (old, RETENTION + timedelta(minutes=1)),
        (young, RETENTION - timedelta(minutes=1)),
    ):
        Job.update(created_at=now() - age).where(Job.id == job.id).execute()
    while store.purge_chunk():
        pass
    assert [job.id for job in Job.select()] == [young.id]
    assert JobRow.select().count() == 3
