"""Process rows of jobs: one turn of a job without calls to clouds, or one row that calls its cloud.

A turn is short, so that the jobs of other people get their turns. A temporary failure does not
become the outcome of a row: the row waits in the database, and no thread waits for it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from models import (
    DATABASE_FAILURES,
    Job,
    JobRow,
    Lease,
    Prepared,
    RecordChanged,
    RecordGone,
    database,
    is_sqlite,
    is_transient,
    transaction,
)
from webapp.access import Actor, Forbidden
from webapp.clouds.base import CallsInProgress
from webapp.credentials.vault import Vault
from webapp.jobs import backoff, claims, leases
from webapp.jobs.actions import RETRIED_CLOUD_ERRORS, JobAction, action_of
from webapp.jobs.leases import LeaseLost
from webapp.jobs.store import Outcome
from webapp.people import accounts

TURN_SECONDS = 1.0
"""How long a job without calls to clouds is processed before it is the turn of another job."""
READ_SIZE = 100
"""Rows per SELECT statement."""
ATTEMPTS_IN_TURN = 3
"""How often a row is tried within one turn if somebody else changes its record."""
SHORTEST_SQLITE_PAUSE, SQLITE_PAUSE_RATIO = 0.002, 1.5
"""Pause after each transaction on SQLite: at least this many seconds, and this many times as long
as the transaction. SQLite allows one writer at a time; others write in the pause."""

log = logging.getLogger(__name__)

Stopping = Callable[[], bool]
"""Return whether this process is ending, so that a turn should end early."""


def process_turn(
    job: Job, lease: Lease, vault: Vault, seconds: float, stopping: Stopping = bool
) -> None:
    """Process rows of a job without calls to clouds for some seconds. Then release the lease."""
    turn = _Turn(job, lease, vault)
    try:
        turn.process(time.monotonic() + seconds, stopping)
        claims.update_progress(job.id)
        leases.release(lease)
    except LeaseLost:
        log.info("another process works on job %d now", job.id)
    except (*DATABASE_FAILURES, RecordChanged) as error:
        if not is_temporary(error):
            log.exception("job %d waits after an unexpected error", job.id)
        else:
            log.warning("job %d waits for the database: %s", job.id, error)
        close_broken_connection()
        leases.extend(lease, backoff.database_pause(0) or 0.0)


class _Turn:
    """One turn of a job. Rows are processed in their order."""

    def __init__(self, job: Job, lease: Lease, vault: Vault) -> None:
        self._job, self._lease, self._vault = job, lease, vault
        self._action: JobAction = action_of(job)
        self._actor = accounts.actor_for(job.person)

    def process(self, end: float, stopping: Stopping) -> None:
        while rows := self._unprocessed_rows():
            for row in rows:
                if not _running(self._job.id, "running"):
                    return
                started = time.monotonic()
                while self._process_row(row):
                    _let_others_write(started)
                    if time.monotonic() >= end or stopping():
                        return
                    started = time.monotonic()
                _let_others_write(started)
                if time.monotonic() >= end or stopping():
                    return

    def _unprocessed_rows(self) -> list[JobRow]:
        unprocessed = (JobRow.job == self._job) & (JobRow.outcome == "")
        return list(JobRow.select().where(unprocessed).order_by(JobRow.position).limit(READ_SIZE))

    def _process_row(self, row: JobRow) -> bool:
        """Process a row, or a part of it. Return whether more of it remains."""
        for attempt in range(1, ATTEMPTS_IN_TURN + 1):
            try:
                with transaction():
                    leases.require(self._lease)
                    outcome = _call(self._action, self._actor, self._job, row, self._vault)
                    claims.save(row, outcome)
            except LeaseLost:
                raise
            except RecordChanged:
                if attempt == ATTEMPTS_IN_TURN:
                    self._postpone(row)
                    raise
                time.sleep(0.02 * attempt)
            except Exception as error:
                if is_temporary(error):
                    self._postpone(row)
                    raise
                self._save(row, outcome_of_error(self._job, row, error))
                return False
            else:
                return outcome.kind == ""
        raise AssertionError

    def _postpone(self, row: JobRow) -> None:
        """Count the attempt. After the last attempt, store the outcome instead."""
        close_broken_connection()
        if backoff.database_pause(row.attempts + 1) is None:
            self._save(row, DATABASE_OUTCOME)
            return
        held = (JobRow.id == row.id) & (JobRow.outcome == "")
        JobRow.update(attempts=JobRow.attempts + 1).where(held).execute()

    def _save(self, row: JobRow, outcome: Outcome) -> None:
        with transaction():
            leases.require(self._lease)
            claims.save(row, outcome)


def process_cloud_row(job: Job, row: JobRow, vault: Vault) -> None:
    """Process one row that calls its cloud, and store its outcome, or when it is tried again."""
    try:
        outcome = _outcome_of_cloud_row(job, row, vault)
        if outcome is not None:
            claims.save(row, outcome)
            claims.update_progress(job.id)
    except LeaseLost:
        log.info("another process works on row %d of job %d now", row.position, job.id)


def _outcome_of_cloud_row(job: Job, row: JobRow, vault: Vault) -> Outcome | None:
    """Return the outcome, or None if the row was put back."""
    try:
        return _call(action_of(job), accounts.actor_for(job.person), job, row, vault)
    except CallsInProgress as error:
        if row.waits >= backoff.BUDGET_WAITS:
            return Outcome("refused", str(error))
        claims.put_back(row, backoff.budget_pause(), str(error), called=False)
    except RETRIED_CLOUD_ERRORS as error:
        pause = backoff.cloud_pause(row.attempts, error)
        if pause is None:
            return Outcome("refused", f"{error} The registry tried {row.attempts} times.")
        claims.put_back(row, pause, f"{error} The registry will try again.")
    except Exception as error:  # noqa: BLE001  every row gets an outcome
        if not is_temporary(error):
            return outcome_of_error(job, row, error)
        log.warning("row %d of job %d waits for the database: %s", row.position, job.id, error)
        close_broken_connection()
        pause = backoff.database_pause(row.attempts)
        if pause is None:
            return DATABASE_OUTCOME
        claims.put_back(row, 0.0 if isinstance(error, RecordChanged) else pause)
    return None


DATABASE_OUTCOME = Outcome(
    "refused", "The database was too busy to save this change for a long time. Try again."
)


def outcome_of_error(job: Job, row: JobRow, error: Exception) -> Outcome:
    """Return the outcome of a row that raised an error that no other attempt would avoid."""
    if isinstance(error, Forbidden):
        return Outcome("refused", "You no longer have permission to do this.")
    if isinstance(error, RecordGone):
        message = "Something that this row needs was deleted at the same moment. Try again."
        return Outcome("refused", message)
    log.error("job %d, row %d: unexpected error", job.id, row.position, exc_info=error)
    return Outcome("refused", "Something went wrong. The error was logged. Try again.")


def is_temporary(error: Exception) -> bool:
    return isinstance(error, RecordChanged) or is_transient(error)


def close_broken_connection() -> None:
    """Replace this thread's connection, which may be broken, by another one."""
    if not database.is_closed() and not database.in_transaction():
        database.close()
        database.connect()


def _call(action: JobAction, actor: Actor, job: Job, row: JobRow, vault: Vault) -> Outcome:
    return action.process_row(actor, job.scope, job.arguments, row, vault)


def _let_others_write(started: float) -> None:
    if is_sqlite():
        taken = time.monotonic() - started
        time.sleep(max(SHORTEST_SQLITE_PAUSE, taken * SQLITE_PAUSE_RATIO if taken > 0.02 else 0))


# The turn sends this query before every row, and Peewee took longer to build it than the database
# took to execute it.
_running = Prepared(
    lambda placeholder: Job.select(Job.id).where(Job.id == placeholder, Job.state == placeholder)
)
