"""The Sessions page: the browsers in which the person has signed in."""

from __future__ import annotations

from flask import Response, g, url_for
from flask_login import current_user, login_required

from webapp.forms.base import ActionForm
from webapp.people import sessions
from webapp.people.sessions import SessionEnded
from webapp.views.person_pages import pages
from webapp.views.step_up import needs_proof
from webapp.web.rendering import redirect, render, toast
from webapp.web.services import services


@pages.get("/sessions")
@login_required
def session_list() -> Response:
    found = sessions.sessions_of(g.actor.person, services().session_lifetimes)
    current_id = current_user.session.record.id
    return render(
        "people/sessions.html",
        current_session=next((each for each in found if each.id == current_id), None),
        others=[each for each in found if each.id != current_id],
    )


@pages.route("/sessions/<int:session_id>/end", methods=["GET", "POST"])
@login_required
@needs_proof
def end_session(session_id: int) -> Response:
    form = ActionForm()
    try:
        chosen_session = sessions.find_own(g.actor, session_id)
    except SessionEnded as error:
        toast(error.message)
        return redirect(url_for("people.session_list"))
    if form.validate_on_submit():
        sessions.end(g.actor, chosen_session)
        toast(f"Signed out of {chosen_session.browser}.")
        return redirect(url_for("people.session_list"))
    return render("people/end_session.html", chosen_session=chosen_session, form=form)


@pages.route("/sessions/end-others", methods=["GET", "POST"])
@login_required
@needs_proof
def end_other_sessions() -> Response:
    form = ActionForm()
    if form.validate_on_submit():
        sessions.end_others(g.actor, current_user.session.record)
        toast("You’re signed out everywhere else.")
        return redirect(url_for("people.session_list"))
    return render("people/end_other_sessions.html", form=form)
