"""List the jobs that a person started, at all scopes.

Also list the running jobs of other people that this person may stop.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from models import Job, Person, Scope, database, load_scopes, now
from webapp.access import RIGHTS, Actor, Right
from webapp.jobs import claims
from webapp.jobs.actions import JOB_ACTIONS, JobAction
from webapp.jobs.store import RETENTION
from webapp.people import scopes

MAX_COUNTED = 1_000
"""Failed rows of a job are counted exactly up to this number. If there are more, the count is
MAX_COUNTED + 1."""


@dataclass(frozen=True)
class ListedJob:
    """A job, and what the list shows about it.

    `action` is None for an import that is being prepared. `jobs_before` is the number of the
    person's jobs that must end before the job is processed. `failed` is the number of rows that
    failed, up to MAX_COUNTED + 1.
    """

    job: Job
    action: JobAction | None
    jobs_before: int
    failed: int

    @property
    def is_running(self) -> bool:
        return self.job.state == "running"


def find_jobs(
    actor: Actor, reviewed_actions: Collection[str], *, before: int = 0, size: int = 20
) -> tuple[list[ListedJob], int]:
    """Return one page of the actor's jobs, the newest first, and the cursor of the next page.

    `before` is a cursor that an earlier call returned, or 0 for the first page. The cursor is 0 on
    the last page. Jobs that were not started are returned only if their action is one of
    `reviewed_actions`. Jobs older than RETENTION, and jobs at scopes that the actor can no longer
    see, are left out.
    """
    listed_actions = {key for key, action in JOB_ACTIONS.items() if action.is_listed}
    is_started = (Job.state != "planned") & Job.action.in_(sorted(listed_actions))
    is_listed = is_started | Job.action.in_(sorted(reviewed_actions))
    is_recent = Job.created_at >= now() - RETENTION
    query = Job.select().join(Scope).where((Job.person == actor.person) & is_listed & is_recent)
    query = query.where(scopes.is_visible_to(actor))
    if before:
        query = query.where(Job.id < before)
    rows = list(query.order_by(Job.id.desc()).limit(size + 1))
    page = rows[:size]
    load_scopes(page)
    positions = {queued.job.id: queued.jobs_before for queued in claims.queue_of(actor)}
    failed = _count_failed_rows([job.id for job in page if job.state != "planned"])
    listed = [
        ListedJob(
            job, JOB_ACTIONS.get(job.action), _jobs_before(job, positions), failed.get(job.id, 0)
        )
        for job in page
    ]
    return listed, page[-1].id if len(rows) > size else 0


def find_jobs_of_others(actor: Actor, *, size: int = 20) -> tuple[list[ListedJob], bool]:
    """Return the oldest running jobs that other people started and that the actor may stop.

    Also return whether there are more than `size` such jobs.
    """
    if not any(Right.STOP_JOBS in RIGHTS[role] for role in actor.roles.values()):
        return [], False
    actions = [key for key, each in JOB_ACTIONS.items() if each.is_listed and each.can_be_stopped]
    others = (Job.state == "running") & (Job.person != actor.person) & Job.action.in_(actions)
    query = Job.select(Job, Person).join(Person).switch(Job).join(Scope).where(others)
    query = query.where(scopes.grants_right_to(actor, Right.STOP_JOBS))
    rows = list(query.order_by(Job.id).limit(size + 1))
    load_scopes(rows[:size])
    listed = [ListedJob(job, JOB_ACTIONS[job.action], 0, 0) for job in rows[:size]]
    return listed, len(rows) > size


def _jobs_before(job: Job, positions: dict[int, int]) -> int:
    """Return how many jobs must end before this job is processed.

    `positions` has this number for the first QUEUE_SIZE running jobs, by the ID of the job. For any
    later job, the result is QUEUE_SIZE, which is not exact.
    """
    if job.state != "running":
        return 0
    return positions.get(job.id, claims.QUEUE_SIZE)


def _count_failed_rows(job_ids: Sequence[int]) -> dict[int, int]:
    """Return the number of failed rows by job, up to MAX_COUNTED + 1 for each job."""
    if not job_ids:
        return {}
    counts = (
        f"SELECT {job_id:d}, COUNT(*) FROM (SELECT 1 FROM job_row WHERE job_id = {job_id:d} "  # noqa: S608
        f"AND outcome = 'refused' LIMIT {MAX_COUNTED + 1}) AS refused"
        for job_id in job_ids
    )
    rows: list[tuple[int, int]] = database.execute_sql(" UNION ALL ".join(counts)).fetchall()
    return dict(rows)
