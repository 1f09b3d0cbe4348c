"""The audit log: who changed what, when, from what to what. `record` is called inside the
transaction of the change, so that neither exists without the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models import AuditEntry, Image, Scope
from webapp.access import Actor

Changes = Mapping[str, tuple[Any, Any]]
SECRET = "(secret)"  # noqa: S105  stands for one, is none
"""Stands for a secret's value: that it changed is told, what it is never."""

ACTIONS = {
    "image.register": "registered",
    "image.edit": "edited",
    "image.promote": "promoted",
    "image.check": "read from the cloud again",
    "image.delete": "deleted the image",
    "image.undelete": "restored the deleted image",
    "image.deprecate": "deprecated",
    "image.retire": "retired",
    "image.restore": "made active again",
    "view.share": "shared the view",
    "view.edit": "changed the shared view",
    "view.unshare": "stopped sharing the view",
    "view.remove": "deleted the shared view",
    "credentials.add": "added the credentials",
    "credentials.edit": "edited the credentials",
    "credentials.delete": "deleted the credentials",
    "member.invite": "invited",
    "member.withdraw": "withdrew the invitation of",
    "member.join": "accepted the invitation as",
    "member.edit": "changed the role of",
    "member.remove": "removed the member",
    "account.create": "created the account",
    "account.rename": "renamed the account",
    "account.delete": "deleted the account",
    "environment.create": "created the environment",
    "environment.rename": "renamed the environment",
    "environment.delete": "deleted the environment",
    "person.password": "changed the password of",
}
"""What can happen, `noun.verb`, in words that stand between who did it and to what."""


def record(
    actor: Actor,
    scope: Scope | None,
    action: str,
    subject: str,
    *,
    changes: Changes | None = None,
    image: Image | None = None,
) -> None:
    """Write one entry. `action` is of ACTIONS; `scope` is None for what belongs to no scope."""
    if action not in ACTIONS:
        raise ValueError(action)
    AuditEntry.create(
        scope=scope,
        scope_label=scope.label if scope else "",
        person=actor.person,
        person_name=actor.person.name,
        action=action,
        subject=subject[:255],
        image_id=image.id if image else None,
        changes={name: list(values) for name, values in (changes or {}).items()},
    )


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The fields of `after` that differ from `before`, as (from, to)."""
    return {
        name: (before.get(name), value)
        for name, value in after.items()
        if before.get(name) != value
    }


def of_image(image: Image) -> list[AuditEntry]:
    """Everything that happened to one image, newest first."""
    newest = AuditEntry.at.desc(), AuditEntry.id.desc()
    return list(AuditEntry.select().where(AuditEntry.image_id == image.id).order_by(*newest))


def of_scope(scope: Scope, *, page: int, page_size: int) -> tuple[list[AuditEntry], bool]:
    """One page of what happened at `scope` and below, newest first, and whether more follows.
    Scalr also keeps what happened at scopes that exist no more."""
    query = AuditEntry.select().order_by(AuditEntry.at.desc(), AuditEntry.id.desc())
    if scope.parent_id is not None:
        below = [each.id for each in scope.subtree()]
        query = query.where(AuditEntry.scope.in_(below))
    rows = list(query.limit(page_size + 1).offset((page - 1) * page_size))
    return rows[:page_size], len(rows) > page_size
