"""Pages about scopes: the home page, the list of scopes, and the scopes directly below a scope.

The Scalr scope has a page to manage the accounts, and an account has a page to manage its
environments.
"""

from __future__ import annotations

from flask import Response, abort, g, url_for
from flask_login import login_required

from models import Scope
from webapp.access import Right
from webapp.forms.base import refuse
from webapp.forms.people import DeleteScopeForm, RenameScopeForm, ScopeForm
from webapp.jobs import scope_deletion
from webapp.people import scopes
from webapp.people.scopes import ContentsChanged, ScopeError
from webapp.revisions.conflicts import EditConflict
from webapp.revisions.departures import deletion_of_child
from webapp.views import person_pages
from webapp.views.arguments import search_text
from webapp.views.conflicts import ConflictPage, Row
from webapp.views.missing import abort_missing
from webapp.views.scope_pages import needs, pages
from webapp.web.factor_missing import render_factor_missing
from webapp.web.rendering import redirect, render, scope_url, toast
from webapp.web.services import services

KINDS = {"account": "accounts", "environment": "environments"}
"""The word for child scopes in URLs, by the level of the child scopes."""
KIND = f"<any({', '.join(KINDS.values())}):kind>"
"""The part of a URL rule that matches one of KINDS."""


@person_pages.pages.get("/")
@login_required
def home() -> Response:
    scope = scopes.home_scope(g.actor)
    if scope is None:
        if g.actor.roles_without_factor:
            return render_factor_missing()
        return render("scopes/no_scope.html")
    return redirect(scope_url(scope))


@person_pages.pages.get("/scopes")
@login_required
def scope_list() -> Response:
    text = search_text()
    found = scopes.visible_to(g.actor, text)
    return render(
        "scopes/scopes.html",
        fragment="scopes/_scopes.html",
        background=True,
        found=found,
        text=text,
    )


@pages.get(f"/{KIND}")
@needs(Right.MANAGE_SCOPES)
def child_scopes(kind: str) -> Response:
    _require_kind(kind)
    return _child_scopes_page(ScopeForm(), kind)


@pages.post(f"/{KIND}")
@needs(Right.MANAGE_SCOPES)
def create_child_scope(kind: str) -> Response:
    _require_kind(kind)
    form = ScopeForm()
    if form.validate_on_submit():
        try:
            child = scopes.create(g.actor, g.scope, form.name.data)
        except ScopeError as error:
            refuse(form, error.message, error.field)
        else:
            toast("{scope} created.", scope=(child.label, scope_url(child)))
            return redirect(url_for(".child_scopes", kind=kind))
    return _child_scopes_page(form, kind, status=422)


@pages.route(f"/{KIND}/<slug>/rename", methods=["GET", "POST"])
@needs(Right.MANAGE_SCOPES)
def rename_child_scope(kind: str, slug: str) -> Response:
    child = _child_scope_or_404(kind, slug)
    back = url_for(".child_scopes", kind=kind)
    conflict_page = ConflictPage(child, child.label, [Row("Name", ["name"])], back)
    if conflict_page.is_answered:
        return conflict_page.save_answer(
            lambda values, revision: scopes.rename(g.actor, child, values["name"], revision)
        ) or _renamed(child, back)
    form = RenameScopeForm(data={"name": child.name, "revision": child.revision})
    if form.validate_on_submit():
        try:
            scopes.rename(g.actor, child, form.name.data, form.revision.data)
        except EditConflict as conflict:
            return conflict_page.show(conflict)
        except ScopeError as error:
            refuse(form, error.message, error.field)
        else:
            return _renamed(child, back)
    status = 422 if form.is_submitted() else 200
    return render("scopes/rename.html", child=child, form=form, kind=kind, status=status)


def _renamed(child: Scope, back: str) -> Response:
    toast(f"{child.label} renamed. Its URL hasn’t changed.")
    return redirect(back)


@pages.route(f"/{KIND}/<slug>/delete", methods=["GET", "POST"])
@needs(Right.MANAGE_SCOPES)
def delete_child_scope(kind: str, slug: str) -> Response:
    child = _child_scope_or_404(kind, slug)
    form = DeleteScopeForm(data={"revision": child.revision})
    status, conflict = 422 if form.is_submitted() else 200, None
    if form.validate_on_submit():
        try:
            label = child.label
            job = scope_deletion.delete_scope(
                g.actor,
                child,
                services().vault,
                form.name.data,
                form.revision.data,
                form.contents.data,
            )
        except EditConflict as error:
            status, conflict = 409, error
        except ContentsChanged as error:
            status = 409
            refuse(form, error.message)
        except ScopeError as error:
            refuse(form, error.message, error.field)
        else:
            if job.state != "done":
                return redirect(url_for(".job", job_id=job.id))
            toast(f"{label} deleted, with everything in it.")
            return redirect(url_for(".child_scopes", kind=kind))
    contents = scopes.count_contents(child)
    if status != 422:
        # The form contains the numbers that the page shows now. After an invalid entry, the form
        # still contains the numbers that the person saw before.
        form.revision.data, form.contents.data = child.revision, str(contents)
    return render(
        "scopes/delete.html",
        child=child,
        contents=contents,
        form=form,
        kind=kind,
        conflict=conflict,
        status=status,
    )


def _require_kind(kind: str) -> None:
    """Respond with 404 unless the child scopes of the current scope are of this kind."""
    below = g.scope.level.below
    if below is None or KINDS[below] != kind:
        abort(404)


def _child_scope_or_404(kind: str, slug: str) -> Scope:
    _require_kind(kind)
    path = f"{g.scope.path}/{slug}".lstrip("/")
    child = Scope.at(path)
    if child is None:
        abort_missing("scope:", entry=deletion_of_child(g.scope, path))
    return child


def _child_scopes_page(form: ScopeForm, kind: str, status: int = 200) -> Response:
    text = search_text()
    return render(
        "scopes/child_scopes.html",
        label=kind.capitalize(),
        found=scopes.child_scopes(g.scope, text),
        text=text,
        form=form,
        kind=kind,
        status=status,
    )
