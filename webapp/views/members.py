"""The Members page: roles at this scope, and invitations."""

from __future__ import annotations

from collections.abc import Callable

from flask import Response, g, url_for

from models import Membership, Role, Scope
from webapp.access import Actor, Right
from webapp.factors import proofs
from webapp.forms.base import ActionForm, ConfirmForm, refuse
from webapp.forms.people import FactorRuleForm, InviteForm, RoleForm
from webapp.mail import outbox
from webapp.people import members, required_factors
from webapp.people.members import MemberError
from webapp.people.required_factors import OwnFactorMissing, RequirementRefused
from webapp.revisions.conflicts import EditConflict
from webapp.single_sign_on import identities
from webapp.views.arguments import search_text
from webapp.views.conflicts import ConflictPage, Row
from webapp.views.missing import abort_missing
from webapp.views.scope_pages import needs, pages
from webapp.views.step_up import needs_proof
from webapp.web.rendering import absolute_url, redirect, render, toast


@pages.get("/members")
@needs(Right.MANAGE_MEMBERS)
def member_list() -> Response:
    return _members_page(InviteForm())


@pages.post("/members")
@needs(Right.MANAGE_MEMBERS)
@needs_proof
def invite() -> Response:
    """Create an invitation. If the application sends no mail, only this response shows the link."""
    form = InviteForm()
    if form.validate_on_submit():
        try:
            token = members.invite(g.actor, g.scope, form.email.data, Role(form.role.data))
        except MemberError as error:
            refuse(form, error.message, error.field)
        else:
            if not token:
                toast(f"We’ll send the invitation to {form.email.data} by mail.")
                return redirect(url_for(".member_list"))
            link = absolute_url("people.invitation", token=token)
            return _members_page(
                InviteForm(formdata=None), invitation_link=link, invited_email=form.email.data
            )
    return _members_page(form, status=422)


@pages.post("/members/<int:membership_id>")
@needs(Right.MANAGE_MEMBERS)
@needs_proof
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
            ) or _role_changed(members.find_membership(g.scope, membership_id))
        form = RoleForm()
        if form.validate_on_submit():
            role, revision = Role(form.role.data), form.revision.data
            changed = members.change_role(g.actor, g.scope, membership_id, role, revision)
            return _role_changed(changed)
    except EditConflict as conflict:
        return conflict_page.show(conflict)
    except MemberError as error:
        toast(error.message, "danger")
    return redirect(back)


ROLE_ROWS = (Row("Role", ["role"], lambda values: values["role"].capitalize()),)
"""The rows of the conflict page of a membership (`webapp.views.conflicts`)."""


def _role_changed(membership: Membership) -> Response:
    role = _ROLES_WITH_ARTICLE[membership.role]
    toast(f"{membership.person.name} is now {role} of {g.scope.label}.")
    return redirect(url_for(".member_list"))


@pages.route("/members/<int:membership_id>/remove", methods=["GET", "POST"])
@needs(Right.MANAGE_MEMBERS)
@needs_proof
def remove_member(membership_id: int) -> Response:
    member, conflict = _membership_or_404(membership_id), None
    form = ConfirmForm.for_revision(member.revision)
    if form.validate_on_submit():
        try:
            removed = members.remove(g.actor, g.scope, membership_id, form.revision.data)
        except EditConflict as error:
            conflict, form.revision.data = error, error.revision
        except MemberError as error:
            toast(error.message, "danger")
            return redirect(url_for(".member_list"))
        else:
            toast(f"{removed.person.name} removed from {g.scope.label}.")
            return redirect(url_for(".member_list"))
    status = 409 if conflict else 200
    return render(
        "people/remove_member.html", member=member, form=form, conflict=conflict, status=status
    )


@pages.route("/members/<int:membership_id>/sign-out", methods=["GET", "POST"])
@needs(Right.MANAGE_MEMBERS)
@needs_proof
def sign_out_member(membership_id: int) -> Response:
    return _confirmed_change(
        membership_id,
        "people/sign_out_member.html",
        members.require_may_sign_out,
        members.sign_out,
        "{name} is signed out everywhere.",
    )


@pages.route("/members/<int:membership_id>/remove-factors", methods=["GET", "POST"])
@needs(Right.MANAGE_MEMBERS)
@needs_proof
def remove_factors_of_member(membership_id: int) -> Response:
    return _confirmed_change(
        membership_id,
        "people/remove_factors.html",
        proofs.require_may_remove_factors,
        proofs.remove_factors_of_member,
        "The second factors and recovery codes of {name} were removed.",
    )


def _confirmed_change(
    membership_id: int,
    template: str,
    require_may: Callable[[Actor, Scope, Membership], None],
    change: Callable[[Actor, Scope, int], object],
    message: str,
) -> Response:
    """Ask for confirmation or, after the person has confirmed, make a change to a member.

    `require_may` raises MemberError if the actor may not make the change. `message` is the text of
    the toast afterwards, with `{name}` for the name of the member.
    """
    member, form = _membership_or_404(membership_id), ActionForm()
    try:
        if not form.validate_on_submit():
            require_may(g.actor, g.scope, member)
            lost_scopes: list[Scope] = []
            if not identities.identities_with_factor(member.person):
                lost_scopes = required_factors.scopes_with_required_factor(member.person)
            return render(template, member=member, form=form, lost_scopes=lost_scopes)
        change(g.actor, g.scope, membership_id)
    except MemberError as error:
        toast(error.message, "danger")
    else:
        toast(message.format(name=member.person.name))
    return redirect(url_for(".member_list"))


@pages.route("/members/second-factor", methods=["GET", "POST"])
@needs(Right.MANAGE_MEMBERS)
@needs_proof
def second_factor_rule() -> Response:
    """Ask for confirmation, then require a second factor at this scope, or stop requiring one."""
    form = FactorRuleForm(data={"rule": "optional" if g.scope.requires_factor else "required"})
    required, status = form.rule.data == "required", 422 if form.is_submitted() else 200
    try:
        if form.validate_on_submit():
            required_factors.set_required(g.actor, g.scope, required=required)
            toast(_RULE_MESSAGES[required].format(scope=g.scope.label))
            return redirect(url_for(".member_list"))
        required_factors.require_may_set(g.actor, g.scope, required=required)
    except OwnFactorMissing as error:
        return render("people/own_factor_missing.html", message=error.message, status=status)
    except RequirementRefused as error:
        toast(error.message, "danger")
        return redirect(url_for(".member_list"))
    return render(
        "people/second_factor_rule.html",
        form=form,
        required=required,
        people_without_factor=required_factors.people_without_factor(g.scope),
        status=status,
    )


_RULE_MESSAGES = {
    True: "{scope} now requires a second factor.",
    False: "{scope} no longer requires a second factor.",
}


@pages.post("/invitations/<int:invitation_id>/withdraw")
@needs(Right.MANAGE_MEMBERS)
@needs_proof
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


_ROLES_WITH_ARTICLE = {Role.VIEWER: "a viewer", Role.EDITOR: "an editor", Role.ADMIN: "an admin"}


def _members_page(
    form: InviteForm, status: int = 200, invitation_link: str = "", invited_email: str = ""
) -> Response:
    text = search_text()
    found = members.members_at(g.scope, text)
    invitations = members.open_invitations(g.scope, text)
    return render(
        "people/members.html",
        label="Members",
        status=status,
        form=form,
        mail_problems=outbox.problems() if g.scope.parent_id is None else [],
        invitation_link=invitation_link,
        invited_email=invited_email,
        text=text,
        members=found,
        may_sign_out=members.who_may_be_signed_out(
            g.actor, g.scope, [each.person for each in found.rows]
        ),
        required_above=required_factors.required_above(g.scope),
        invitations=invitations,
        valid_invitations=members.valid_invitation_ids(g.scope, invitations.rows),
        may_remove_factors=_others_with_factors([each.person_id for each in found.rows]),
        roles=list(Role),
    )


def _others_with_factors(ids: list[int]) -> set[int]:
    """Return which of these people have second factors that the actor may remove."""
    scalr = g.scope.lineage[-1]
    if not g.actor.may(Right.MANAGE_MEMBERS, scalr):
        return set()
    return proofs.people_with_factors(ids) - {g.actor.person.id}
