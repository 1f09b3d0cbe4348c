"""Process jobs. A job continues after its request has ended, and survives restarts.

A job has rows, and does the same work for each row. This module must not know what that work is:
other modules define actions, and `create_app` registers them here.

One thread of one process works on a job and stores a heartbeat in `Job.seen_at` about once a
second. Another process may take over a job whose heartbeat is old. The heartbeat is also the lock
token: a thread stops as soon as the stored heartbeat differs from the heartbeat that it last wrote.

A temporary failure does not become the outcome of a row. While the database is locked or cannot be
reached, the job waits and then continues with the same row. A row whose cloud is busy or does not
answer is tried a few times.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from models import (
    DATABASE_FAILURES,
    Job,
    JobRow,
    Prepared,
    RecordChanged,
    RecordGone,
    Scope,
    database,
    is_sqlite,
    is_transient,
    now,
    open_connection,
    transaction,
)
from webapp.access import Actor, Forbidden
from webapp.clouds.base import CallsInProgress, CloudThrottled, CloudUnreachable
from webapp.credentials.vault import Vault
from webapp.jobs import backoff, store
from webapp.jobs.store import Outcome
from webapp.people import accounts

SHORT_JOB_ROWS = 100
"""The most rows of a job that may be processed within a request."""
CONCURRENT_ROWS = 8
"""The most rows that one process handles at the same time. Such rows wait for a cloud."""
ABANDONED_AFTER = timedelta(seconds=30)
"""The age of a heartbeat after which a job counts as abandoned."""
HEARTBEAT_SECONDS = 1.0
SQLITE_PAUSE_SECONDS = 0.002
"""Pause after each row on SQLite. SQLite allows one writer at a time; others write in the pause."""
READ_SIZE = 500
"""Rows per SELECT statement."""

log = logging.getLogger(__name__)

ProcessRow = Callable[[Actor, Scope, Mapping[str, Any], JobRow, Vault], Outcome]
"""Process one row. The third argument holds the arguments of the job.

Raises RETRIED_CLOUD_ERRORS if another attempt may succeed.
"""
RETRIED_CLOUD_ERRORS = (CallsInProgress, CloudThrottled, CloudUnreachable)


@dataclass(frozen=True)
class JobAction:
    """One kind of job.

    `key` is stored in `Job.action`. `title` is the heading of the job's page; `{images}` in the
    title is replaced, for example by '12 images'. If `atomic`, the work for a row and its outcome
    are saved in one transaction; use it for rows that call no cloud. If `concurrent`, several rows
    are processed at the same time, in any order; use it for rows that wait for a cloud.
    """

    key: str
    title: str
    process_row: ProcessRow
    atomic: bool = False
    concurrent: bool = False

    def title_for(self, count: int) -> str:
        """Return the title for `count` images: 'Delete 12 images'."""
        return self.title.format(images=f"{count:,} image{'' if count == 1 else 's'}")


JOB_ACTIONS: dict[str, JobAction] = {}
"""All actions by key. `create_app` fills this table."""
_row_threads = ThreadPoolExecutor(CONCURRENT_ROWS, thread_name_prefix="rows-of-jobs")


class ProcessIsShuttingDown(Exception):
    """This process starts no more threads. Another process will take over the job."""


def register(actions: Iterable[JobAction]) -> None:
    """Add actions to JOB_ACTIONS. Registering the same action twice is harmless."""
    JOB_ACTIONS.update({action.key: action for action in actions})


def start_job(job: Job, vault: Vault, *, wait: bool = False) -> None:
    """Start a planned job, and reload `job`. A job that was already started is not started again.

    If `wait` is true, a short job without concurrent rows is finished when this function returns.
    """
    heartbeat = now()
    planned = (Job.id == job.id) & (Job.state == "planned")
    if Job.update(state="running", seen_at=heartbeat).where(planned).execute():
        is_short = job.total <= SHORT_JOB_ROWS and not JOB_ACTIONS[job.action].concurrent
        if wait and is_short:
            _process_job(job.id, heartbeat, vault, in_request=True)
        else:
            _start_thread(job.id, heartbeat, vault)
    store.reload_job(job)


def resume_if_abandoned(job: Job, vault: Vault) -> None:
    """Take the job over if its heartbeat is old, because its process has ended or hangs."""
    heartbeat = now()
    if job.state != "running" or job.seen_at > heartbeat - ABANDONED_AFTER:
        return
    unchanged = (Job.id == job.id) & (Job.state == "running") & (Job.seen_at == job.seen_at)
    if Job.update(seen_at=heartbeat).where(unchanged).execute():
        log.info("job %d is taken over", job.id)
        _start_thread(job.id, heartbeat, vault)


def resume_abandoned_jobs(vault: Vault) -> None:
    """Take over every abandoned job."""
    abandoned = (Job.state == "running") & (Job.seen_at < now() - ABANDONED_AFTER)
    for job in list(Job.select().where(abandoned)):
        resume_if_abandoned(job, vault)


def stop_job(actor: Actor, job: Job) -> None:
    """Stop a running job that the actor started, and reload `job`.

    Unprocessed rows stay unprocessed. A job that another person started is not stopped.
    """
    may_stop = (Job.id == job.id) & (Job.person == actor.person) & (Job.state == "running")
    Job.update(state="stopped", finished_at=now()).where(may_stop).execute()
    store.reload_job(job)


def _start_thread(job_id: int, heartbeat: datetime, vault: Vault) -> None:
    name, arguments = f"job-{job_id}", (job_id, heartbeat, vault)
    threading.Thread(target=_process_job, args=arguments, name=name, daemon=True).start()


def _process_job(
    job_id: int, heartbeat: datetime, vault: Vault, *, in_request: bool = False
) -> None:
    """Process a job to its end.

    While the database is locked or cannot be reached, wait and try again. If `in_request` is true,
    do not wait, but start a thread that continues the job. After an unexpected error, the job still
    counts as running. Another process takes the job over when its heartbeat is old.
    """
    attempts = _JobAttempts(job_id, heartbeat, vault)
    pauses = backoff.database_pauses()
    try:
        while not attempts.try_to_finish():
            if in_request:
                _start_thread(job_id, attempts.heartbeat, vault)
                return
            if attempts.made_progress:
                pauses = backoff.database_pauses()
            pause = next(pauses, None)
            if pause is None:
                log.error("job %d was given up, because the database does not answer", job_id)
                return
            time.sleep(pause)
    except ProcessIsShuttingDown:
        log.info("job %d is left to another process", job_id)
    except Exception:
        log.exception("job %d was given up", job_id)


class _JobAttempts:
    """Several attempts to process one job. Each attempt continues where the last attempt ended."""

    def __init__(self, job_id: int, heartbeat: datetime, vault: Vault) -> None:
        self.heartbeat, self.made_progress = heartbeat, False
        self._job_id, self._vault = job_id, vault

    def try_to_finish(self) -> bool:
        """Try to process the job to its end.

        Return False if the database was locked or could not be reached.
        """
        worker = None
        try:
            with open_connection():
                job = Job.get_or_none(Job.id == self._job_id)
                if job is not None:
                    worker = _JobWorker(job, self.heartbeat, self._vault)
                    worker.process()
        except (*DATABASE_FAILURES, RecordChanged) as error:
            if not _is_temporary(error):
                raise
            log.warning("job %d waits for the database: %s", self._job_id, error)
            _close_broken_connection()
        else:
            return True
        if worker is not None:
            self.heartbeat, self.made_progress = worker.heartbeat, worker.made_progress
        return False


def _is_temporary(error: Exception) -> bool:
    return isinstance(error, RecordChanged) or is_transient(error)


def _close_broken_connection() -> None:
    """Close this thread's connection, if the caller opened it, and open another one."""
    if not database.is_closed():
        database.close()
        database.connect()


# The same condition as `_JobWorker._owned`, as a prepared query. The worker sends this query before
# every row, and Peewee took longer to build it than the database took to execute it.
_select_owned = Prepared(
    lambda placeholder: Job.select(Job.id).where(
        Job.id == placeholder, Job.state == placeholder, Job.seen_at == placeholder
    )
)


class _JobWorker:
    """Processes one job until it is finished, stopped or taken over."""

    def __init__(self, job: Job, heartbeat: datetime, vault: Vault) -> None:
        self._job, self._vault = job, vault
        self.heartbeat, self.made_progress = heartbeat, False
        self._action = JOB_ACTIONS[job.action]
        self._actor = accounts.actor_for(job.person)
        self._heartbeat_sent = time.monotonic()

    def process(self) -> None:
        """Process the rows without an outcome. Then store that the job is done, or was stopped."""
        if self._action.concurrent:
            self._process_concurrently()
        else:
            for row in self._unprocessed_rows():
                self._process_row(row)
                if is_sqlite():
                    time.sleep(SQLITE_PAUSE_SECONDS)
        processed = store.count_processed(self._job)
        finished = {"state": "done", "finished_at": now(), "done": processed}
        if not Job.update(finished).where(self._owned).execute():
            stopped = (Job.id == self._job.id) & (Job.state == "stopped")
            Job.update(done=processed).where(stopped).execute()

    def _process_concurrently(self) -> None:
        pending: set[Future[None]] = set()
        try:
            for row in self._unprocessed_rows():
                try:
                    pending.add(_row_threads.submit(self._process_row_in_thread, row))
                except RuntimeError as error:
                    raise ProcessIsShuttingDown from error
                while len(pending) >= CONCURRENT_ROWS:
                    pending = self._wait_for_finished_row(pending)
            while pending:
                pending = self._wait_for_finished_row(pending)
        except (*DATABASE_FAILURES, RecordChanged):
            # The next attempt must not process a row that a thread is still processing.
            wait(pending)
            raise

    def _wait_for_finished_row(self, pending: set[Future[None]]) -> set[Future[None]]:
        """Wait until a row is finished or a heartbeat is due. Return the pending rows."""
        finished, unfinished = wait(pending, HEARTBEAT_SECONDS, FIRST_COMPLETED)
        for future in finished:
            future.result()  # Raises the exception of the thread, if there was one.
        self._send_heartbeat_if_due()
        return unfinished

    def _unprocessed_rows(self) -> Iterator[JobRow]:
        """Yield the rows without an outcome, until the job is stopped or taken over."""
        last_position = -1
        unprocessed = (JobRow.job == self._job) & (JobRow.outcome == "")
        while True:
            query = JobRow.select().where(unprocessed & (JobRow.position > last_position))
            rows = list(query.order_by(JobRow.position).limit(READ_SIZE))
            for row in rows:
                self._send_heartbeat_if_due()
                heartbeat = Job.seen_at.db_value(self.heartbeat)
                if not _select_owned(self._job.id, "running", heartbeat):
                    return
                yield row
            if not rows:
                return
            last_position = rows[-1].position

    @property
    def _owned(self) -> Any:
        """Return the query condition that the job was neither stopped nor taken over."""
        running = (Job.id == self._job.id) & (Job.state == "running")
        return running & (Job.seen_at == self.heartbeat)

    def _send_heartbeat_if_due(self) -> None:
        """If a heartbeat is due, store it, and read the person's roles again.

        The person may have lost roles since the job was started.
        """
        if time.monotonic() - self._heartbeat_sent < HEARTBEAT_SECONDS:
            return
        heartbeat = now()
        values = {"seen_at": heartbeat, "done": store.count_processed(self._job)}
        if Job.update(values).where(self._owned).execute():
            self.heartbeat = heartbeat
        self._actor = accounts.actor_for(self._job.person)
        self._heartbeat_sent = time.monotonic()

    def _process_row_in_thread(self, row: JobRow) -> None:
        with open_connection():
            self._process_row(row)

    def _process_row(self, row: JobRow) -> None:
        try:
            if self._action.atomic:
                with transaction():
                    store.save_outcome(row, self._outcome_of(row))
                self.made_progress = True
                return
            outcome = self._outcome_of(row)
        except Forbidden:
            outcome = Outcome("refused", "You no longer have permission to do this.")
        except RecordGone:
            message = "Something that this row needs was deleted at the same moment. Try again."
            outcome = Outcome("refused", message)
        except Exception as error:
            if _is_temporary(error):
                raise
            log.exception("job %d, row %d: unexpected error", self._job.id, row.position)
            outcome = Outcome("refused", "Something went wrong. The error was logged. Try again.")
        store.save_outcome(row, outcome)
        self.made_progress = True

    def _outcome_of(self, row: JobRow) -> Outcome:
        """Process the row. If its cloud is busy or does not answer, try again a few times."""
        process_row, job = self._action.process_row, self._job
        pauses = backoff.cloud_pauses()
        while True:
            try:
                return process_row(self._actor, job.scope, job.arguments, row, self._vault)
            except RETRIED_CLOUD_ERRORS as error:
                pause = next(pauses, None)
                if pause is None:
                    return Outcome("refused", str(error))
            time.sleep(pause)
