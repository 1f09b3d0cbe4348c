"""The page of an invitation link, on which a person accepts the invitation."""

from __future__ import annotations

from flask import Response, g, url_for
from flask_login import current_user

from models import Invitation, Person, SessionKind
from webapp.forms.base import ActionForm, refuse
from webapp.forms.people import NewAccountForm
from webapp.people import accounts, members
from webapp.people.members import InvalidInvitation
from webapp.refusals import Refusal
from webapp.views.person_pages import pages, start_session
from webapp.web.rendering import redirect, render, scope_url, toast
from webapp.web.services import services


@pages.route("/invitation/<token>", methods=["GET", "POST"])
def invitation(token: str) -> Response:
    try:
        found = members.find_invitation(token)
    except InvalidInvitation:
        return render("people/invalid_invitation.html", status=404)
    if current_user.is_authenticated:
        return _accept_signed_in(token, found)
    if accounts.exists(found.email) or not services().settings.local_accounts:
        return _sign_in_first(token, found)
    return _accept_with_new_account(token, found)


def _sign_in_first(token: str, invitation: Invitation) -> Response:
    """Redirect to the sign-in page, which then returns to the invitation.

    Check first that the invitation is still open. A simultaneous request may have created
    an account and accepted the invitation.
    """
    try:
        members.find_invitation(token)
    except InvalidInvitation:
        return _already_used(invitation, person=None)
    return redirect(url_for("people.sign_in", next=url_for(".invitation", token=token)))


def _accept_signed_in(token: str, invitation: Invitation) -> Response:
    form = ActionForm()
    person = g.actor.person
    if form.validate_on_submit() and invitation.email == person.email:
        try:
            scope = members.accept_invitation(person, token)
        except InvalidInvitation:
            return _already_used(invitation, person)
        toast(f"You’re now a member of {scope.label}.", about=scope)
        return redirect(scope_url(scope))
    return render("people/invitation.html", invitation=invitation, form=form, person=person)


def _accept_with_new_account(token: str, invitation: Invitation) -> Response:
    form = NewAccountForm()
    if form.validate_on_submit():
        name, password = form.name.data, form.password.data
        try:
            person, scope = members.accept_with_new_account(token, name, password)
        except InvalidInvitation:
            return _already_used(invitation, person=None)
        except Refusal as error:
            refuse(form, error.message, error.field)
        else:
            start_session(person, SessionKind.INVITATION)
            toast(f"Welcome! You’re now a member of {scope.label}.", about=scope)
            return redirect(scope_url(scope))
    status = 422 if form.is_submitted() else 200
    return render("people/invitation.html", invitation=invitation, form=form, status=status)


def _already_used(invitation: Invitation, person: Person | None) -> Response:
    """Respond if an invitation can no longer be accepted, for example after a double click."""
    scope = invitation.scope
    if person is not None and members.is_member(person, scope):
        toast(f"You’re already a member of {scope.label}.", about=scope)
        return redirect(scope_url(scope))
    if person is None and accounts.exists(invitation.email):
        toast("This invitation can no longer be used. Sign in to see your scopes.", "warning")
        return redirect(url_for("people.sign_in"))
    return render("people/invalid_invitation.html", status=404)
