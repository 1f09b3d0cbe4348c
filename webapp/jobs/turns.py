"""Process rows of jobs: one turn of a job without calls to clouds, or one row that calls its cloud.

A turn is short, so that the jobs of other people get their turns. After a temporary failure, a row
is tried again later, and no thread waits for the row until then. There is one exception: if
somebody else has just changed the same record, the turn itself tries the row again after a few
hundredths of a second (see ATTEMPTS_IN_TURN). The failure becomes the outcome of the row only after
the last attempt. `webapp.jobs.backoff` defines the numbers of attempts.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from models import (
    DATABASE_FAILURES,
    Job,
    JobRow,
    Lease,
    Prepared,
    RecordChanged,
    RecordGone,
    database,
    is_transient,
    now,
    open_connection,
    transaction,
)
from webapp.access import Actor, Forbidden
from webapp.clouds.errors import CallsInProgress
from webapp.credentials.vault import Vault
from webapp.jobs import backoff, claims, leases, pauses, store
from webapp.jobs.actions import JOB_ACTIONS, RETRIED_CLOUD_ERRORS, JobAction, action_of
from webapp.jobs.claims import RunningJob
from webapp.jobs.leases import LeaseLost
from webapp.jobs.store import Outcome
from webapp.tokens.verifier import actor_of_job

TURN_SECONDS = 1.0
"""The seconds for which a job without calls to clouds is processed before another job's turn."""
BATCH_SECONDS = 0.05
"""After this many seconds, a transaction processes no further row. A commit waits for the disk, so
one commit saves many rows."""
PROGRESS_ROWS = 20
"""For a job that calls clouds, all processed rows are counted again after about this many rows."""
ATTEMPTS_IN_TURN = 3
"""The maximum number of attempts for a row within one turn, if somebody else changes its record."""

log = logging.getLogger(__name__)

StopCheck = Callable[[], bool]
"""Return whether the turn should end early, because this process is ending."""


def process_turn(
    job: Job, lease: Lease, vault: Vault, seconds: float, should_stop: StopCheck = bool
) -> None:
    """For `seconds`, process rows of a job without calls to clouds. Then release the lease.

    After a temporary failure, the job pauses. The pause grows with each failed attempt of a row. If
    another process has acquired the lease, this turn ends, and the other process continues the job.
    Any other error in the work on a row becomes the outcome of the row. `postpone` handles the
    errors that do not belong to a row.
    """
    turn: _Turn | None = None
    try:
        turn = _Turn(job, lease, vault)
        turn.process(time.monotonic() + seconds, should_stop)
        claims.update_progress(job.id)
        if turn.made_progress:
            claims.end_failing(job)
        leases.release(lease)
    except LeaseLost:
        log.info("another process works on job %d now", job.id)
    except Exception as error:  # noqa: BLE001  the job continues later, or is stopped
        if not is_temporary(error):
            postpone(job, lease, error)
            return
        log.warning("job %d waits for the database or a record: %s", job.id, error)
        replace_connection()
        attempts = turn.counted_attempts if turn else 0
        claims.give_back(lease, backoff.database_pause(attempts) or 0.0)


def postpone(job: Job | RunningJob, claim: Lease | JobRow, error: Exception) -> None:
    """Give back a job or a row after an unexpected error that is not the outcome of a row.

    The work is tried again after a pause, which grows while the errors last. If they last for
    UNEXPECTED_SECONDS, the job is stopped. Only the first and the last error are logged.
    """
    replace_connection()
    pause: float | None = backoff.LONGEST_UNEXPECTED_PAUSE
    try:
        with open_connection():
            since, is_first = claims.begin_failing(job.id)
            pause = backoff.unexpected_pause((now() - since).total_seconds())
            if pause is None and claims.stop(job.id, _stop_reason(job)):
                claims.update_progress(job.id)
                log.error("job %d is stopped after unexpected errors", job.id, exc_info=error)
    except Exception:  # noqa: BLE001  the database may fail too; `error` is logged
        is_first = job.id not in _unstored_failures
        _unstored_failures.add(job.id)
    else:
        _unstored_failures.discard(job.id)
    if is_first:
        log.error("job %d waits after an unexpected error", job.id, exc_info=error)
    claims.give_back(claim, pause or 0.0)


_unstored_failures: set[int] = set()
"""The IDs of jobs with an unexpected error that could not be stored in the database.

Only the first such error of a job is logged.
"""


def _stop_reason(job: Job | RunningJob) -> str:
    action = JOB_ACTIONS.get(job.action)
    return action.failure_message if action and action.failure_message else UNEXPECTED_REASON


class _Turn:
    """One turn of a job. Rows are processed in their order, usually many in each transaction."""

    def __init__(self, job: Job, lease: Lease, vault: Vault) -> None:
        self._job, self._lease, self._vault = job, lease, vault
        self._action: JobAction = action_of(job)
        self._actor = actor_of_job(job)
        self._locked_at = 0.0
        """When the last transaction locked the SQLite database, by `time.monotonic`."""
        self._one_by_one = False
        """Whether each row gets its own transaction, because an error rolled back a batch."""
        self.counted_attempts = 0
        """The number of attempts of the row whose temporary failure ends this turn."""
        self.made_progress = False

    def process(self, end: float, should_stop: StopCheck) -> None:
        """Process rows until `end`, a time of `time.monotonic`, or until no row remains."""
        rows: deque[JobRow] = deque()
        while True:
            rows = rows or deque(claims.unprocessed_rows(self._job.id, claims.BATCH_SIZE))
            if not rows or not _find_job_in_state(self._job.id, "running"):
                return
            self._locked_at = time.monotonic()
            ratio, remaining, is_rolled_back = pauses.LONG_RATIO, len(rows), False
            if store.is_packed(rows[0]):
                self._unpack(rows[0])
                rows.clear()
            elif self._one_by_one or rows[0].lost_leases:
                if not self._process_row(rows[0]):
                    rows.popleft()
            elif not self._process_batch(rows, end):
                self._one_by_one = is_rolled_back = True
                rows.clear()  # The transaction was rolled back, so the objects may be wrong.
            self.made_progress = self.made_progress or not is_rolled_back
            if len(rows) < remaining - 1:
                ratio = pauses.SHORT_RATIO
            pauses.let_others_write(self._locked_at, ratio)
            # After a batch that was rolled back, try at least one row alone.
            if should_stop() or (time.monotonic() >= end and not is_rolled_back):
                return

    def _unpack(self, row: JobRow) -> None:
        with transaction():
            self._locked_at = time.monotonic()
            leases.require(self._lease)
            store.unpack(row)

    def _process_batch(self, rows: deque[JobRow], end: float) -> bool:
        """Process the first rows in one transaction of about BATCH_SECONDS.

        Remove the processed rows from `rows`, and return True. The transaction ends early at `end`.
        A temporary failure, or an error while an outcome is saved, rolls back the whole
        transaction, and this function returns False. Any other error rolls back only the work of
        its own row.
        """
        try:
            with transaction():
                self._locked_at = time.monotonic()
                end = min(end, self._locked_at + BATCH_SECONDS)
                leases.require(self._lease)
                while rows and not rows[0].lost_leases and not store.is_packed(rows[0]):
                    if not _find_job_in_state(self._job.id, "running"):
                        break
                    outcome = self._process_in_batch(rows[0])
                    claims.save(rows[0], outcome)
                    if outcome.kind == "":
                        break  # The next part of the row gets another transaction.
                    rows.popleft()
                    if time.monotonic() >= end:
                        break
        except LeaseLost:
            raise
        except Exception as error:  # noqa: BLE001  the error may belong to one row
            log.info("job %d: a batch of rows is repeated row by row: %s", self._job.id, error)
            replace_connection()
            return False
        return True

    def _process_in_batch(self, row: JobRow) -> Outcome:
        """Process a row, or a part of it, in the transaction of its batch. Return the outcome."""
        try:
            with transaction():  # This is a savepoint.
                return _call_action(self._action, self._actor, self._job, row, self._vault)
        except Exception as error:
            if isinstance(error, LeaseLost) or is_temporary(error):
                raise
            _log_error(self._job, row, error)
            return _outcome_of_error(self._job, error)

    def _process_row(self, row: JobRow) -> bool:
        """Process a row, or a part of it, in a transaction. Return whether more of it remains."""
        if row.lost_leases >= claims.MAX_LOST_LEASES:
            self._save(row, _failure_outcome(self._action, LOST_OUTCOME))
            return False
        for attempt in range(1, ATTEMPTS_IN_TURN + 1):
            try:
                with transaction():
                    self._locked_at = time.monotonic()
                    leases.require(self._lease)
                    outcome = _call_action(self._action, self._actor, self._job, row, self._vault)
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
                self._save(row, _outcome_of_error(self._job, error))
                _log_error(self._job, row, error)
                return False
            else:
                return outcome.kind == ""
        raise AssertionError

    def _postpone(self, row: JobRow) -> None:
        """Count a failed attempt. After the last attempt, store the failure of the row instead."""
        replace_connection()
        if backoff.database_pause(row.attempts + 1) is None:
            self._save(row, _failure_outcome(self._action, DATABASE_OUTCOME))
            return
        is_unprocessed = (JobRow.id == row.id) & (JobRow.outcome == "")
        JobRow.update(attempts=JobRow.attempts + 1).where(is_unprocessed).execute()
        self.counted_attempts = row.attempts + 1

    def _save(self, row: JobRow, outcome: Outcome) -> None:
        with transaction():
            leases.require(self._lease)
            claims.save(row, outcome)


def process_cloud_row(job: Job, row: JobRow, vault: Vault) -> None:
    """Process one row that calls its cloud. Store its outcome, or the time of the next attempt.

    If the row is packed, unpack it instead.
    """
    try:
        if store.is_packed(row):
            with transaction():
                store.unpack(row)
            return
        is_given_up = row.lost_leases >= claims.MAX_LOST_LEASES
        outcome = LOST_OUTCOME if is_given_up else _attempt_cloud_row(job, row, vault)
        if outcome is not None:
            _save_cloud_row(job, row, outcome)
            claims.update_progress(job.id, count=row.position % PROGRESS_ROWS == 0)
        claims.end_failing(job)
    except LeaseLost:
        log.info("another process works on row %d of job %d now", row.position, job.id)
    except DATABASE_FAILURES as error:
        log.warning(
            "row %d of job %d waits for the database or a record: %s", row.position, job.id, error
        )
        replace_connection()
        claims.give_back(row)
    except Exception as error:  # noqa: BLE001  the row is tried again, or the job is stopped
        postpone(job, row, error)


def _save_cloud_row(job: Job, row: JobRow, outcome: Outcome) -> None:
    """Store the outcome of a row. If the outcome cannot be stored, store that the row failed."""
    try:
        claims.save(row, outcome)
    except (LeaseLost, *DATABASE_FAILURES):
        raise
    except Exception as error:  # noqa: BLE001  every row gets an outcome
        claims.save(row, _outcome_of_error(job, error))
        _log_error(job, row, error)


def _attempt_cloud_row(job: Job, row: JobRow, vault: Vault) -> Outcome | None:
    """Process the row once. Return its outcome, or None if the row will be tried again later."""
    try:
        return _call_action(action_of(job), actor_of_job(job), job, row, vault)
    except CallsInProgress as error:
        if row.waits >= backoff.BUDGET_WAITS:
            return Outcome("refused", str(error))
        claims.retry_later(row, backoff.budget_pause(), str(error), called=False)
    except RETRIED_CLOUD_ERRORS as error:
        pause = backoff.cloud_pause(row.attempts, error)
        if pause is None:
            return Outcome("refused", f"{error} The registry tried {row.attempts} times.")
        claims.retry_later(row, pause, f"{error} The registry will try again.")
    except Exception as error:  # noqa: BLE001  every row gets an outcome
        if not is_temporary(error):
            _log_error(job, row, error)
            return _outcome_of_error(job, error)
        log.warning("row %d of job %d waits for the database: %s", row.position, job.id, error)
        replace_connection()
        pause = backoff.database_pause(row.attempts)
        if pause is None:
            return DATABASE_OUTCOME
        claims.retry_later(row, 0.0 if isinstance(error, RecordChanged) else pause)
    return None


LOST_OUTCOME = Outcome(
    "refused",
    f"The server ended unexpectedly {claims.MAX_LOST_LEASES} times while it processed this row, so "
    "the registry will not try again.",
)
UNEXPECTED_REASON = (
    "An unexpected error lasted for half an hour, so the registry stopped this job. The error was "
    "logged. Ask your administrator about it, and then start the action again."
)
"""The `stop_reason` of a job that is stopped after UNEXPECTED_SECONDS.

If the action of the job has a `failure_message`, this message is the `stop_reason` instead.
"""
DATABASE_OUTCOME = Outcome(
    "refused",
    "The database was too busy to save this change, even after several attempts. Try again.",
)


def _outcome_of_error(job: Job, error: Exception) -> Outcome:
    """Return the outcome of a row after an error that is not temporary."""
    if isinstance(error, Forbidden):
        message = "You no longer have permission to do this."
    elif isinstance(error, RecordGone):
        message = "A record that this change needs was deleted at the same moment. Try again."
    else:
        message = "Something went wrong. The error was logged. Try again."
    return _failure_outcome(action_of(job), Outcome("refused", message))


def _log_error(job: Job, row: JobRow, error: Exception) -> None:
    if not isinstance(error, Forbidden | RecordGone):
        log.error("job %d, row %d: unexpected error", job.id, row.position, exc_info=error)


def _failure_outcome(action: JobAction, outcome: Outcome) -> Outcome:
    """Return the outcome of a row that is not tried again. The action may replace the message."""
    return replace(outcome, message=action.failure_message or outcome.message)


def is_temporary(error: Exception) -> bool:
    """Return whether another attempt may succeed.

    Another attempt may succeed if somebody else changed a record, or if the database failed or was
    busy.
    """
    return isinstance(error, RecordChanged) or is_transient(error)


def replace_connection() -> None:
    """Replace this thread's connection, which may be broken, with a new connection.

    Do nothing within a transaction. If the database cannot be reached, the next statement fails.
    """
    if not database.is_closed() and not database.in_transaction():
        database.close()
        with suppress(*DATABASE_FAILURES):
            database.connect()


def _call_action(action: JobAction, actor: Actor, job: Job, row: JobRow, vault: Vault) -> Outcome:
    return action.process_row(actor, job.scope, job.arguments, row, vault)


# A turn sends this query before every row. Without `Prepared`, Peewee would take longer to build
# the query than the database takes to execute it.
_find_job_in_state = Prepared(
    lambda placeholder: Job.select(Job.id).where(Job.id == placeholder, Job.state == placeholder)
)
