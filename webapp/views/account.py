"""The signed-in person's own settings: password and theme."""

from __future__ import annotations

from flask import Response, g, request, url_for
from flask_login import current_user, login_required

from models import Person, SessionKind
from webapp.forms.base import refuse
from webapp.forms.people import PasswordForm, ThemeForm
from webapp.people import accounts, sessions
from webapp.people.accounts import HashingBusy, PasswordRefused
from webapp.people.attempts import TooManyAttempts
from webapp.views.person_pages import (
    local_url,
    pages,
    retry_later,
    start_session,
    uses_password,
)
from webapp.views.step_up import needs_proof_if_factor
from webapp.web.rendering import redirect, redirect_whole_page, render, toast
from webapp.web.services import services
from webapp.web.session_cookies import device_id


@pages.route("/password", methods=["GET", "POST"])
@login_required
@needs_proof_if_factor
def password() -> Response:
    if not uses_password(g.actor.person):
        toast("You have no password, because you sign in at an identity provider.", "warning")
        return redirect(url_for("people.security"))
    form, retry_reason = PasswordForm(), None
    if form.validate_on_submit():
        try:
            sessions.require_current_password(
                g.actor,
                form.current_password.data,
                request.remote_addr or "",
                services().attempts,
                device_id(g.actor.person.email),
            )
            accounts.change_password(g.actor, form.password.data)
        except (TooManyAttempts, HashingBusy) as error:
            refuse(form, error.message)
            retry_reason = error
        except PasswordRefused as error:
            refuse(form, error.message, error.field)
        else:
            old_session = current_user.session.record
            start_session(
                g.actor.person,
                SessionKind.PASSWORD,
                old_session.provider,
                used_factor=old_session.used_factor,
            )
            toast("Password changed. You’ve been signed out everywhere else.")
            return redirect(url_for("people.home"))
    status = 422 if form.is_submitted() else 200
    response = render("people/password.html", form=form, status=status)
    return retry_later(response, retry_reason) if retry_reason else response


@pages.post("/theme")
@login_required
def theme() -> Response:
    form = ThemeForm()
    if form.validate_on_submit():
        g.actor.person.theme = form.theme.data
        g.actor.person.save(only=[Person.theme])
    return redirect_whole_page(local_url(request.form.get("next", "")))
