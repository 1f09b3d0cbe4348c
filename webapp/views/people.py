"""The People page of the Scalr scope, on which admins disable, enable and remove people."""

from __future__ import annotations

from flask import Response, abort, g, url_for

from models import Level, Person
from webapp.access import Right
from webapp.forms.base import ActionForm, refuse
from webapp.people import directory
from webapp.people.directory import PersonError
from webapp.people.members import MemberError
from webapp.views.arguments import search_text
from webapp.views.scope_pages import needs, pages
from webapp.views.step_up import needs_proof
from webapp.web.rendering import redirect, render, toast


@pages.get("/people")
@needs(Right.MANAGE_MEMBERS)
def people() -> Response:
    _require_scalr()
    text = search_text()
    found = directory.find_people(text)
    roles = directory.roles_of(found.rows)
    return render("people/people.html", label="People", found=found, roles=roles, text=text)


@pages.route("/people/<int:person_id>/disable", methods=["GET", "POST"])
@needs(Right.MANAGE_MEMBERS)
@needs_proof
def disable_person(person_id: int) -> Response:
    person, form = _person_or_404(person_id), ActionForm()
    if form.validate_on_submit():
        try:
            directory.disable(g.actor, person_id)
        except (PersonError, MemberError) as error:
            refuse(form, error.message)
        else:
            toast(f"{person.name} disabled and signed out everywhere.")
            return redirect(url_for(".people"))
    status = 422 if form.is_submitted() else 200
    return render("people/disable.html", person=person, form=form, status=status)


@pages.post("/people/<int:person_id>/enable")
@needs(Right.MANAGE_MEMBERS)
@needs_proof
def enable_person(person_id: int) -> Response:
    _person_or_404(person_id)
    if ActionForm().validate_on_submit():
        try:
            person = directory.enable(g.actor, person_id)
        except PersonError as error:
            toast(error.message, "danger")
        else:
            toast(f"{person.name} enabled. They can sign in again.")
    return redirect(url_for(".people"))


@pages.route("/people/<int:person_id>/remove", methods=["GET", "POST"])
@needs(Right.MANAGE_MEMBERS)
@needs_proof
def remove_person(person_id: int) -> Response:
    person, form = _person_or_404(person_id), ActionForm()
    if form.validate_on_submit():
        try:
            directory.remove(g.actor, person_id)
        except (PersonError, MemberError) as error:
            refuse(form, error.message)
        else:
            toast(f"{person.name} removed.")
            return redirect(url_for(".people"))
    status = 422 if form.is_submitted() else 200
    roles = directory.roles_of([person])[person.id]
    return render("people/remove.html", person=person, roles=roles, form=form, status=status)


def _person_or_404(person_id: int) -> Person:
    _require_scalr()
    person = directory.find_person(person_id)
    if person is None:
        abort(404)
    return person


def _require_scalr() -> None:
    """Respond with 404 at accounts and environments, which have no People page."""
    if g.scope.level is not Level.SCALR:
        abort(404)
