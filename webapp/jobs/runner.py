"""Start and stop jobs, and process them with a limited number of threads per process.

A job has rows, and does the same work for each row. Jobs continue after their requests have ended,
and survive restarts. Everything that a process must know is in the database, so any process may
continue any job. The people of all accounts take turns, so a large job does not delay the jobs of
others.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from models import (
    DATABASE_FAILURES,
    NO_HEARTBEAT,
    Job,
    JobRow,
    Lease,
    after_commit,
    open_connection,
    transaction,
)
from webapp import audit
from webapp.access import Actor, Right
from webapp.clouds.outgoing.budgets import CALLS_PER_CREDENTIALS, RESERVED
from webapp.credentials.vault import Vault
from webapp.jobs import backoff, claims, leases, store, turns
from webapp.jobs.actions import JOB_ACTIONS, action_of, title_of
from webapp.jobs.call_budgets import CallBudgets
from webapp.jobs.claims import RunningJob
from webapp.people import notices

SHORT_JOB_ROWS = 100
"""The maximum number of rows of a job that `start_job` processes within a request."""
REQUEST_SECONDS = 2.0
"""A request processes a short job for up to this time. Then the job continues in the background."""
DEFAULT_THREADS = 16
"""The default for the maximum number of tasks in progress, in one process."""
DATABASE_TURNS = 2
"""The maximum number of jobs without calls to clouds on which a process works at the same time.

Jobs that are processed within a request do not count.
"""
ROWS_PER_CREDENTIALS = CALLS_PER_CREDENTIALS - RESERVED
"""The maximum number of rows with the same credentials that wait for a cloud at the same time, in
one process."""
POLL_SECONDS = 1.0
"""Seconds between two searches for jobs that other processes have started, and for rows whose pause
is over."""

DATABASE_FAILS = "database"
"""The value of `Runner._failure` while the database does not work."""

log = logging.getLogger(__name__)
_wake_up = threading.Event()
"""Set when the runner must look for work immediately: after the start of a job or the end of a
task, and when the runner must stop."""


def start_job(
    job: Job, vault: Vault, *, process_if_short: bool = False, only_if: Any = None
) -> None:
    """Start a planned job, and reload `job`. A job that was already started is not started again.

    If `only_if` is not None, the job is started only if it meets this query condition.

    If `process_if_short` is true, this function also processes the job for up to REQUEST_SECONDS,
    unless the job is long, calls clouds or is queued (see `process_started`). A short job is
    usually done when this function returns. In a transaction, the job is processed only after the
    commit.
    """
    planned = (Job.id == job.id) & (Job.state == "planned")
    if only_if is not None:
        planned &= only_if
    if Job.update(state="running", seen_at=NO_HEARTBEAT).where(planned).execute():
        is_short = job.total <= SHORT_JOB_ROWS and not action_of(job).calls_cloud
        store.reload_job(job)
        if process_if_short and is_short:
            process_started(job, vault)
        after_commit(_wake_up.set)
    store.reload_job(job)


def process_started(job: Job, vault: Vault) -> None:
    """Process a started job for up to REQUEST_SECONDS, unless it is queued. Then reload `job`.

    A job is queued while earlier jobs of the same person must end first. A short job is usually
    done when this function returns. Any other job continues in the background. In a transaction,
    the job is processed only after the commit.
    """
    after_commit(partial(_process_committed, job, vault))


def _process_committed(job: Job, vault: Vault) -> None:
    if not claims.jobs_before(job):
        process_now(job, vault)
    _wake_up.set()
    store.reload_job(job)


def process_now(job: Job, vault: Vault) -> None:
    """Process a running job for up to REQUEST_SECONDS.

    Do nothing if another process works on the job or if the job pauses. If the database fails, the
    job continues in the background.
    """
    try:
        lease = claims.claim_job(job.id)
        if lease is not None:
            turns.process_turn(job, lease, vault, REQUEST_SECONDS)
    except DATABASE_FAILURES as error:
        log.warning("job %d waits for the database: %s", job.id, error)


def stop_job(actor: Actor, job: Job) -> bool:
    """Stop a running job, and reload `job`. Return whether this call stopped the job.

    Rows that are not in progress stay unprocessed. A job is not stopped if its action cannot be
    stopped, or if another person started it and the actor lacks Right.STOP_JOBS at its scope.
    """
    if not action_of(job).can_be_stopped:
        store.reload_job(job)
        return False
    return stop_job_with(partial(claims.stop, job.id), actor, job, title_of(job))


def stop_job_with(stop: Callable[[str], bool], actor: Actor, job: Job, title: str) -> bool:
    """Stop a job with `stop`, and reload `job`. Return whether this call stopped the job.

    `stop` gets the job's `stop_reason`, and returns whether it stopped the job. `title` names the
    job in the audit log. The job is not stopped if another person started it and the actor lacks
    Right.STOP_JOBS at its scope.
    """
    is_own = job.person_id == actor.person.id
    is_stopped = False
    if is_own or actor.may(Right.STOP_JOBS, job.scope):
        reason = "" if is_own else f"{actor.person.name} stopped this job."
        started_by = "" if is_own else f", which {job.person.name} started"
        with transaction():
            is_stopped = stop(reason)
            if is_stopped:
                audit.record(actor, job.scope, "job.stop", f"{title}{started_by}")
    if is_stopped and not is_own:
        text = f"{actor.person.name} stopped your job “{title}”."
        notices.save(Actor(job.person), job.scope, "warning", text, {})
    store.reload_job(job)
    return is_stopped


@dataclass(frozen=True, eq=False)
class Task:
    """The work of one thread: a turn of a job, or a row that calls its cloud.

    `claim` is the lease on the job, or the row.
    """

    job: RunningJob
    claim: Lease | JobRow

    @property
    def lease(self) -> Lease | None:
        return self.claim if isinstance(self.claim, Lease) else None

    @property
    def row(self) -> JobRow | None:
        return self.claim if isinstance(self.claim, JobRow) else None

    @property
    def credentials_key(self) -> int | None:
        """The value by which the tasks with the same credentials are counted.

        This is the ID of the credentials. If a row has no known credentials, it is the negative ID
        of the job. For a turn of a job, it is None.
        """
        if self.row is None:
            return None
        return self.row.credentials_id or -self.job.id


class Runner:
    """Processes jobs. There is one instance per process."""

    def __init__(self, vault: Vault, threads: int = DEFAULT_THREADS) -> None:
        self._vault, self._threads = vault, threads
        self._call_budgets = CallBudgets(vault)
        self._tasks: set[Task] = set()
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._stopping = threading.Event()
        self._last_tasks: dict[object, int] = {}
        """The number of the last task of each account, person and job.

        Tasks are numbered in the order in which they start.
        """
        self._task_number = 0
        """The number of the task that started last."""
        self._failure = ""
        """Why the last search for work failed, or ''."""

    def start(self) -> None:
        """Start the thread that starts tasks."""
        threading.Thread(target=self._run, name="runner", daemon=True).start()

    def stop(self, seconds: float) -> None:
        """Start no more tasks, and wait at most `seconds` for the tasks in progress.

        Then give back the rows that still wait for their cloud.
        """
        self._stopping.set()
        _wake_up.set()
        with self._changed:
            self._changed.wait_for(lambda: not self._tasks, seconds)
            unfinished = [task.row for task in self._tasks if task.row is not None]
        for row in unfinished:
            claims.give_back(row)

    def run_until_idle(self) -> None:
        """Process all jobs until no row can be processed now."""
        while True:
            was_busy = bool(self._tasks)
            if not self.dispatch() and not was_busy:
                return
            with self._changed:
                if self._tasks:
                    self._changed.wait(POLL_SECONDS)

    def dispatch(self) -> bool:
        """Start the tasks that can run now. Accounts and people take turns.

        Return whether a task was started.
        """
        claims.retry_give_backs()
        candidates = self._candidates()
        started = False
        while candidates and not self._stopping.is_set():
            with self._lock:
                tasks = list(self._tasks)
            allowed = [job for job in candidates if self._has_thread(job, tasks)]
            if not allowed:
                break
            job = min(allowed, key=lambda job: self._sort_key(job, tasks))
            task = self._claim(job, tasks)
            if task is None or task.lease is not None:
                candidates.remove(job)
            if task is not None:
                self._start(task)
                started = True
        return started

    def _candidates(self) -> list[RunningJob]:
        """Return the jobs that have a row to process now.

        Leave out a job without calls to clouds if a process works on it or if it pauses. Also store
        that the jobs without remaining rows are done.
        """
        claims.adopt_abandoned_jobs()
        jobs = claims.running_jobs()
        for job in jobs:
            if not job.has_rows:
                claims.update_progress(job.id)
        leased = leases.blocked_names(claims.LEASE_PREFIX) if jobs else set()
        return [
            job
            for job in jobs
            if job.is_ready
            and job.action in JOB_ACTIONS  # A newer version may have started the job.
            and claims.lease_name(job.id) not in leased
        ]

    def _has_thread(self, job: RunningJob, tasks: list[Task]) -> bool:
        """Return whether a thread is free for the job.

        Rows that do not call clouds use at most DATABASE_TURNS threads. The other threads are the
        cloud threads, for rows that call clouds. An account gets at most half of the cloud threads
        that other accounts are not using, but at least one. JOB_THREADS is at least 4, so there are
        at least two cloud threads, and one account cannot occupy all of them.
        """
        database_turns = sum(task.lease is not None for task in tasks)
        if not JOB_ACTIONS[job.action].calls_cloud:
            return database_turns < DATABASE_TURNS
        cloud_threads = max(1, self._threads - DATABASE_TURNS)
        used_threads = len(tasks) - database_turns
        account_threads = sum(
            task.row is not None and task.job.account == job.account for task in tasks
        )
        available_threads = cloud_threads - (used_threads - account_threads)
        return used_threads < cloud_threads and account_threads < max(1, available_threads // 2)

    def _sort_key(self, job: RunningJob, tasks: list[Task]) -> tuple[int, ...]:
        """Return the sort key of a job. The account with the fewest tasks in progress comes first.

        Among accounts with equal numbers, the account whose last task began earliest comes first.
        The people of an account are sorted in the same way, then the jobs by their last task.
        """
        account, person = f"account:{job.account}", f"person:{job.person_id}"
        return (
            sum(task.job.account == job.account for task in tasks),
            self._last_tasks.get(account, 0),
            sum(task.job.person_id == job.person_id for task in tasks),
            self._last_tasks.get(person, 0),
            self._last_tasks.get(job.id, 0),
            job.id,
        )

    def _claim(self, job: RunningJob, tasks: list[Task]) -> Task | None:
        """Return a new task for the job, or None if the job cannot get another task now."""
        if not JOB_ACTIONS[job.action].calls_cloud:
            lease = claims.claim_job(job.id)
            return Task(job, lease) if lease else None
        in_use = Counter(task.credentials_key for task in tasks)
        busy = {each for each, count in in_use.items() if count >= ROWS_PER_CREDENTIALS}
        if -job.id in busy:
            return None
        busy |= self._call_budgets.exhausted_credentials()
        # A suspect is a row on which another process worked when that process ended. Process only
        # one suspect at a time: if this process ends too, it is clear which row caused this.
        any_suspect = any(task.row is not None and task.row.lost_leases for task in tasks)
        row = claims.claim_row(
            job.id,
            [each for each in busy if each is not None and each > 0],
            with_suspects=not any_suspect,
        )
        if row is None:
            return None
        if row.credentials_id is not None and not self._call_budgets.can_call(row.credentials_id):
            # The next call of `exhausted_credentials` includes the credentials of this row.
            claims.give_back(row)
            return None
        return Task(job, row)

    def _start(self, task: Task) -> None:
        self._task_number += 1
        job = task.job
        for key in (f"account:{job.account}", f"person:{job.person_id}", job.id):
            self._last_tasks[key] = self._task_number
        with self._lock:
            self._tasks.add(task)
        name = f"job-{task.job.id}"
        threading.Thread(target=self._process, args=(task,), name=name, daemon=True).start()

    def _process(self, task: Task) -> None:
        try:
            with open_connection():
                job = Job.get_or_none(Job.id == task.job.id)
                if job is None:
                    return
                if task.lease is not None:
                    should_stop = self._stopping.is_set
                    turns.process_turn(
                        job, task.lease, self._vault, turns.TURN_SECONDS, should_stop
                    )
                elif task.row is not None:
                    turns.process_cloud_row(job, task.row, self._vault)
        except DATABASE_FAILURES as error:
            log.warning("job %d waits for the database: %s", task.job.id, error)
            claims.give_back(task.claim, backoff.database_pause(0) or 0.0 if task.lease else 0.0)
        except Exception as error:  # noqa: BLE001  the job continues later, or is stopped
            turns.postpone(task.job, task.claim, error)
        finally:
            with self._changed:
                self._tasks.discard(task)
                self._changed.notify_all()
            _wake_up.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            _wake_up.clear()
            if self._try(self._dispatch_once):
                _wake_up.wait(POLL_SECONDS)
            else:
                self._stopping.wait(POLL_SECONDS)

    def _dispatch_once(self) -> None:
        with open_connection():
            self.dispatch()

    def _try(self, work: Callable[[], None]) -> bool:
        """Do some work and return whether it succeeded. A failure that lasts is logged once."""
        try:
            work()
        except DATABASE_FAILURES as error:
            if self._failure != DATABASE_FAILS:
                log.warning("jobs wait for the database: %s", error)
            self._failure = DATABASE_FAILS
            return False
        except Exception as error:
            if self._failure != repr(error):
                log.exception("cannot start jobs")
            self._failure = repr(error)
            return False
        if self._failure:
            log.info("jobs continue")
        self._failure = ""
        return True
