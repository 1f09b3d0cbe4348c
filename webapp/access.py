"""Who may do what at a scope. Pure: knows roles and scopes, asks no database and no request.

A role is held at a scope and holds at every scope below it. A scope at which a person holds no
role, of their own or from above, does not exist for them.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from models import Person, Role, Scope


class Right(enum.StrEnum):
    """Something one may be allowed to do at a scope: `thing:action`."""

    VIEW_IMAGES = "images:view"
    EDIT_IMAGES = "images:edit"
    """Register, edit, share, promote, delete, check again."""
    LIST_CREDENTIALS = "credentials:list"
    """See the names of credentials, to register with them."""
    MANAGE_CREDENTIALS = "credentials:manage"
    MANAGE_MEMBERS = "members:manage"
    MANAGE_SCOPES = "scopes:manage"
    """Create, rename and delete the scopes directly below."""
    VIEW_AUDIT = "audit:view"


_VIEWER = frozenset({Right.VIEW_IMAGES})
_EDITOR = _VIEWER | {Right.EDIT_IMAGES, Right.LIST_CREDENTIALS}
RIGHTS: Mapping[Role, frozenset[Right]] = {
    Role.VIEWER: _VIEWER,
    Role.EDITOR: _EDITOR,
    Role.ADMIN: frozenset(Right),
}


class Forbidden(Exception):
    """The person sees the scope and lacks the right."""

    def __init__(self, right: Right, scope: Scope) -> None:
        super().__init__(f"{right} at {scope.label}")
        self.right = right
        self.scope = scope


@dataclass(frozen=True)
class Actor:
    """A signed-in person with the roles they hold, by scope id."""

    person: Person
    roles: Mapping[int, Role] = field(default_factory=dict)

    def role_at(self, scope: Scope) -> Role | None:
        """The strongest role held at `scope` or above it; None: the scope is not to be seen."""
        held = [self.roles[each.id] for each in scope.lineage if each.id in self.roles]
        return max(held, key=lambda role: role.rank, default=None)

    def may(self, right: Right, scope: Scope) -> bool:
        role = self.role_at(scope)
        return role is not None and right in RIGHTS[role]

    def require(self, right: Right, scope: Scope) -> None:
        """Raises Forbidden."""
        if not self.may(right, scope):
            raise Forbidden(right, scope)
