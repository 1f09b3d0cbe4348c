"""Find out who deleted or moved a record that a person still wants to change.

The functions return an audit entry only if it is about a record that the given scope owned, or
about a scope that was directly below the given scope. So people learn nothing about other scopes.
"""

from __future__ import annotations

from models import AuditEntry, Scope

_DELETIONS = frozenset(
    {"image.delete", "credentials.delete", "member.remove", "member.rule_delete", "view.remove"}
    | {"account.delete", "environment.delete"}
)
_MOVES = frozenset({"image.promote"})
MAX_DELETED_SCOPES = 100
"""The maximum number of deleted scopes among which `deletion_of_child` looks for a path.

The function begins with the scope that was deleted last.
"""


def departure_from(scope: Scope, reference: str) -> AuditEntry | None:
    """Return the audit entry for the change that deleted or moved a record of `scope`.

    Return None if the scope has never owned the record, or still owns it. Changes of the record
    after it was moved to another scope are ignored.
    """
    entries = list(
        AuditEntry.select().where(AuditEntry.record == reference).order_by(AuditEntry.id)
    )
    indexes = [index for index, entry in enumerate(entries) if entry.scope_id == scope.id]
    if not indexes:
        return None
    last, later_entries = entries[indexes[-1]], entries[indexes[-1] + 1 :]
    if last.action in _DELETIONS:
        return last
    return later_entries[0] if later_entries and later_entries[0].action in _MOVES else None


def deletion_of_child(parent: Scope, path: str) -> AuditEntry | None:
    """Return the audit entry for the deletion of the scope at `path` directly below `parent`.

    Return None if no such scope is among the last MAX_DELETED_SCOPES deleted scopes.
    """
    deletions = (AuditEntry.scope == parent) & (AuditEntry.action == f"{parent.level.below}.delete")
    newest = AuditEntry.select().where(deletions).order_by(AuditEntry.id.desc())
    for entry in newest.limit(MAX_DELETED_SCOPES):
        if entry.changes.get("path", [None])[0] == path:
            found: AuditEntry = entry
            return found
    return None
