"""Find out who deleted or moved a record that a person still wants to change.

A scope learns only about records that it owned, so nothing is revealed about other scopes.
"""

from __future__ import annotations

from models import AuditEntry, Scope

_LAST_ACTIONS = frozenset(
    {"image.delete", "credentials.delete", "member.remove", "view.remove"}
    | {"account.delete", "environment.delete"}
)
_MOVES = frozenset({"image.promote"})
MOST_DELETED_SCOPES = 100
"""How many deleted scopes are compared with a path, newest first."""


def departure_from(scope: Scope, reference: str) -> AuditEntry | None:
    """Return the audit entry for the change that deleted a record of `scope` or moved it away.

    Return None if the scope has never owned the record, or still owns it. If the record was moved
    away, later changes of the record are ignored.
    """
    entries = list(
        AuditEntry.select().where(AuditEntry.record == reference).order_by(AuditEntry.id)
    )
    here = [number for number, entry in enumerate(entries) if entry.scope_id == scope.id]
    if not here:
        return None
    last, following = entries[here[-1]], entries[here[-1] + 1 :]
    if last.action in _LAST_ACTIONS:
        return last
    return following[0] if following and following[0].action in _MOVES else None


def deletion_of_child(parent: Scope, path: str) -> AuditEntry | None:
    """Return the audit entry for the deletion of the scope at `path`, or None.

    The scope was directly below `parent`.
    """
    deletions = (AuditEntry.scope == parent) & (AuditEntry.action == f"{parent.level.below}.delete")
    newest = AuditEntry.select().where(deletions).order_by(AuditEntry.id.desc())
    for entry in newest.limit(MOST_DELETED_SCOPES):
        if entry.changes.get("path", [None])[0] == path:
            found: AuditEntry = entry
            return found
    return None
