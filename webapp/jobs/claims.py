"""Choose which jobs and rows may be processed now, and record which process works on them.

Leases and pauses are measured by the clock of the database. A job whose rows call no cloud has one
lease in the table `lease`, because its rows are processed in their order. For other jobs, each row
in progress has its own lease: `JobRow.lease_token` identifies the lease, which expires at
`JobRow.not_before`.

To *give back* a job or a row means to end its lease early, so that any process may continue.
"""

from __future__ import annotations

import logging
import secrets
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from peewee import Case, DatabaseError, fn

from models import (
    DATABASE_FAILURES,
    NO_HEARTBEAT,
    Job,
    JobRow,
    Lease,
    Prepared,
    PreparedWrite,
    Scope,
    database_clock,
    is_sqlite,
    now,
    open_connection,
    transaction,
)
from webapp.access import Actor
from webapp.jobs import backoff, leases
from webapp.jobs.actions import JOB_ACTIONS
from webapp.jobs.leases import LeaseLost
from webapp.jobs.store import Outcome

JOBS_PER_PERSON = 3
"""The maximum number of jobs of one person that are processed at the same time. Later jobs wait."""
LEASE_SECONDS = 45.0
"""How long a lease on a job or a row is valid, in seconds.

A lease lasts much longer than the work: a turn of a job (see `turns`) takes a few seconds, and a
row calls its cloud at most a few times. So if a lease expires, its process has probably ended or
hangs.
"""
QUEUE_SIZE = 100
"""The maximum number of running jobs of one person that `queue_of` reads."""
BATCH_SIZE = 50
"""The maximum number of rows that one transaction processes, for a job without calls to clouds."""
MAX_LOST_LEASES = 3
"""A row is not tried again after this many processes have ended or hung while they worked on it."""
ABANDONED_AFTER = timedelta(seconds=30)
"""If the last heartbeat of a process of version 0.2.0 is older than this, the process has ended."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunningJob:
    """A running job, with the values that the runner needs to choose the next job.

    `account` is the path of the account that contains the job's scope, or '' for the Scalr scope.
    `is_ready` is whether a row may be processed now, and `has_rows` whether any row remains.
    """

    id: int
    action: str
    person_id: int
    account: str
    is_ready: bool
    has_rows: bool


@dataclass(frozen=True)
class QueuedJob:
    """A running job, and how many jobs of the same person must end before it is processed."""

    job: Job
    jobs_before: int


LEASE_PREFIX = "job:"


def lease_name(job_id: int) -> str:
    """Return the name of the lease on a job whose rows call no cloud."""
    return f"{LEASE_PREFIX}{job_id}"


def running_jobs() -> list[RunningJob]:
    """Return the oldest running jobs of each person, at most JOBS_PER_PERSON for each.

    Jobs that have a heartbeat of version 0.2.0 are left out. See `adopt_abandoned_jobs`.
    """
    remaining = JobRow.select(JobRow.id).where((JobRow.job == Job.id) & (JobRow.outcome == ""))
    ready = remaining.where(JobRow.not_before <= database_clock())
    query = (
        Job.select(
            Job.id, Job.action, Job.person, Scope.path, fn.EXISTS(ready), fn.EXISTS(remaining)
        )
        .join(Scope)
        .where((Job.state == "running") & (Job.seen_at == NO_HEARTBEAT))
        .order_by(Job.person, Job.id)
    )
    found: list[RunningJob] = []
    job_counts: dict[int, int] = {}
    rows: Any = query.tuples()
    for job_id, action, person_id, path, is_ready, has_rows in rows:
        job_counts[person_id] = job_counts.get(person_id, 0) + 1
        if job_counts[person_id] <= JOBS_PER_PERSON:
            account = path.partition("/")[0]
            found.append(
                RunningJob(job_id, action, person_id, account, bool(is_ready), bool(has_rows))
            )
    return found


def queue_of(actor: Actor, scope: Scope | None = None) -> list[QueuedJob]:
    """Return the actor's running jobs, ordered from the oldest to the newest.

    This function reads the oldest QUEUE_SIZE running jobs of the actor, at all scopes. If `scope`
    is not None, it then leaves out the jobs at other scopes. Jobs of a newer version of the
    application are left out too.
    """
    jobs = enumerate(_select_queue(actor.person.id, "running", QUEUE_SIZE))
    return [
        QueuedJob(job, max(0, position - JOBS_PER_PERSON + 1))
        for position, job in jobs
        if (scope is None or job.scope_id == scope.id) and job.action in JOB_ACTIONS
    ]


_select_queue = Prepared(
    lambda placeholder: (
        Job.select()
        .where(Job.person == placeholder, Job.state == placeholder)
        .order_by(Job.id)
        .limit(placeholder)
    )
)


def jobs_before(job: Job) -> int:
    """Return how many running jobs of the same person must end before this job is processed."""
    if job.state != "running":
        return 0
    earlier = (Job.person == job.person_id) & (Job.state == "running") & (Job.id < job.id)
    return max(0, Job.select().where(earlier).count() - JOBS_PER_PERSON + 1)


def count_waiting(job: Job) -> int:
    """Return how many rows of a running job wait for another attempt."""
    unprocessed = (JobRow.job == job) & (JobRow.outcome == "") & (JobRow.lease_token == "")
    return int(JobRow.select().where(unprocessed & (JobRow.not_before > 0)).count())


def adopt_abandoned_jobs() -> None:
    """Let processes of this version continue the jobs that processes of version 0.2.0 abandoned."""
    is_old = (Job.seen_at < now() - ABANDONED_AFTER) & (Job.state == "running")
    if Job.select(Job.id).where(is_old).exists():
        Job.update(seen_at=NO_HEARTBEAT).where(is_old).execute()


def claim_job(job_id: int) -> Lease | None:
    """Return a lease on a job whose rows call no cloud.

    Return None if another process holds a lease on the job, or if the job pauses after an error. If
    the previous process ended or hung while it held the lease, count a lost lease in each row that
    the process may have been processing.
    """
    name = lease_name(job_id)
    with transaction():
        is_lost = leases.is_lost(name)
        lease = leases.acquire(name, LEASE_SECONDS)
        if lease is not None and is_lost:
            _count_lost_lease(job_id)
    return lease


def _count_lost_lease(job_id: int) -> None:
    """Count a lost lease in each row that may have caused the end of the process.

    The transaction that the process did not finish may have processed any of the next BATCH_SIZE
    rows. From now on, each of these rows gets its own transaction, so that the next lost lease
    shows which row makes the process end.
    """
    query = JobRow.select(JobRow.id, JobRow.lost_leases)
    rows = list(query.where(_is_among_next_rows(job_id, BATCH_SIZE)).order_by(JobRow.position))
    if rows and rows[0].lost_leases:
        rows = rows[:1]
    counted = JobRow.id.in_([row.id for row in rows])
    JobRow.update(lost_leases=JobRow.lost_leases + 1).where(counted).execute()


def unprocessed_rows(job_id: int, size: int) -> list[JobRow]:
    """Return the first unprocessed rows of a job, at most `size`, in their order."""
    return list(JobRow.select().where(_is_among_next_rows(job_id, size)).order_by(JobRow.position))


def _is_among_next_rows(job_id: int, size: int) -> Any:
    """Return the query condition for the first unprocessed rows of a job.

    The condition selects a range of `size` positions. Packed rows (see `store`) are large, but each
    of them occupies many positions, so a small range contains at most one packed row.
    """
    other = JobRow.alias()
    first = other.select(fn.MIN(other.position))
    first = first.where((other.job == job_id) & (other.outcome == ""))
    unprocessed = (JobRow.job == job_id) & (JobRow.outcome == "")
    return unprocessed & (JobRow.position < fn.COALESCE(first, 0) + size)


def claim_row(
    job_id: int, busy_credentials: Collection[int], *, with_suspects: bool = True
) -> JobRow | None:
    """Take a lease on the first row that may be processed now, if the job is running.

    Return this row, or None if no row may be processed now. Rows with one of `busy_credentials` are
    skipped. If `with_suspects` is false, suspects are skipped too. A suspect is a row on which a
    process was working when the process ended.
    """
    is_running = JobRow.job.in_(Job.select(Job.id).where(Job.id == job_id, Job.state == "running"))
    ready = is_running & (JobRow.outcome == "") & (JobRow.not_before <= database_clock())
    if busy_credentials:
        ready &= JobRow.credentials_id.is_null() | JobRow.credentials_id.not_in(
            list(busy_credentials)
        )
    if not with_suspects:
        # A row that still has the token of an ended process becomes a suspect when it is claimed.
        ready &= (JobRow.lost_leases == 0) & (JobRow.lease_token == "")
    first = JobRow.select(JobRow.id).where(ready).order_by(JobRow.not_before, JobRow.position)
    first = first.limit(1)
    if not is_sqlite():
        first = first.for_update(skip_locked=True)
    query = JobRow.update(
        lease_token=secrets.token_hex(16),
        not_before=database_clock() + LEASE_SECONDS,
        attempts=JobRow.attempts + 1,
        # A row that still has a token was not given back: its previous process lost the lease.
        lost_leases=JobRow.lost_leases + Case(None, [(JobRow.lease_token != "", 1)], 0),
    ).where(JobRow.id == first)
    rows: list[JobRow] = list(query.returning(JobRow).execute())
    return rows[0] if rows else None


def save(row: JobRow, outcome: Outcome) -> None:
    """Store the outcome of a row. Raises LeaseLost if this process no longer has the lease."""
    values: dict[str, Any] = {"outcome": outcome.kind, "message": outcome.message}
    if outcome.image_id is not None:
        values["image_id"] = outcome.image_id
    if outcome.arguments is not None:
        values["arguments"] = row.arguments = outcome.arguments
    if outcome.kind == "" and row.lost_leases:
        values["lost_leases"] = row.lost_leases = 0  # The row makes progress, so it is not suspect.
    row_and_lease = {"id": row.id, "lease_token": row.lease_token}
    if not _prepare_save(tuple(values))({**values, **row_and_lease}):
        raise LeaseLost(f"row:{row.id}")


@lru_cache
def _prepare_save(names: tuple[str, ...]) -> PreparedWrite:
    """Return an UPDATE of these columns of a row.

    The UPDATE changes the row only if the row is unprocessed and still has the given `lease_token`.
    """

    def build_query(placeholders: Mapping[str, Any]) -> Any:
        values = {name: placeholders[name] for name in names}
        has_lease = JobRow.lease_token == placeholders["lease_token"]
        is_held = (JobRow.id == placeholders["id"]) & has_lease & (JobRow.outcome == "")
        return JobRow.update(values).where(is_held)

    return PreparedWrite(JobRow, {*names, "id", "lease_token"}, build_query)


def retry_later(row: JobRow, pause: float, message: str = "", *, called: bool = True) -> None:
    """Store that a row may be tried again after `pause` seconds, and give its lease back.

    If `called` is false, this server refused or ended the call of the row, because too many other
    calls were in progress. In this case, `waits` increases instead of `attempts`. Raises LeaseLost.
    """
    values = {
        "lease_token": "",
        "not_before": database_clock() + pause,
        "message": message,
        "attempts": row.attempts if called else row.attempts - 1,
        "waits": row.waits if called else row.waits + 1,
    }
    _update_leased_row(row, values)


_not_given_back: deque[tuple[Lease | JobRow, float]] = deque()
"""The jobs and rows that this process could not give back, because the database failed.

Each entry also contains the pause in seconds before the next attempt.
"""


def give_back(claim: Lease | JobRow, pause: float = 0.0) -> None:
    """Give back a job or a row that this process will not finish, so that any process may continue.

    The job or row can be processed after `pause` seconds. If the database fails,
    `retry_give_backs` gives the job or row back as soon as the database works again.
    """
    _not_given_back.append((claim, pause))
    try:
        with open_connection():
            retry_give_backs()
    except (*DATABASE_FAILURES, DatabaseError) as error:
        log.warning("cannot give back a job or a row yet: %s", error)


def retry_give_backs() -> None:
    """Give back the jobs and rows that could not be given back before. Raises DATABASE_FAILURES."""
    while _not_given_back:
        try:
            claim, pause = _not_given_back.popleft()
        except IndexError:
            return  # Another thread has taken the last entry.
        try:
            if isinstance(claim, Lease):
                leases.end_with_pause(claim, pause)
            else:
                _give_back_row(claim, pause)
        except DATABASE_FAILURES:
            _not_given_back.append((claim, pause))
            raise


def _give_back_row(row: JobRow, pause: float) -> None:
    is_held = (JobRow.id == row.id) & (JobRow.lease_token == row.lease_token)
    not_before = database_clock() + pause if pause else 0.0
    values = {"lease_token": "", "not_before": not_before, "attempts": row.attempts - 1}
    JobRow.update(values).where(is_held & (JobRow.outcome == "")).execute()


def update_progress(job_id: int, *, count: bool = True) -> None:
    """Store how many rows of a job are processed. If no row remains, the job is done.

    If `count` is false, only store whether the job is done. Counting the rows of a large job takes
    longer than saving a row.
    """
    rows = JobRow.select(JobRow.id).where(JobRow.job == job_id)
    remaining, processed = rows.where(JobRow.outcome == ""), rows.where(JobRow.outcome > "")
    done = {"done": processed.select(fn.COUNT(JobRow.position))}
    started = (Job.id == job_id) & Job.state.in_(["running", "stopped"])
    if count:
        Job.update(done).where(started).execute()
    # Set `done` here too: another process that counted earlier may have stored a smaller number.
    finished = {"state": "done", "done": Job.total, "finished_at": now()}
    is_finished = (Job.id == job_id) & (Job.state == "running") & ~fn.EXISTS(remaining)
    Job.update(finished).where(is_finished).execute()


def begin_failing(job_id: int) -> tuple[datetime, bool]:
    """Store the time of an unexpected error of a job, if it is the first error of a series.

    Return when the series began, and whether this error is the first.
    """
    instant = now()
    longest_series = timedelta(seconds=backoff.LONGEST_SERIES_SECONDS)
    is_new_series = Job.failing_since.is_null() | (Job.failing_since < instant - longest_series)
    query = Job.update(failing_since=instant).where((Job.id == job_id) & is_new_series)
    is_first = bool(query.execute())
    stored = Job.get_or_none(Job.id == job_id)
    return (stored and stored.failing_since) or instant, is_first


def end_failing(job: Job) -> None:
    """Store that a job works again after its unexpected errors."""
    if job.failing_since is not None:
        Job.update(failing_since=None).where(Job.id == job.id).execute()
        log.info("job %d continues after its unexpected error", job.id)


def stop(job_id: int, reason: str) -> bool:
    """Stop a job, so that no process begins another of its rows. Return whether it was running.

    `reason` is the job's `stop_reason`.
    """
    is_running = (Job.id == job_id) & (Job.state == "running")
    values = {"state": "stopped", "finished_at": now(), "stop_reason": reason}
    return bool(Job.update(values).where(is_running).execute())


def _update_leased_row(row: JobRow, values: dict[str, Any]) -> None:
    is_held = (JobRow.id == row.id) & (JobRow.lease_token == row.lease_token)
    if not JobRow.update(values).where(is_held & (JobRow.outcome == "")).execute():
        raise LeaseLost(f"row:{row.id}")
