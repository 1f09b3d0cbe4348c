"""The rights that each role gives a person at a scope. This module must not know requests or SQL.

A role applies at the scope where it was granted and at every scope below. If a person has no role
at a scope or at a scope above it, they cannot see the scope. A role that needs a second factor
gives no right to a person without a second factor.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from models import ApiToken, Person, Role, Scope


class Right(enum.StrEnum):
    """A permission for one kind of action at a scope. The values have the form `thing:action`."""

    VIEW_IMAGES = "images:view"
    EDIT_IMAGES = "images:edit"
    """Register, import, edit, check, share, promote, delete and restore images.

    Also share saved views.
    """
    LIST_CREDENTIALS = "credentials:list"
    """See the list of credentials, without their secrets."""
    MANAGE_CREDENTIALS = "credentials:manage"
    MANAGE_MEMBERS = "members:manage"
    MANAGE_SCOPES = "scopes:manage"
    """Create, rename and delete the scopes directly below."""
    MANAGE_TOKENS = "tokens:manage"
    """Create, rotate and revoke the tokens of the scope, and manage its rules for pipelines."""
    VIEW_AUDIT = "audit:view"
    STOP_JOBS = "jobs:stop"
    """See and stop the running jobs of other people at the scope."""


_VIEWER = frozenset({Right.VIEW_IMAGES})
_EDITOR = _VIEWER | {Right.EDIT_IMAGES, Right.LIST_CREDENTIALS}
RIGHTS: Mapping[Role, frozenset[Right]] = {
    Role.VIEWER: _VIEWER,
    Role.EDITOR: _EDITOR,
    Role.ADMIN: frozenset(Right),
}


def weakest_role_with(right: Right) -> Role:
    """Return the weakest role that has `right`."""
    return min((role for role in Role if right in RIGHTS[role]), key=lambda role: role.rank)


class Forbidden(Exception):
    """The person lacks the right at the scope."""

    def __init__(self, right: Right, scope: Scope) -> None:
        super().__init__(f"{right} at {scope.label}")
        self.right = right
        self.scope = scope


@dataclass(frozen=True)
class Actor:
    """A person who acts, or for whom a job or an API token acts.

    `job_id` is the ID of the job, or None. `token` is the API token of the request, or of the
    request that started the job, or None. For a token of a scope, `person` is the service person of
    the scope.

    `roles` are the granted roles that count, by scope ID. With a token, `roles` contain only the
    role with which the token acts at its scope.

    `roles_without_factor` are granted roles that do not count and are not in `roles`, because they
    need a second factor that the person does not have. `has_factor` says whether the person has a
    second factor. See `webapp.people.effective_roles`.
    """

    person: Person
    roles: Mapping[int, Role] = field(default_factory=dict)
    job_id: int | None = None
    token: ApiToken | None = None
    roles_without_factor: Mapping[int, Role] = field(default_factory=dict)
    has_factor: bool = False

    def role_at(self, scope: Scope) -> Role | None:
        """Return the strongest role that the person holds at `scope` or above it, or None."""
        return _strongest(self.roles, scope)

    def lacks_factor(self, scope: Scope, right: Right | None = None) -> bool:
        """Return whether a second factor would give the person `right` at `scope`.

        Pass only a right that the person lacks now. If `right` is None, return whether the person
        has no role at `scope`, but would have one with a second factor.
        """
        role = _strongest(self.roles_without_factor, scope)
        if role is None:
            return False
        return self.role_at(scope) is None if right is None else right in RIGHTS[role]

    def may(self, right: Right, scope: Scope) -> bool:
        """Return whether the person has `right` at `scope`."""
        role = self.role_at(scope)
        return role is not None and right in RIGHTS[role]

    def require(self, right: Right, scope: Scope) -> None:
        """Raise Forbidden unless the person has `right` at `scope`."""
        if not self.may(right, scope):
            raise Forbidden(right, scope)


def _strongest(roles: Mapping[int, Role], scope: Scope) -> Role | None:
    """Return the strongest of the roles that were granted at `scope` or above it, or None."""
    found = [roles[ancestor.id] for ancestor in scope.lineage if ancestor.id in roles]
    return max(found, key=lambda role: role.rank, default=None)
