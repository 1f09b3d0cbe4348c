"""The Members page: roles at this scope, and invitations."""

from __future__ import annotations

from flask import Response, g, url_for

from models import Membership, Role
from webapp.access import Right
from webapp.forms.base import ActionForm, ConfirmForm, refuse
from webapp.forms.people import InviteForm, RoleForm
from webapp.people import members
from webapp.people.members import MemberError
from webapp.revisions.conflicts import EditConflict
from webapp.views.arguments import search_text
from webapp.views.conflicts import ConflictPage, Row
from webapp.views.missing import abort_missing
from webapp.views.scope_pages import needs, pages
from webapp.web.rendering import redirect, render, toast


@pages.get("/members")
@needs(Right.MANAGE_MEMBERS)
def member_list() -> Response:
    return _members_page(InviteForm())


@pages.post("/members")
@needs(Right.MANAGE_MEMBERS)
def invite() -> Response:
    """Create an invitation. Only the response to this request shows the link."""
    form = InviteForm()
    if form.validate_on_submit():
        try:
            token = members.invite(g.actor, g.scope, form.email.data, Role(form.role.data))
        except MemberError as error:
            refuse(form, error.message, error.field)
        else:
            link = url_for("people.invitation", token=token, _external=True)
            return _members_page(
                InviteForm(formdata=None), invitation_link=link, invited_email=form.email.data
            )
    return _members_page(form, status=422)


@pages.post("/members/<int:membership_id>")
@needs(Right.MANAGE_MEMBERS)
def change_member(membership_id: int) -> Response:
    back = url_for(".member_list")
    try:
        membership = _membership_or_404(membership_id)
        conflict_page = ConflictPage(membership, membership.person.name, ROLE_ROWS, back)
        if conflict_page.is_answered:
            return conflict_page.save_answer(
                lambda values, revision: members.change_role(
                    g.actor, g.scope, membership_id, Role(values["role"]), revision
                )
            ) or _confirm_role_change(members.find_membership(g.scope, membership_id))
        form = RoleForm()
        if form.validate_on_submit():
            role, revision = Role(form.role.data), form.revision.data
            changed = members.change_role(g.actor, g.scope, membership_id, role, revision)
            return _confirm_role_change(changed)
    except EditConflict as conflict:
        return conflict_page.show(conflict)
    except MemberError as error:
        toast(error.message, "danger")
    return redirect(back)


ROLE_ROWS = (Row("Role", ["role"], lambda values: values["role"].capitalize()),)


def _confirm_role_change(membership: Membership) -> Response:
    toast(f"{membership.person.name} is now {_WITH_ARTICLE[membership.role]} of {g.scope.label}.")
    return redirect(url_for(".member_list"))


@pages.post("/members/<int:membership_id>/remove")
@needs(Right.MANAGE_MEMBERS)
def remove_member(membership_id: int) -> Response:
    form = ConfirmForm()
    _membership_or_404(membership_id)
    if form.validate_on_submit():
        try:
            removed = members.remove(g.actor, g.scope, membership_id, form.revision.data)
        except EditConflict as conflict:
            message = conflict.message_for(g.actor.person)
            toast(f"{message} Check the role, then remove the person again.", "danger")
        except MemberError as error:
            toast(error.message, "danger")
        else:
            toast(f"{removed.person.name} removed from {g.scope.label}.")
    return redirect(url_for(".member_list"))


@pages.post("/members/<int:membership_id>/sign-out")
@needs(Right.MANAGE_MEMBERS)
def sign_out_member(membership_id: int) -> Response:
    _membership_or_404(membership_id)
    if ActionForm().validate_on_submit():
        try:
            membership = members.sign_out(g.actor, g.scope, membership_id)
        except MemberError as error:
            toast(error.message, "danger")
        else:
            toast(f"{membership.person.name} is signed out everywhere.")
    return redirect(url_for(".member_list"))


@pages.post("/invitations/<int:invitation_id>/withdraw")
@needs(Right.MANAGE_MEMBERS)
def withdraw_invitation(invitation_id: int) -> Response:
    if ActionForm().validate_on_submit():
        try:
            withdrawn = members.withdraw_invitation(g.actor, g.scope, invitation_id)
        except MemberError as error:
            toast(error.message, "danger")
        else:
            toast(f"Invitation for {withdrawn.email} withdrawn. Its link no longer works.")
    return redirect(url_for(".member_list"))


def _membership_or_404(membership_id: int) -> Membership:
    try:
        return members.find_membership(g.scope, membership_id)
    except MemberError:
        abort_missing(Membership(id=membership_id).reference, form=RoleForm)


_WITH_ARTICLE = {Role.VIEWER: "a viewer", Role.EDITOR: "an editor", Role.ADMIN: "an admin"}


def _members_page(
    form: InviteForm, status: int = 200, invitation_link: str = "", invited_email: str = ""
) -> Response:
    text = search_text()
    found = members.members_at(g.scope, text)
    return render(
        "people/members.html",
        label="Members",
        status=status,
        form=form,
        invitation_link=invitation_link,
        invited_email=invited_email,
        text=text,
        members=found,
        may_sign_out=members.people_below(g.actor, g.scope, [each.person for each in found.rows]),
        invitations=members.open_invitations(g.scope, text),
        roles=list(Role),
    )
