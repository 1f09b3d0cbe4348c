"""Delete an account, an environment or credentials as a job, in many short transactions.

A scope is hidden from everybody as soon as its deletion begins. Credentials are first moved to a
hidden scope of their own, which is then deleted. If the job fails, the remaining records stay
hidden, and periodic work retries the deletion until it succeeds.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace

from models import DATABASE_FAILURES, CloudCredentials, Job, JobRow, Scope, transaction
from webapp.access import Actor
from webapp.credentials import cloud_credentials
from webapp.credentials.vault import Vault
from webapp.images import deletion
from webapp.jobs import pauses, runner, store
from webapp.jobs.actions import JobAction
from webapp.jobs.store import Outcome
from webapp.people import scopes

log = logging.getLogger(__name__)

CHUNK_SIZE = 100
"""The maximum number of records that one transaction deletes or changes.

With this size, a transaction takes a few hundredths of a second, so other writers do not wait long.
"""


def delete_scope(
    actor: Actor,
    scope: Scope,
    vault: Vault,
    typed_name: str,
    based_on: int | None = None,
    expected: str | None = None,
) -> Job:
    """Delete a scope with everything in it, and return the job.

    The job of a small scope is usually done when this function returns. After this call, nobody can
    see or use the scope. `scopes.start_deletion` explains the other arguments and the exceptions.
    """
    label, parent = scope.label, scope.parent
    with transaction():
        deleted = scopes.start_deletion(actor, scope, typed_name, based_on, expected)
        rows = [JobRow(subject=name, arguments={"scope": each.id}) for name, each in deleted]
        job = store.create_job(actor, parent, ACTION.key, {"name": label}, rows, started=True)
    runner.process_started(job, vault)
    return job


def delete_credentials(
    actor: Actor, row: CloudCredentials, vault: Vault, based_on: int | None = None
) -> Job:
    """Delete credentials, and return the job.

    The job is usually done when this function returns, unless many images used the credentials.
    After this call, nobody can see or use the credentials. Raises the same exceptions as
    `cloud_credentials.start_deletion`.
    """
    scope = row.scope
    with transaction():
        hidden = cloud_credentials.start_deletion(actor, row, based_on)
        rows = [JobRow(subject=row.name, arguments={"scope": hidden.id})]
        arguments = {"name": f"credentials “{row.name}”"}
        key = CREDENTIALS_ACTION.key
        job = store.create_job(actor, scope, key, arguments, rows, started=True)
    runner.process_started(job, vault)
    return job


def _delete_chunk(
    actor: Actor, _scope: Scope, _arguments: object, row: JobRow, _vault: Vault
) -> Outcome:
    if _clear_successors(actor, row.arguments["scope"]):
        return Outcome("", row.message)
    count = scopes.delete_chunk(row.arguments["scope"], CHUNK_SIZE)
    total = row.arguments.get("deleted", 0) + count
    message = f"{total:,} record{'' if total == 1 else 's'} deleted or changed."
    arguments = {**row.arguments, "deleted": total}
    return Outcome("" if count else "done", message, arguments=arguments)


def _clear_successors(actor: Actor | None, scope_id: int) -> bool:
    """Clear the successor of some images that are outside the scope but have a successor in it.

    Return whether there were such images.
    """
    deleted = Scope.get_or_none(Scope.id == scope_id)
    return deleted is not None and deletion.clear_successors_at(actor, deleted, CHUNK_SIZE) > 0


_failed_scopes: set[int] = set()
"""The IDs of the scopes whose deletion has failed since the current run of periodic work began."""


def complete_chunk() -> bool:
    """Delete some records of a scope whose deletion has failed. Return whether more may remain.

    An unexpected error is logged, and the scope is skipped until the periodic work is due again.
    Raises DATABASE_FAILURES.
    """
    for scope_id in _abandoned_scopes():
        if scope_id in _failed_scopes:
            continue
        started = time.monotonic()
        try:
            with transaction():
                if not _clear_successors(None, scope_id):
                    scopes.delete_chunk(scope_id, CHUNK_SIZE)
        except DATABASE_FAILURES:
            raise
        except Exception:
            log.exception("cannot delete the records of the hidden scope %d", scope_id)
            _failed_scopes.add(scope_id)
        pauses.let_others_write(started)
        return True
    _failed_scopes.clear()
    return False


def _abandoned_scopes() -> list[int]:
    """Return the IDs of the hidden scopes that no running job deletes."""
    hidden = [row.id for row in Scope.select(Scope.id).where(Scope.deleted_at.is_null(False))]
    if not hidden:
        return []
    # Read the job rows only now. The transaction that hides a scope also stores the job row that
    # deletes the scope. So each scope in `hidden` has a row in a running job, unless the job has
    # ended.
    is_deletion = Job.action.in_([action.key for action in JOB_ACTIONS])
    rows = (
        JobRow.select(JobRow.arguments)
        .join(Job)
        .where((Job.state == "running") & is_deletion & (JobRow.outcome == ""))
    )
    in_progress = {row.arguments["scope"] for row in rows}
    return [scope_id for scope_id in hidden if scope_id not in in_progress]


ACTION = JobAction(
    key="scope-delete",
    title="Delete {name}",
    process_row=_delete_chunk,
    can_be_stopped=False,
    noun="scope",
    failure_message="The deletion didn’t finish. Nobody can see the remaining records, and the "
    "registry tries to delete them again within 10 minutes.",
    has_long_rows=True,
)
CREDENTIALS_ACTION = replace(ACTION, key="credentials-delete", noun="credential")
JOB_ACTIONS = (ACTION, CREDENTIALS_ACTION)
