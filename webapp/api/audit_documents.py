"""Entries of the audit log as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

from webapp.audit import ACTIONS, Changes
from webapp.audit.log import Entry


class Change(Struct):
    """A changed value.

    `field` is the name of a field, such as `os_version`, or the label of a detail from the cloud,
    such as `Hyper-V generation`.
    """

    field: str
    before: Any
    after: Any


class AuditEntry(Struct):
    """An entry of the audit log."""

    id: int
    at: datetime
    action: str
    action_text: Annotated[str, Meta(description="The action as pages show it.")]
    subject: Annotated[
        str, Meta(description="The name that the record had when the action happened.")
    ]
    record: Annotated[
        str, Meta(description="The kind and the ID of the record, such as `image:12`, or ''.")
    ]
    person: str
    person_email: str
    token: Annotated[str, Meta(description="The name of the token that was used, or ''.")]
    scope: Annotated[str, Meta(description="The name that the scope had when the action happened.")]
    job: int | None
    changes: list[Change]
    is_shortened: Annotated[bool, Meta(description="Whether long values were cut.")]


def change_documents(changes: Changes) -> list[Change]:
    """Return changes as JSON."""
    return [Change(name, before, after) for name, (before, after) in changes.items()]


def entry_document(entry: Entry) -> AuditEntry:
    """Return an entry as JSON."""
    return AuditEntry(
        id=entry.id,
        at=entry.at,
        action=entry.action,
        action_text=ACTIONS[entry.action],
        subject=entry.subject,
        record=entry.record,
        person=entry.person_name,
        person_email=entry.person_email,
        token=entry.token_name,
        scope=entry.scope_label,
        job=entry.job_id,
        changes=change_documents(entry.changes),
        is_shortened=entry.is_shortened,
    )
