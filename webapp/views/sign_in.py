"""The pages to sign in and out."""

from __future__ import annotations

from flask import Response, request, session, url_for
from flask_login import current_user

from models import SessionKind
from webapp.forms.base import refuse
from webapp.forms.people import SignInForm
from webapp.people import accounts, sessions
from webapp.people.accounts import HashingBusy
from webapp.people.attempts import TooManyAttempts
from webapp.people.sessions import SignInRefused
from webapp.views.person_pages import local_url, pages, resume, start_session
from webapp.web.rendering import redirect, render, toast
from webapp.web.resumed_forms import posted_unsent_form
from webapp.web.security import csrf
from webapp.web.services import services
from webapp.web.session_cookies import device_id, send_session_token


@pages.route("/sign-in", methods=["GET", "POST"])
@csrf.exempt
def sign_in() -> Response:
    """Sign in, and continue with the page or the form for which signing in was necessary.

    The form itself checks the CSRF token, so that the page can be shown again with a valid token.
    """
    return_to = local_url(request.args.get("next", ""))
    unsent = posted_unsent_form()
    if current_user.is_authenticated:
        return resume(unsent) if unsent else redirect(return_to)
    form = SignInForm()
    status, retry_after = 422 if form.is_submitted() else 200, 0
    if form.validate_on_submit():
        email, address = form.email.data, request.remote_addr or ""
        device = device_id(accounts.normalized_email(email))
        try:
            person = sessions.sign_in(
                email, form.password.data, address, services().attempts, device
            )
        except SignInRefused as error:
            refuse(form, error.message)
        except (TooManyAttempts, HashingBusy) as error:
            refuse(form, error.message)
            status = 429 if isinstance(error, TooManyAttempts) else 503
            retry_after = error.retry_after
        else:
            start_session(person, SessionKind.PASSWORD)
            return resume(unsent) if unsent else redirect(return_to)
    elif "csrf_token" in form.errors:
        refuse(form, "This page had expired. Enter your password again.")
    response = render("people/sign_in.html", form=form, unsent=unsent, status=status)
    if retry_after:
        response.headers["Retry-After"] = str(retry_after)
    return response


@pages.post("/sign-out")
def sign_out() -> Response:
    if current_user.is_authenticated:
        sessions.end(current_user.session.record)
    send_session_token("")
    session.clear()
    toast("You’re signed out.")
    return redirect(url_for("people.sign_in"))
