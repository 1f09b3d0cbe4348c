"""The range of entries that the audit log of a scope contains, and the indexes of this range."""

from __future__ import annotations

from models import Level, Scope
from webapp.search.sql import ALWAYS, Sql


def entries_of(scope: Scope, *, indexed: bool = True) -> Sql:
    """Return the condition that an entry belongs to the audit log of a scope.

    If `indexed` is False, the database cannot use an index for this condition, so it finds the
    entries by another condition.

    Scalr's log contains all entries. An account's log also contains the entries of its environments
    and of its deleted environments.
    """
    if scope.level is Level.SCALR:
        return ALWAYS
    column = "account_id" if scope.level is Level.ACCOUNT else "scope_id"
    return Sql(f"{column if indexed else f'{column} + 0'} = {scope.id:d}")
