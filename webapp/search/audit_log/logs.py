"""The condition for the entries that the audit log of a scope contains."""

from __future__ import annotations

from models import Level, Scope
from webapp.search.sql import ALWAYS, Sql


def entries_of(scope: Scope, *, indexed: bool = True) -> Sql:
    """Return the condition that an entry belongs to the audit log of a scope.

    If `indexed` is False, the condition is written so that the database cannot use an index for it.
    Pass False if another condition of the query selects few entries, so that the database uses the
    index of the other condition.

    The log of the Scalr scope contains all entries. The log of an account also contains the entries
    of its environments, including deleted environments.
    """
    if scope.level is Level.SCALR:
        return ALWAYS
    column = "account_id" if scope.level is Level.ACCOUNT else "scope_id"
    return Sql(f"{column if indexed else f'{column} + 0'} = {scope.id:d}")
