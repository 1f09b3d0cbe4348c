"""The signed-in person's own settings: password and theme."""

from __future__ import annotations

from flask import Response, g, request, url_for
from flask_login import login_required

from models import Person, SessionKind
from webapp.forms.base import refuse
from webapp.forms.people import PasswordForm, ThemeForm
from webapp.people import accounts
from webapp.people.accounts import PasswordRefused
from webapp.views.person_pages import local_url, pages, start_session
from webapp.web.rendering import redirect, redirect_whole_page, render, toast


@pages.route("/password", methods=["GET", "POST"])
@login_required
def password() -> Response:
    form = PasswordForm()
    if form.validate_on_submit():
        try:
            accounts.change_password(g.actor, form.current_password.data, form.password.data)
        except PasswordRefused as error:
            refuse(form, error.message, error.field)
        else:
            start_session(g.actor.person, SessionKind.PASSWORD)
            toast("Password changed. You’ve been signed out everywhere else.")
            return redirect(url_for("people.home"))
    return render("people/password.html", form=form, status=422 if form.is_submitted() else 200)


@pages.post("/theme")
@login_required
def theme() -> Response:
    form = ThemeForm()
    if form.validate_on_submit():
        g.actor.person.theme = form.theme.data
        g.actor.person.save(only=[Person.theme])
    return redirect_whole_page(local_url(request.form.get("next", "")))
