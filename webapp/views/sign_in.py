"""The pages to sign in and out."""

from __future__ import annotations

from flask import Response, request, session, url_for
from flask_login import current_user, logout_user

from webapp.forms.base import refuse
from webapp.forms.people import SignInForm
from webapp.people import sessions
from webapp.people.sessions import SignInRefused, TooManyFailedSignIns
from webapp.views.person_pages import local_url, pages, start_session
from webapp.web.rendering import redirect, render, toast
from webapp.web.services import services


@pages.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> Response:
    return_to = local_url(request.args.get("next", ""))
    if current_user.is_authenticated:
        return redirect(return_to)
    form = SignInForm()
    status = 422 if form.is_submitted() else 200
    if form.validate_on_submit():
        client = request.remote_addr or ""
        failed = services().failed_sign_ins
        try:
            person = sessions.sign_in(form.email.data, form.password.data, client, failed)
        except SignInRefused as error:
            refuse(form, error.message)
        except TooManyFailedSignIns as error:
            refuse(form, error.message)
            status = 429
        else:
            start_session(person)
            return redirect(return_to)
    return render("people/sign_in.html", form=form, status=status)


@pages.post("/sign-out")
def sign_out() -> Response:
    logout_user()
    session.clear()
    toast("You’re signed out.")
    return redirect(url_for("people.sign_in"))
