"""Delete an account, an environment or credentials as a job, so that others can write meanwhile."""

from __future__ import annotations

from dataclasses import replace

from models import CloudCredentials, Job, JobRow, Scope, transaction
from webapp.access import Actor
from webapp.credentials import cloud_credentials
from webapp.credentials.vault import Vault
from webapp.images import deletion
from webapp.jobs import runner, store
from webapp.jobs.actions import JobAction
from webapp.jobs.store import Outcome
from webapp.people import scopes

CHUNK_SIZE = 100
"""The records that one transaction deletes. It takes a few hundredths of a second."""


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


def delete_credentials(
    actor: Actor, row: CloudCredentials, vault: Vault, based_on: int | None = None
) -> Job:
    """Delete credentials, and return the job. It is usually done, unless many images used them.

    From now on, nobody can see or use the credentials. Raises the same exceptions as
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
    deleted = Scope.get_or_none(Scope.id == row.arguments["scope"])
    if deleted is not None and deletion.clear_successors_at(actor, deleted, CHUNK_SIZE):
        return Outcome("", row.message)
    count = scopes.delete_chunk(row.arguments["scope"], CHUNK_SIZE)
    total = row.arguments.get("deleted", 0) + count
    message = f"{total:,} record{'' if total == 1 else 's'} deleted or changed."
    arguments = {**row.arguments, "deleted": total}
    return Outcome("" if count else "done", message, arguments=arguments)


ACTION = JobAction(
    key="scope-delete",
    title="Delete {name}",
    process_row=_delete_chunk,
    can_be_stopped=False,
    noun="scope",
)
CREDENTIALS_ACTION = replace(ACTION, key="credentials-delete", noun="credential")
JOB_ACTIONS = (ACTION, CREDENTIALS_ACTION)
