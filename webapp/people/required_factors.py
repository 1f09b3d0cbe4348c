"""Require a second factor at a scope and the scopes below it, and find the affected people.

`effective_roles` has the conditions under which a role does not count.
"""

from __future__ import annotations

from models import Membership, Person, Role, Scope, load_scopes, transaction
from webapp import audit
from webapp.access import Actor, Right
from webapp.people import effective_roles, security_mails
from webapp.refusals import Refusal
from webapp.revisions.conflicts import lock
from webapp.values.lists import FirstRows, find

MAX_SHOWN = 5
"""The maximum number of people or scopes that a page names."""


class RequirementRefused(Refusal):
    """A rule forbids changing whether the scope requires a second factor."""


class OwnFactorMissing(RequirementRefused):
    """The person who wants to require a second factor has none."""

    def __init__(self) -> None:
        super().__init__("Only people with a second factor can require one. Set one up first.")


def required_above(scope: Scope) -> Scope | None:
    """Return the highest scope that is above `scope` and requires a second factor, or None."""
    requiring_scopes = [each for each in scope.lineage[1:] if each.requires_factor]
    return requiring_scopes[-1] if requiring_scopes else None


def set_required(actor: Actor, scope: Scope, *, required: bool) -> None:
    """Require a second factor at `scope` and the scopes below it, or stop requiring one.

    No revision is compared. The form names the new value, required or optional, and does not toggle
    the stored value. So an outdated form cannot reverse another change by mistake. Raises
    Forbidden, RequirementRefused and RecordDeleted.
    """
    actor.require(Right.MANAGE_MEMBERS, scope)
    require_may_set(actor, scope, required=required)
    with transaction():
        lock(scope)
        before = scope.requires_factor
        if before == required:
            return
        scope.requires_factor = required
        scope.save(only=[Scope.requires_factor])
        changes = {"second_factor_required": (before, required)}
        action = "member.require_factor"
        audit.record(actor, scope, action, scope.label, record=scope, changes=changes)
        for admin in _admins_at(scope):
            security_mails.factor_requirement_changed(actor, admin, scope, required=required)


def require_may_set(actor: Actor, scope: Scope, *, required: bool) -> None:
    """Raise RequirementRefused unless the actor may set the requirement to this value."""
    if requiring_scope := required_above(scope):
        raise RequirementRefused(
            f"{requiring_scope.label} requires a second factor for all scopes below it. An admin "
            f"of {requiring_scope.label} can change this."
        )
    if required and not actor.has_factor:
        raise OwnFactorMissing


def people_without_factor(scope: Scope) -> FirstRows[Person]:
    """Return the first people who have a role at `scope` or below it, but no second factor.

    If the scope requires a second factor, these roles don't count.
    """
    is_here_or_below = Membership.scope.in_(scope.subtree().select(Scope.id))
    members = Membership.select(Membership.person).where(is_here_or_below)
    lacks_factor = ~effective_roles.has_factor(Person.id) & Person.disabled_at.is_null()
    query = Person.select().where(Person.id.in_(members) & lacks_factor)
    return find(query.order_by(Person.name, Person.id), "", Person.name, size=MAX_SHOWN)


def lacks_factor(membership: Membership) -> bool:
    """Return whether a role does not count, because its person has no second factor."""
    condition = effective_roles.lacks_factor(Membership.person, Membership.scope)
    return bool(Membership.select().where((Membership.id == membership.id) & condition).exists())


def scopes_with_required_factor(person: Person) -> list[Scope]:
    """Return the scopes at which roles of the person need a second factor, ordered by path."""
    needs_factor = effective_roles.needs_factor(Membership.scope)
    own = Membership.select(Membership, Scope).join(Scope).where(Membership.person == person)
    memberships = list(own.where(needs_factor).order_by(Scope.path))
    load_scopes(memberships)
    return [membership.scope for membership in memberships]


def _admins_at(scope: Scope) -> list[Person]:
    """Return the admins of `scope` and the scopes above it. Leave out disabled user accounts."""
    applies = Membership.scope.in_([each.id for each in scope.lineage])
    admins = Membership.select(Membership.person).where(applies & (Membership.role == Role.ADMIN))
    query = Person.select().where(Person.id.in_(admins) & Person.disabled_at.is_null())
    return list(query.order_by(Person.id))
