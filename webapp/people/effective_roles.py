"""Build the query conditions that decide which roles of a person count.

A scope can require a second factor. Then a role that was granted at this scope, or at a scope below
it, gives no rights to a person without a second factor. Roles that were granted above this scope
still count. Otherwise, an admin of one environment could take away rights that people have by their
roles at the Scalr scope.

The conditions are parts of the queries that load roles, so no page needs an additional query.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from peewee import SQL, fn

from models import Authenticator, Identity, Passkey, Person, Scope
from webapp.access import Actor

_RoleScope: Any = Scope.alias()
_RequiringScope: Any = Scope.alias()


def has_own_factor(person: Any) -> Any:
    """Return the condition that a person has an authenticator app or a passkey.

    `person` is the column with the ID of the person.
    """
    return _exists(Authenticator, Authenticator.person == person) | _exists(
        Passkey, Passkey.person == person
    )


def has_factor(person: Any) -> Any:
    """Return the condition that a person has a second factor.

    The factor can be in the registry or at an identity provider. A factor at a provider counts if
    the person used the factor when they last signed in there. Use this condition only if the person
    acts without a session. A session itself stores whether the factor was used.
    """
    has_used = _exists(Identity, (Identity.person == person) & Identity.used_factor)
    return has_own_factor(person) | has_used


def needs_factor(scope: Any) -> Any:
    """Return the condition that a role at a scope needs a second factor.

    `scope` is the column with the ID of the scope at which the role was granted.
    """
    applies = (
        (_RequiringScope.id == _RoleScope.id)
        | (_RequiringScope.id == _RoleScope.parent)
        | _RequiringScope.parent.is_null()
    )
    return fn.EXISTS(
        _RoleScope.select(SQL("1"))
        .join(_RequiringScope, on=_RequiringScope.requires_factor & applies)
        .where(_RoleScope.id == scope)
    )


def lacks_factor(person: Any, scope: Any) -> Any:
    """Return the condition that a role does not count for a person who acts without a session.

    `has_own_factor` describes the column `person`, and `needs_factor` the column `scope`.
    """
    return ~has_factor(person) & needs_factor(scope)


def actor_with(person: Person, rows: Iterable[Any], *, has_factor: bool) -> Actor:
    """Return the actor whose granted roles are in `rows`.

    Each row has the attributes `scope_id` and `role` of a membership, and `lacks_factor`, which is
    true if the role does not count.
    """
    rows = list(rows)
    return Actor(
        person,
        {row.scope_id: row.role for row in rows if not row.lacks_factor},
        roles_without_factor={row.scope_id: row.role for row in rows if row.lacks_factor},
        has_factor=has_factor,
    )


def _exists(table: Any, condition: Any) -> Any:
    return fn.EXISTS(table.select(SQL("1")).where(condition))
