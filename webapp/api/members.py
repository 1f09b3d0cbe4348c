"""Members of a scope, and invitations."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from flask import g
from msgspec import Meta, Struct

from models import Invitation as InvitationRecord
from models import Membership, Role
from webapp.access import Right
from webapp.api.image_documents import ScopeReference
from webapp.api.operations import Answer, operation
from webapp.api.problems import ApiProblem
from webapp.api.urls import page_url
from webapp.people import members, required_factors
from webapp.people.members import MemberError
from webapp.values.emails import parse_email

TAG = "Members"
RoleName = Literal["viewer", "editor", "admin"]


class Member(Struct):
    """The role of a person at a scope."""

    id: int
    name: str
    email: str
    role: str
    scope: Annotated[ScopeReference, Meta(description="The scope that the person is a member of.")]
    lacks_second_factor: Annotated[
        bool,
        Meta(
            description="True if the role does not count, because the scope or a scope above it "
            "requires a second factor and the person has none."
        ),
    ]
    created_at: datetime


class MemberList(Struct):
    """The first members of a scope and of the scopes above, and the total number of members."""

    items: list[Member]
    total: int


class PeopleQuery(Struct, forbid_unknown_fields=True):
    """The parameters of a list of people."""

    q: Annotated[str, Meta(description="A part of the name or e-mail address.")] = ""


class RoleChange(Struct, forbid_unknown_fields=True):
    """The new role of a member."""

    role: RoleName


class SecondFactorRule(Struct):
    """Whether roles at a scope and below need a second factor."""

    required: Annotated[
        bool, Meta(description="True if the scope, or a scope above it, requires a second factor.")
    ]
    required_by: Annotated[
        ScopeReference | None,
        Meta(description="The highest scope that requires the second factor, or null."),
    ]


class SecondFactorChange(Struct, forbid_unknown_fields=True):
    """Whether roles at the scope and below need a second factor."""

    required: bool


class Invitation(Struct):
    """An invitation that nobody has accepted yet."""

    id: int
    email: str
    role: str
    invited_by: str | None
    created_at: datetime
    expires_at: datetime


class InvitationList(Struct):
    """The first invitations to a scope, and the total number of invitations."""

    items: list[Invitation]
    total: int


class InvitationRequest(Struct, forbid_unknown_fields=True):
    """The person to invite."""

    email: str
    role: RoleName


class NewInvitation(Struct):
    """The link of a new invitation, which is shown only once."""

    link: Annotated[str | None, Meta(description="Null if the registry sends the link by mail.")]


@operation("GET /members", tag=TAG, right=Right.MANAGE_MEMBERS)
def list_members(query: PeopleQuery) -> Answer[MemberList]:
    """List the members of a scope and of the scopes above it, at most 100."""
    found = members.members_at(g.scope, query.q)
    rows: list[Any] = found.rows
    items = [_document(each, lacks_factor=bool(each.lacks_factor)) for each in rows]
    return Answer(MemberList(items, found.total))


@operation("PUT /members/<int:member_id>", tag=TAG, right=Right.MANAGE_MEMBERS)
def change_role(member_id: int, body: RoleChange) -> Answer[Member]:
    """Change the role of a member of the scope."""
    _require_member(member_id)
    membership = members.change_role(g.actor, g.scope, member_id, Role(body.role))
    return Answer(_document(membership, lacks_factor=required_factors.lacks_factor(membership)))


@operation("DELETE /members/<int:member_id>", tag=TAG, right=Right.MANAGE_MEMBERS, statuses=(204,))
def remove_member(member_id: int) -> Answer[None]:
    """Remove a member from the scope."""
    _require_member(member_id)
    members.remove(g.actor, g.scope, member_id)
    return Answer(None, 204)


@operation(
    "POST /members/<int:member_id>/sign-out",
    tag=TAG,
    right=Right.MANAGE_MEMBERS,
    statuses=(204,),
)
def sign_out_member(member_id: int) -> Answer[None]:
    """End all browser sessions of a member. The member's tokens keep working."""
    _require_member(member_id)
    members.sign_out(g.actor, g.scope, member_id)
    return Answer(None, 204)


@operation("GET /second-factor", tag=TAG, right=Right.MANAGE_MEMBERS)
def show_second_factor_rule() -> Answer[SecondFactorRule]:
    """Show whether roles at the scope and below need a second factor."""
    return Answer(_second_factor_rule())


@operation("PUT /second-factor", tag=TAG, right=Right.MANAGE_MEMBERS)
def set_second_factor_rule(body: SecondFactorChange) -> Answer[SecondFactorRule]:
    """Require a second factor for roles at the scope and below, or stop requiring it.

    A request with a personal token can require a second factor only if the owner of the token has
    one. If a scope above requires a second factor, the request is refused, because only admins of
    that scope can change this.
    """
    required_factors.set_required(g.actor, g.scope, required=body.required)
    return Answer(_second_factor_rule())


@operation("GET /invitations", tag=TAG, right=Right.MANAGE_MEMBERS)
def list_invitations(query: PeopleQuery) -> Answer[InvitationList]:
    """List the open invitations to a scope, at most 100."""
    found = members.open_invitations(g.scope, query.q)
    return Answer(InvitationList([_invitation(each) for each in found.rows], found.total))


@operation(
    "POST /invitations",
    tag=TAG,
    right=Right.MANAGE_MEMBERS,
    statuses=(201,),
    has_location=False,
)
def invite(body: InvitationRequest) -> Answer[NewInvitation]:
    """Invite a person to the scope.

    The new invitation replaces an earlier invitation to this scope for the same e-mail address.
    """
    email = parse_email(body.email)
    token = members.invite(g.actor, g.scope, email, Role(body.role))
    return Answer(NewInvitation(page_url(f"/invitation/{token}") if token else None), 201)


@operation(
    "DELETE /invitations/<int:invitation_id>",
    tag=TAG,
    right=Right.MANAGE_MEMBERS,
    statuses=(204,),
)
def withdraw_invitation(invitation_id: int) -> Answer[None]:
    """Withdraw an invitation. Its link stops working immediately."""
    try:
        members.withdraw_invitation(g.actor, g.scope, invitation_id)
    except MemberError as error:
        raise ApiProblem("not-found", error.message) from error
    return Answer(None, 204)


def _require_member(member_id: int) -> None:
    """Raise ApiProblem (404) unless the person is a member of the scope itself."""
    try:
        members.find_membership(g.scope, member_id)
    except MemberError as error:
        raise ApiProblem("not-found", error.message) from error


def _document(membership: Membership, *, lacks_factor: bool) -> Member:
    scope = next(each for each in g.scope.lineage if each.id == membership.scope_id)
    return Member(
        id=membership.id,
        name=membership.person.name,
        email=membership.person.email,
        role=membership.role.value,
        scope=ScopeReference(scope.level.value, scope.path),
        lacks_second_factor=lacks_factor,
        created_at=membership.created_at,
    )


def _second_factor_rule() -> SecondFactorRule:
    own = g.scope if g.scope.requires_factor else None
    scope = required_factors.required_above(g.scope) or own
    reference = ScopeReference(scope.level.value, scope.path) if scope else None
    return SecondFactorRule(scope is not None, reference)


def _invitation(row: InvitationRecord) -> Invitation:
    return Invitation(
        id=row.id,
        email=row.email,
        role=row.role.value,
        invited_by=row.invited_by.name if row.invited_by else None,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
