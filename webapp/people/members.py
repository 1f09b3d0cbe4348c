"""Members of a scope: their roles, and one-time invitations."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from peewee import JOIN, Case, IntegrityError

from models import (
    ApiToken,
    Invitation,
    Membership,
    OutgoingMail,
    Person,
    Role,
    Scope,
    is_sqlite,
    load_scopes,
    now,
    transaction,
)
from webapp import audit
from webapp.access import Actor, Right
from webapp.mail import outbox
from webapp.mail.outbox import Kind
from webapp.people import accounts, effective_roles, personal_tokens, security_mails
from webapp.refusals import Refusal
from webapp.revisions.conflicts import (
    RecordDeleted,
    lock,
    require_no_conflict,
    require_unchanged,
)
from webapp.values.lists import FirstRows, find

INVITATION_DAYS = 7
NOT_A_MEMBER = "This person is no longer a member of this scope."
NOT_INVITED = "This invitation has already been accepted, replaced or withdrawn."


class MemberError(Refusal):
    """A rule forbids this change of a membership or an invitation."""


class InvalidInvitation(Refusal):
    """The invitation cannot be used.

    The invitation was used or withdrawn, has expired, or never existed, or the person who made the
    invitation may no longer invite anybody to its scope. The message does not say which.
    """

    def __init__(self) -> None:
        super().__init__(
            "This invitation has been used or withdrawn, or has expired, or the person who made it "
            "can no longer invite people. Ask an admin for a new one."
        )


def members_at(scope: Scope, text: str = "") -> FirstRows[Membership]:
    """Return the first memberships at `scope` and above it.

    They are ordered from the nearest scope to the highest, then by name. If `text` is not empty,
    return only memberships of people whose name or e-mail address contains `text`. The attribute
    `lacks_factor` is true if the role does not count, because the person has no second factor.
    """
    found = find(_members_at(scope), text, Person.name, Person.email)
    load_scopes(found.rows)
    return found


def _members_at(scope: Scope) -> Any:
    lacks_factor = effective_roles.lacks_factor(Membership.person, Membership.scope)
    distance = Case(Membership.scope, [(each.id, n) for n, each in enumerate(scope.lineage)])
    return (
        Membership.select(Membership, Person, lacks_factor.alias("lacks_factor"))
        .join(Person)
        .where(Membership.scope.in_([each.id for each in scope.lineage]))
        .order_by(distance, Person.name, Person.id)
    )


def admins_known_to(actor: Actor, scope: Scope, size: int = 5) -> list[Person]:
    """Return the first people whom the actor can ask for help at `scope`, nearest scope first.

    These are the admins at `scope` and above it, except the actor. Admins of a scope at which the
    actor has no role are left out, because only people with a role at a scope may know its members.
    """
    scope_ids = [each.id for each in scope.lineage if actor.role_at(each) is not None]
    is_other = (Membership.person != actor.person) & Person.disabled_at.is_null()
    is_known_admin = Membership.scope.in_(scope_ids) & (Membership.role == Role.ADMIN) & is_other
    return [row.person for row in _members_at(scope).where(is_known_admin).limit(size)]


def open_invitations(scope: Scope, text: str = "") -> FirstRows[Invitation]:
    """Return the first invitations to `scope` that have not expired, with their inviters.

    An invitation works only if `valid_invitation_ids` returns its ID. The invitations are ordered
    by e-mail address. If `text` is not empty, return only invitations whose e-mail address contains
    `text`. The attribute `mail` is the mail of the invitation, or None if no mail waits to be sent.
    """
    usable = (Invitation.scope == scope) & (Invitation.expires_at > now())
    query = (
        Invitation.select(Invitation, Person, OutgoingMail)
        .join(Person, JOIN.LEFT_OUTER)
        .join_from(Invitation, OutgoingMail, JOIN.LEFT_OUTER, attr="mail")
        .where(usable)
        .order_by(Invitation.email)
    )
    return find(query, text, Invitation.email)


def invite(actor: Actor, scope: Scope, email: str, role: Role) -> str:
    """Create an invitation and return its token, which cannot be shown again.

    If this installation sends mails, return '' instead: only the mail contains a usable token. So
    only a person who reads the mails to this address can accept the invitation. The invitation
    replaces an earlier invitation for the same e-mail address and scope. Raises Forbidden and
    MemberError.
    """
    actor.require(Right.MANAGE_MEMBERS, scope)
    email = accounts.normalized_email(email)
    is_member = (Membership.scope == scope) & (Person.email == email)
    if Membership.select().join(Person).where(is_member).exists():
        raise MemberError(
            f"{email} is already a member of {scope.label}. You can change their role instead.",
            "email",
        )
    token, is_mailed = secrets.token_urlsafe(32), outbox.is_enabled()
    try:
        with transaction():
            earlier_invitation = Invitation.get_or_none(scope=scope, email=email)
            before = (
                earlier_invitation.role
                if earlier_invitation and earlier_invitation.expires_at > now()
                else None
            )
            Invitation.delete().where(
                (Invitation.scope == scope) & (Invitation.email == email)
            ).execute()
            invitation = Invitation.create(
                scope=scope,
                email=email,
                role=role,
                token_digest=_digest(token),
                invited_by=actor.person,
                expires_at=now() + timedelta(days=INVITATION_DAYS),
                mailed=is_mailed,
            )
            outbox.post(
                Kind.INVITATION,
                email,
                invitation=invitation,
                lifetime=timedelta(days=INVITATION_DAYS),
                inviter=actor.person.contact,
                scope=scope.label,
                role=role,
            )
            # The audit log leaves out values that have not changed. So if the earlier invitation
            # had the same role, record the role as a new value.
            changes = {"role": (before if before is not role else None, role)}
            audit.record(actor, scope, "member.invite", email, changes=changes)
    except IntegrityError as error:
        raise MemberError(
            f"{email} has just been invited by another request. To replace that invitation, "
            "invite them again.",
            "email",
        ) from error
    return "" if is_mailed else token


def prepare_mail(mail: OutgoingMail, token: str) -> bool:
    """Store the digest of `token` in the invitation of a mail. Return whether to send the mail.

    The mail is not needed if the invitation was withdrawn, was accepted or has expired.
    """
    usable = (Invitation.id == mail.invitation_id) & (Invitation.expires_at > now())
    return bool(Invitation.update(token_digest=_digest(token)).where(usable).execute())


def withdraw_invitation(actor: Actor, scope: Scope, invitation_id: int) -> Invitation:
    """Delete an invitation and return it. Raises Forbidden and MemberError."""
    actor.require(Right.MANAGE_MEMBERS, scope)
    with transaction():
        invitation: Invitation | None = Invitation.get_or_none(id=invitation_id, scope=scope)
        if invitation is None:
            raise MemberError(NOT_INVITED)
        # Somebody may accept or replace the invitation at the same moment.
        if invitation.delete_instance() != 1:
            raise MemberError(NOT_INVITED)
        audit.record(actor, scope, "member.withdraw", invitation.email)
    return invitation


def find_invitation(token: str) -> Invitation:
    """Return the invitation with this token, and load its scope. Raises InvalidInvitation."""
    usable = (Invitation.token_digest == _digest(token)) & (Invitation.expires_at > now())
    invitation: Invitation | None = (
        Invitation.select(Invitation, Scope).join(Scope).where(usable).first()
    )
    if invitation is None or not valid_invitation_ids(invitation.scope, [invitation]):
        raise InvalidInvitation
    return invitation


def valid_invitation_ids(scope: Scope, invitations: Iterable[Invitation]) -> set[int]:
    """Return the IDs of those `invitations` whose inviters may still invite people to `scope`.

    This takes two queries for any number of invitations.
    """
    inviters = {each.id: each.invited_by_id for each in invitations}
    inviter_ids, scope_ids = list(inviters.values()), [each.id for each in scope.lineage]
    is_admin = (Membership.role == Role.ADMIN) & Membership.scope.in_(scope_ids)
    is_inviter = Membership.person.in_(inviter_ids) & Person.disabled_at.is_null()
    is_inviter &= ~effective_roles.lacks_factor(Membership.person, Membership.scope)
    admins = Membership.select(Membership.person).join(Person).where(is_admin & is_inviter)
    is_valid = (ApiToken.role == Role.ADMIN) & ~ApiToken.is_personal & (ApiToken.expires_at > now())
    is_valid &= ApiToken.scope.in_(scope_ids) & ApiToken.person.in_(inviter_ids)
    tokens = ApiToken.select(ApiToken.person).where(is_valid)
    may_invite = {row.person_id for row in (*admins, *tokens)}
    return {invitation_id for invitation_id, inviter in inviters.items() if inviter in may_invite}


def _lock_invitation(token: str) -> Invitation:
    """Return the invitation with this token, and lock it until the current transaction ends.

    Raises InvalidInvitation.
    """
    invitation = find_invitation(token)
    if not is_sqlite():
        # On SQLite, the transaction has locked the whole database.
        query = Invitation.select().where(Invitation.id == invitation.id)
        if query.for_update().get_or_none() is None:
            raise InvalidInvitation
    return invitation


def accept_invitation(person: Person, token: str) -> Scope:
    """Accept an invitation for a person who has an account, and return the invitation's scope.

    The person gets the role of the invitation, unless they already hold a stronger role at the
    scope. Raises InvalidInvitation, for example if the invitation is for another e-mail address.
    """
    with transaction():
        invitation = _lock_invitation(token)
        if invitation.email != person.email:
            raise InvalidInvitation
        return _join(person, invitation)


def accept_with_new_account(token: str, name: str, password: str) -> tuple[Person, Scope]:
    """Accept an invitation with a new account. Return the new person and the invitation's scope.

    The account gets the e-mail address and the role of the invitation. Raises InvalidInvitation,
    PasswordRefused, HashingBusy, InvalidText for the name, and MemberError if the e-mail address
    already has an account.
    """
    person = accounts.new_account(find_invitation(token).email, name, password)
    try:
        with transaction():
            invitation = _lock_invitation(token)
            person.save(force_insert=True)
            return person, _join(person, invitation)
    except IntegrityError as error:
        raise MemberError("You already have an account. Sign in to accept.") from error


def change_role(
    actor: Actor, scope: Scope, membership_id: int, role: Role, based_on: int | None = None
) -> Membership:
    """Change the role of a member of `scope` and return the membership.

    `based_on` is the revision that the actor saw. If it is None, no conflict is detected. Raises
    Forbidden, MemberError and EditConflict.
    """
    actor.require(Right.MANAGE_MEMBERS, scope)
    with transaction():
        membership = _lock_membership(scope, membership_id)
        before = membership.role
        if based_on is not None:
            require_no_conflict(membership, based_on, {"role": before}, {"role": role})
        if before is Role.ADMIN and role is not Role.ADMIN and scope.parent_id is None:
            require_another_admin(membership.person)
        if before is not role:
            membership.role = role
            membership.save(only=[Membership.role])
            _record_change(actor, membership, "member.edit", before, role)
    return membership


def remove(
    actor: Actor, scope: Scope, membership_id: int, based_on: int | None = None
) -> Membership:
    """Delete a membership at `scope` and return it.

    `based_on` is the revision that the actor saw. If it is None, no conflict is detected. Raises
    Forbidden, MemberError and EditConflict.
    """
    actor.require(Right.MANAGE_MEMBERS, scope)
    with transaction():
        membership = _lock_membership(scope, membership_id)
        if based_on is not None:
            require_unchanged(membership, based_on)
        if membership.role is Role.ADMIN and scope.parent_id is None:
            require_another_admin(membership.person)
        membership.delete_instance()
        _record_change(actor, membership, "member.remove", membership.role, None)
        personal_tokens.revoke_without_role(actor, membership.person)
    return membership


def remove_everywhere(actor: Actor, person: Person) -> None:
    """Delete all memberships of a person. Call this in a transaction."""
    memberships = list(Membership.select().where(Membership.person == person))
    load_scopes(memberships)
    for membership in memberships:
        membership.delete_instance()
        _record_change(actor, membership, "member.remove", membership.role, None)


def lock_scope(scope: Scope) -> None:
    """Lock a scope until the current transaction ends.

    On SQLite, the transaction has already locked the database.
    """
    if not is_sqlite():
        Scope.select(Scope.id).where(Scope.id == scope.id).for_update().get()


def require_another_admin(person: Person) -> None:
    """Raise MemberError unless another admin of the Scalr scope has an enabled user account.

    This is the highest scope, so nobody above it could appoint another admin. An admin counts even
    if the settings prevent them from signing in, for example because passwords are not allowed: the
    operator can change the settings. Call this after `lock_scope(scalr)`.
    """
    is_admin = (Scope.path == "") & (Membership.role == Role.ADMIN)
    is_other = (Membership.person != person) & Person.disabled_at.is_null()
    admins = Membership.select().join(Scope).switch(Membership).join(Person)
    if not admins.where(is_admin & is_other).exists():
        raise MemberError(
            f"{person.name} is the last admin of the Scalr scope. Make another person an admin "
            "first."
        )


def who_may_be_signed_out(actor: Actor, scope: Scope, people: Iterable[Person]) -> set[int]:
    """Return the IDs of those `people` whom the actor may sign out at `scope`.

    The limit is the highest scope, among `scope` and the scopes above it, at which the actor
    manages members. The actor may sign out a person only if every role of the person is at this
    limit or below it. So an admin of an account cannot sign out a person who also has a role at the
    Scalr scope or in another account. The actor is left out. This takes at most one query for any
    number of people.
    """
    managed_scopes = [each for each in scope.lineage if actor.may(Right.MANAGE_MEMBERS, each)]
    ids = {person.id for person in people} - {actor.person.id}
    if not managed_scopes or managed_scopes[-1].path == "":
        return ids if managed_scopes else set()
    top = managed_scopes[-1].path
    is_below = (Scope.path == top) | Scope.path.startswith(f"{top}/")
    roles_elsewhere = Membership.select(Membership.person).join(Scope).where(~is_below)
    return ids - {role.person_id for role in roles_elsewhere.where(Membership.person.in_(ids))}


def sign_out(actor: Actor, scope: Scope, membership_id: int) -> Membership:
    """End all sessions of a member of `scope`, and return the membership.

    Raises Forbidden and MemberError.
    """
    actor.require(Right.MANAGE_MEMBERS, scope)
    with transaction():
        membership = find_membership(scope, membership_id)
        person = membership.person
        require_may_sign_out(actor, scope, membership)
        accounts.end_sessions(person)
        security_mails.sessions_ended(actor, person)
        audit.record(actor, scope, "member.sign_out", person.label, record=membership)
    return membership


def require_may_sign_out(actor: Actor, scope: Scope, membership: Membership) -> None:
    """Raise MemberError unless the actor may end the sessions of a member of `scope`."""
    person = membership.person
    if person == actor.person:
        raise MemberError("To sign yourself out, use the Sessions page.")
    if not who_may_be_signed_out(actor, scope, [person]):
        raise MemberError(
            f"{person.name} also has a role at a scope that you don’t manage. "
            "Ask an admin of the Scalr scope."
        )


def find_membership(scope: Scope, membership_id: int) -> Membership:
    """Return a membership at `scope`. Raises MemberError if it no longer exists."""
    membership: Membership | None = Membership.get_or_none(id=membership_id, scope=scope)
    if membership is None:
        raise MemberError(NOT_A_MEMBER)
    return membership


def is_member(person: Person, scope: Scope) -> bool:
    """Return whether the person holds a role that was granted at `scope` itself."""
    granted = (Membership.person == person) & (Membership.scope == scope)
    return bool(Membership.select().where(granted).exists())


def _lock_membership(scope: Scope, membership_id: int) -> Membership:
    """Return a membership at `scope`, and lock it until the current transaction ends.

    The scope is locked first. So if the last two admins of the Scalr scope remove each other at the
    same moment, the second request waits for the first, and then finds that only one admin is left.
    Raises MemberError.
    """
    lock_scope(scope)
    membership = find_membership(scope, membership_id)
    try:
        lock(membership)
    except RecordDeleted as error:
        raise MemberError(NOT_A_MEMBER) from error
    return membership


def _record_change(
    actor: Actor, membership: Membership, action: str, before: Role, after: Role | None
) -> None:
    audit.record(
        actor,
        membership.scope,
        action,
        membership.person.label,
        record=membership,
        changes={"role": (before, after)},
    )
    if membership.scope.parent_id is None:
        security_mails.role_changed(actor, membership.person, before, after)


def _join(person: Person, invitation: Invitation) -> Scope:
    """Give the person the role of the invitation, delete the invitation, and return its scope.

    If the person already holds a stronger role, that role stays. Raises InvalidInvitation if
    another request has already deleted the invitation.
    """
    if invitation.mailed:
        accounts.verify_email(person)
    membership = Membership.get_or_none(person=person, scope=invitation.scope)
    before = membership.role if membership else None
    if membership is None:
        membership = Membership.create(person=person, scope=invitation.scope, role=invitation.role)
    elif membership.role.rank < invitation.role.rank:
        membership.role = invitation.role
        membership.save(only=[Membership.role])
    # If two requests accept the invitation at the same moment, only one of them deletes the row.
    if invitation.delete_instance() != 1:
        raise InvalidInvitation
    audit.record(
        Actor(person),
        invitation.scope,
        "member.join",
        invitation.email,
        record=membership,
        changes={"role": (before, membership.role)},
    )
    return invitation.scope


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
