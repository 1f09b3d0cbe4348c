"""The scopes directly below one: Accounts at Scalr, Environments at an account."""

from __future__ import annotations

from flask import Response, abort, g, url_for

from models import Scope
from webapp.access import Right
from webapp.forms.base import refuse
from webapp.forms.people import ScopeForm
from webapp.people import scopes
from webapp.people.scopes import ScopeError
from webapp.views.scope_pages import needs, pages
from webapp.web.rendering import redirect, render, scope_url, toast

KINDS = {"account": "accounts", "environment": "environments"}
KIND = f"<any({', '.join(KINDS.values())}):kind>"


@pages.get(f"/{KIND}")
@needs(Right.MANAGE_SCOPES)
def children(kind: str) -> Response:
    _require(kind)
    return _show(ScopeForm(), kind)


@pages.post(f"/{KIND}")
@needs(Right.MANAGE_SCOPES)
def create_child(kind: str) -> Response:
    _require(kind)
    form = ScopeForm()
    if form.validate_on_submit():
        try:
            child = scopes.create(g.actor, g.scope, form.name.data)
        except ScopeError as error:
            refuse(form, str(error), "name")
        else:
            toast("{scope} is created.", scope=(child.label, scope_url(child)))
            return redirect(url_for(".children", kind=kind))
    return _show(form, kind, status=422)


@pages.route(f"/{KIND}/<slug>/rename", methods=["GET", "POST"])
@needs(Right.MANAGE_SCOPES)
def rename_child(kind: str, slug: str) -> Response:
    child = _child(kind, slug)
    form = ScopeForm(data={"name": child.name})
    if form.validate_on_submit():
        try:
            scopes.rename(g.actor, child, form.name.data)
        except ScopeError as error:
            refuse(form, str(error), "name")
        else:
            toast(f"It is called {child.name} now. Its address stays as it was.")
            return redirect(url_for(".children", kind=kind))
    status = 422 if form.is_submitted() else 200
    return render("scopes/rename.html", child=child, form=form, kind=kind, status=status)


@pages.route(f"/{KIND}/<slug>/delete", methods=["GET", "POST"])
@needs(Right.MANAGE_SCOPES)
def delete_child(kind: str, slug: str) -> Response:
    child = _child(kind, slug)
    form = ScopeForm()
    if form.validate_on_submit():
        try:
            scopes.delete(g.actor, child, form.name.data)
        except ScopeError as error:
            refuse(form, str(error), "name")
        else:
            toast(f"{child.label} is deleted, with all that it held.")
            return redirect(url_for(".children", kind=kind))
    return render(
        "scopes/delete.html",
        child=child,
        contents=scopes.contents_of(child),
        form=form,
        kind=kind,
        status=422 if form.is_submitted() else 200,
    )


def _require(kind: str) -> None:
    below = g.scope.level.below
    if below is None or KINDS[below] != kind:
        abort(404)


def _child(kind: str, slug: str) -> Scope:
    _require(kind)
    child = Scope.at(f"{g.scope.path}/{slug}".lstrip("/"))
    if child is None:
        abort(404)
    return child


def _show(form: ScopeForm, kind: str, status: int = 200) -> Response:
    return render(
        "scopes/children.html",
        label=kind.capitalize(),
        children=scopes.children_of(g.scope),
        form=form,
        kind=kind,
        status=status,
    )
