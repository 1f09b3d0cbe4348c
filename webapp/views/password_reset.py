"""The pages to choose a new password with a link from a mail."""

from __future__ import annotations

from flask import Response, abort, request, url_for

from webapp.forms.base import refuse
from webapp.forms.people import ForgotPasswordForm, ResetPasswordForm
from webapp.mail import outbox
from webapp.people import resets
from webapp.people.accounts import HashingBusy, PasswordRefused
from webapp.people.attempts import TooManyAttempts
from webapp.people.resets import InvalidReset
from webapp.views.person_pages import pages, retry_later
from webapp.web.rendering import redirect, render, toast
from webapp.web.services import services


@pages.route("/forgot-password", methods=["GET", "POST"])
def forgot_password() -> Response:
    """Send a link. The response is the same whether or not the address has an account."""
    if not outbox.is_enabled() or not services().settings.local_accounts:
        abort(404)
    form, retry_reason = ForgotPasswordForm(), None
    if form.validate_on_submit():
        try:
            resets.request_link(form.email.data, request.remote_addr or "", services().attempts)
        except TooManyAttempts as error:
            refuse(form, error.message_with_delay("You’ve requested too many links."))
            retry_reason = error
        else:
            return render("people/reset_requested.html", email=form.email.data)
    status = 422 if form.is_submitted() else 200
    response = render("people/forgot_password.html", form=form, status=status)
    return retry_later(response, retry_reason) if retry_reason else response


@pages.route("/reset-password/<token>", methods=["GET", "POST"])
def reset_password(token: str) -> Response:
    """Set a new password. Opening the link does not use it up: mail programs open links too."""
    if not services().settings.local_accounts:
        abort(404)
    form, retry_reason = ResetPasswordForm(), None
    try:
        person = resets.find_person(token)
        if form.validate_on_submit():
            resets.reset_password(token, form.password.data)
            toast("Password changed. Sign in with your new password.")
            return redirect(url_for("people.sign_in"))
    except InvalidReset:
        return render("people/invalid_reset.html", status=404)
    except HashingBusy as error:
        refuse(form, error.message)
        retry_reason = error
    except PasswordRefused as error:
        refuse(form, error.message, error.field)
    status = 422 if form.is_submitted() else 200
    response = render("people/reset_password.html", form=form, email=person.email, status=status)
    return retry_later(response, retry_reason) if retry_reason else response
