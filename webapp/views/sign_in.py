"""The pages to sign in and out."""

from __future__ import annotations

from flask import Response, g, request, session, url_for
from flask_login import current_user

from models import SessionKind
from webapp.factors import passkeys
from webapp.factors.passkeys import PasskeyRefused, PasskeysUnavailable
from webapp.forms.base import refuse
from webapp.forms.people import PasskeySignInForm, SignInForm
from webapp.people import accounts, sessions
from webapp.people.accounts import HashingBusy
from webapp.people.attempts import TooManyAttempts
from webapp.people.sessions import SignInRefused
from webapp.views.person_pages import (
    local_url,
    pages,
    resume,
    retry_later,
    start_session,
    uses_password,
)
from webapp.views.second_step import finish_first_step
from webapp.web.passkeys import SIGN_IN, read_answer, request_options_response
from webapp.web.rendering import redirect, render, toast
from webapp.web.resumed_forms import posted_unsent_form
from webapp.web.security import csrf
from webapp.web.services import services
from webapp.web.session_cookies import device_id, send_session_token


@pages.route("/sign-in", methods=["GET", "POST"])
@csrf.exempt
def sign_in() -> Response:
    """Sign in, and continue with the page or the form that required the person to sign in.

    The form itself checks the CSRF token, so that the page can be shown again with a valid token.
    """
    return_to = local_url(request.args.get("next", ""))
    unsent = posted_unsent_form()
    if current_user.is_authenticated:
        return resume(unsent) if unsent else redirect(return_to)
    form = SignInForm()
    status, retry_reason = 422 if form.is_submitted() else 200, None
    if form.validate_on_submit():
        email, address = form.email.data, request.remote_addr or ""
        normalized = accounts.normalized_email(email)
        try:
            person = sessions.sign_in(
                email,
                form.password.data,
                address,
                services().attempts,
                device_id(normalized),
                is_allowed=services().settings.may_use_password(normalized),
            )
        except SignInRefused as error:
            refuse(form, error.message)
        except (TooManyAttempts, HashingBusy) as error:
            refuse(form, error.message)
            retry_reason = error
        else:
            return finish_first_step(person, SessionKind.PASSWORD, return_to, unsent)
    elif "csrf_token" in form.errors:
        refuse(form, "This page expired before you sent it. Enter your password again.")
    response = render("people/sign_in.html", form=form, unsent=unsent, status=status)
    return retry_later(response, retry_reason) if retry_reason else response


@pages.post("/sign-in/passkey/challenge")
def sign_in_challenge() -> Response:
    """Return the options with which the browser asks the person for one of their passkeys."""
    return request_options_response(SIGN_IN, "", None)


@pages.post("/sign-in/passkey")
@csrf.exempt
def passkey_sign_in() -> Response:
    """Sign in with a passkey instead of a password and a second factor.

    People who can sign in only at an identity provider can't use this. Otherwise, somebody whom the
    provider has locked out could still sign in with a passkey.
    """
    return_to, unsent = local_url(request.args.get("next", "")), posted_unsent_form()
    if current_user.is_authenticated:
        return resume(unsent) if unsent else redirect(return_to)
    form, problem = PasskeySignInForm(), "This page expired before you sent it. Try again."
    retry_reason = None
    if form.validate_on_submit():
        try:
            person = passkeys.sign_in(
                lambda: read_answer(SIGN_IN, "", form.passkey.data),
                request.remote_addr or "",
                services().attempts,
                uses_password,
            )
        except (PasskeyRefused, PasskeysUnavailable) as error:
            problem = error.message
        except TooManyAttempts as error:
            problem, retry_reason = error.message, error
        else:
            start_session(person, SessionKind.PASSKEY)
            return resume(unsent) if unsent else redirect(return_to)
    page_form = SignInForm(formdata=None)
    refuse(page_form, problem)
    response = render("people/sign_in.html", form=page_form, unsent=unsent, status=422)
    return retry_later(response, retry_reason) if retry_reason else response


@pages.post("/sign-out")
def sign_out() -> Response:
    if current_user.is_authenticated:
        sessions.end(g.actor, current_user.session.record)
    send_session_token("")
    session.clear()
    toast("You’re signed out.")
    response = redirect(url_for("people.sign_in"))
    if not request.script_root:
        # The storage of a tab may contain forms that wait for a sign-in at a provider. If the URLs
        # have a path prefix, do not clear the storage, because other applications share it.
        response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response
