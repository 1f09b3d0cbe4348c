"""Members of a scope: who holds which role there, and one-time invitations to one."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from peewee import IntegrityError, SqliteDatabase

from models import Invitation, Membership, Person, Role, Scope, database, now, transaction
from webapp import audit
from webapp.access import Actor, Right
from webapp.people import accounts as people

INVITATION_DAYS = 7


class MemberError(Exception):
    """A refusal, worded for the person."""


class InvitationOver(Exception):
    """Used already, withdrawn, out of date, or never made: not told apart."""


def of_scope(scope: Scope) -> list[Membership]:
    """Those who hold a role at `scope` or above it, the nearest scope first."""
    rows = (
        Membership.select(Membership, Person)
        .join(Person)
        .where(Membership.scope.in_([each.id for each in scope.lineage]))
        .order_by(Person.name, Person.id)
    )
    by_id = {each.id: place for place, each in enumerate(scope.lineage)}
    return sorted(rows, key=lambda row: by_id[row.scope_id])


def admins_of(scope: Scope) -> list[Person]:
    """Whom to ask for something that only an admin may do, the nearest first."""
    return [row.person for row in of_scope(scope) if row.role is Role.ADMIN]


def invitations_to(scope: Scope) -> list[Invitation]:
    """Those that can still be used."""
    usable = (Invitation.scope == scope) & (Invitation.expires_at > now())
    return list(Invitation.select().where(usable).order_by(Invitation.email))


def invite(actor: Actor, scope: Scope, email: str, role: Role) -> str:
    """The token of a one-time link; it cannot be shown again. Another invitation of the same
    address to the same scope is replaced. Raises Forbidden and MemberError."""
    actor.require(Right.MANAGE_MEMBERS, scope)
    email = email.strip().lower()
    here = (Membership.scope == scope) & (Person.email == email)
    if Membership.select().join(Person).where(here).exists():
        raise MemberError(f"{email} is a member of {scope.label} already. Change the role below.")
    token = secrets.token_urlsafe(32)
    with transaction():
        Invitation.delete().where(
            (Invitation.scope == scope) & (Invitation.email == email)
        ).execute()
        Invitation.create(
            scope=scope,
            email=email,
            role=role,
            token_digest=_digest(token),
            invited_by=actor.person,
            expires_at=now() + timedelta(days=INVITATION_DAYS),
        )
        audit.record(actor, scope, "member.invite", email, changes={"role": (None, role)})
    return token


def withdraw(actor: Actor, scope: Scope, invitation_id: int) -> None:
    """Raises Forbidden and MemberError."""
    actor.require(Right.MANAGE_MEMBERS, scope)
    with transaction():
        invitation = Invitation.get_or_none(id=invitation_id, scope=scope)
        if invitation is None:
            raise MemberError("That invitation was used or withdrawn in the meantime.")
        invitation.delete_instance()
        audit.record(actor, scope, "member.withdraw", invitation.email)


def invitation_for(token: str) -> Invitation:
    """Raises InvitationOver."""
    usable = (Invitation.token_digest == _digest(token)) & (Invitation.expires_at > now())
    invitation = Invitation.select(Invitation, Scope).join(Scope).where(usable).first()
    if invitation is None:
        raise InvitationOver
    return invitation


def accept_as(person: Person, token: str) -> Scope:
    """Give `person` the role of an invitation to their address. The stronger role stays where
    they hold one already. Raises InvitationOver."""
    with transaction():
        invitation = invitation_for(token)
        if invitation.email != person.email:
            raise InvitationOver
        return _use(invitation, person)


def accept_as_newcomer(token: str, name: str, password: str) -> tuple[Person, Scope]:
    """Make the person whom an invitation names, with its role. Raises InvitationOver,
    PasswordRefused, and MemberError where they have an account and should sign in."""
    try:
        with transaction():
            invitation = invitation_for(token)
            person = people.create(invitation.email, name, password)
            return person, _use(invitation, person)
    except IntegrityError as error:
        raise MemberError("You have an account already. Sign in to accept.") from error


def change_role(actor: Actor, scope: Scope, membership_id: int, role: Role) -> Membership:
    """Raises Forbidden and MemberError."""
    actor.require(Right.MANAGE_MEMBERS, scope)
    with transaction():
        membership = _membership(scope, membership_id)
        if membership.role is Role.ADMIN and role is not Role.ADMIN:
            _keep_an_admin(membership)
        before, membership.role = membership.role, role
        membership.save(only=[Membership.role])
        if before is not role:
            changes = {"role": (before, role)}
            audit.record(actor, scope, "member.edit", membership.person.name, changes=changes)
    return membership


def remove(actor: Actor, scope: Scope, membership_id: int) -> Membership:
    """Raises Forbidden and MemberError."""
    actor.require(Right.MANAGE_MEMBERS, scope)
    with transaction():
        membership = _membership(scope, membership_id)
        if membership.role is Role.ADMIN:
            _keep_an_admin(membership)
        membership.delete_instance()
        changes = {"role": (membership.role, None)}
        audit.record(actor, scope, "member.remove", membership.person.name, changes=changes)
    return membership


def _membership(scope: Scope, membership_id: int) -> Membership:
    membership: Membership | None = Membership.get_or_none(id=membership_id, scope=scope)
    if membership is None:
        raise MemberError("That person is no member of this scope any more.")
    return membership


def _keep_an_admin(membership: Membership) -> None:
    """Scalr must keep one: nobody above could appoint another. The lock on the rows keeps two
    admins from removing each other at the same moment."""
    scope = membership.scope
    if scope.parent_id is not None:
        return
    admins = Membership.select().where(
        (Membership.scope == scope) & (Membership.role == Role.ADMIN)
    )
    if not isinstance(database.obj, SqliteDatabase):
        admins = admins.for_update()
    if len(list(admins)) == 1:
        raise MemberError("This is the last admin of Scalr. Make somebody else one first.")


def _use(invitation: Invitation, person: Person) -> Scope:
    held = Membership.get_or_none(person=person, scope=invitation.scope)
    before = held.role if held else None
    if held is None:
        Membership.create(person=person, scope=invitation.scope, role=invitation.role)
    elif held.role.rank < invitation.role.rank:
        held.role = invitation.role
        held.save(only=[Membership.role])
    # Who deletes the row has the invitation: of two requests at once, one.
    if invitation.delete_instance() != 1:
        raise InvitationOver
    changes = {"role": (before, invitation.role)}
    audit.record(Actor(person), invitation.scope, "member.join", person.name, changes=changes)
    return invitation.scope


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
