"""The pages that add, rename and remove the passkeys of a person."""

from __future__ import annotations

from flask import Response, g
from flask_login import login_required

from webapp.factors import passkeys
from webapp.factors.passkeys import PasskeyRefused
from webapp.forms.base import ActionForm, refuse
from webapp.forms.people import NewPasskeyForm, PasskeyNameForm
from webapp.views.factors import (
    finish_set_up,
    return_to,
    scopes_lost_with,
    to_security_page,
)
from webapp.views.person_pages import pages, uses_password
from webapp.views.step_up import needs_proof
from webapp.web.passkeys import (
    ADD,
    begin_challenge,
    current_site,
    json_response,
    obstacle,
    read_answer,
    session_owner,
)
from webapp.web.rendering import render, toast


@pages.post("/security/passkeys/challenge")
@login_required
@needs_proof
def passkey_challenge() -> Response:
    """Return the options with which the browser creates a passkey."""
    site = current_site()
    challenge = begin_challenge(ADD, session_owner())
    return json_response(passkeys.creation_options(g.actor, site, challenge))


@pages.route("/security/passkeys/new", methods=["GET", "POST"])
@login_required
@needs_proof
def add_passkey() -> Response:
    if problem := obstacle():
        toast(problem, "warning")
        return to_security_page()
    form = NewPasskeyForm()
    if form.validate_on_submit():
        try:
            answer = read_answer(ADD, session_owner(), form.passkey.data)
            codes = passkeys.add(g.actor, form.name.data, answer)
        except PasskeyRefused as error:
            refuse(form, error.message, error.field)
        else:
            toast(f"Passkey added. {_use_of_passkeys()}")
            return finish_set_up(codes)
    status = 422 if form.is_submitted() else 200
    return render(
        "people/add_passkey.html",
        form=form,
        return_to=return_to(),
        has_password=uses_password(g.actor.person),
        status=status,
    )


def _use_of_passkeys() -> str:
    """Return a sentence that says how a new passkey changes the sign-in."""
    if uses_password(g.actor.person):
        return "You can now sign in with it."
    return "It is now a second factor when you sign in at your identity provider."


@pages.route("/security/passkeys/<int:passkey_id>/rename", methods=["GET", "POST"])
@login_required
def rename_passkey(passkey_id: int) -> Response:
    try:
        passkey = passkeys.find_own(g.actor, passkey_id)
        form = PasskeyNameForm(obj=passkey)
        if form.validate_on_submit():
            passkeys.rename(g.actor, passkey_id, form.name.data)
            toast("Passkey renamed.")
            return to_security_page()
    except PasskeyRefused as error:
        toast(error.message, "danger")
        return to_security_page()
    status = 422 if form.is_submitted() else 200
    return render("people/rename_passkey.html", form=form, passkey=passkey, status=status)


@pages.route("/security/passkeys/<int:passkey_id>/remove", methods=["GET", "POST"])
@login_required
@needs_proof
def remove_passkey(passkey_id: int) -> Response:
    form = ActionForm()
    try:
        passkey = passkeys.find_own(g.actor, passkey_id)
        if form.validate_on_submit():
            passkeys.remove(g.actor, passkey_id)
            toast("Passkey removed. Also delete it on your device.")
            return to_security_page()
    except PasskeyRefused as error:
        toast(error.message, "danger")
        return to_security_page()
    return render(
        "people/remove_passkey.html",
        form=form,
        passkey=passkey,
        has_password=uses_password(g.actor.person),
        lost_scopes=scopes_lost_with(passkey),
    )
