"""Delete an account or environment as a job, so that others can write meanwhile."""

from __future__ import annotations

from models import Job, JobRow, Scope, transaction
from webapp.access import Actor
from webapp.credentials.vault import Vault
from webapp.jobs import runner, store
from webapp.jobs.actions import JobAction
from webapp.jobs.store import Outcome
from webapp.people import scopes

CHUNK_SIZE = 100
"""How many records one transaction deletes. It takes a few hundredths of a second."""


def delete_scope(
    actor: Actor,
    scope: Scope,
    vault: Vault,
    typed_name: str,
    based_on: int | None = None,
    expected: str | None = None,
) -> Job:
    """Delete a scope with everything in it, and return the job. A small scope is deleted at once.

    From now on, nobody can see or use the scope. Raises the same exceptions as
    `scopes.start_deletion`.
    """
    label, parent = scope.label, scope.parent
    with transaction():
        deleted = scopes.start_deletion(actor, scope, typed_name, based_on, expected)
        rows = [JobRow(subject=name, arguments={"scope": each.id}) for name, each in deleted]
        job = store.create_job(actor, parent, ACTION.key, {"name": label}, rows, started=True)
    runner.process_started(job, vault)
    return job


def _delete_chunk(
    _actor: Actor, _scope: Scope, _arguments: object, row: JobRow, _vault: Vault
) -> Outcome:
    count = scopes.delete_chunk(row.arguments["scope"], CHUNK_SIZE)
    total = row.arguments.get("deleted", 0) + count
    message = f"{total:,} record{'' if total == 1 else 's'} deleted."
    arguments = {**row.arguments, "deleted": total}
    return Outcome("" if count else "done", message, arguments=arguments)


ACTION = JobAction(
    key="scope-delete",
    title="Delete {name}",
    process_row=_delete_chunk,
    can_be_stopped=False,
    noun="scope",
)
JOB_ACTIONS = (ACTION,)
