"""Saved views: keep the present search, and the page where they are renamed, shared and
deleted."""

from __future__ import annotations

from flask import Response, abort, g, url_for

from models import SavedView
from webapp.access import Right
from webapp.forms.base import ActionForm, refuse
from webapp.forms.lists import SaveViewForm, ShareViewForm, ViewNameForm
from webapp.search import saved_views
from webapp.search.saved_views import NameTaken, SavedViewError
from webapp.views.scope_pages import needs, pages
from webapp.web.rendering import redirect, render, toast


@pages.get("/views")
@needs(Right.VIEW_IMAGES)
def view_list() -> Response:
    return _show()


@pages.post("/views")
@needs(Right.VIEW_IMAGES)
def save_view() -> Response:
    form = SaveViewForm()
    taken = None
    if form.validate_on_submit():
        try:
            view = saved_views.save(
                g.actor,
                g.scope,
                form.name.data,
                form.path.data,
                shared=form.shared.data,
                replace=form.replace.data,
            )
        except NameTaken as error:
            taken = error.view
            form.shared.data = form.shared.data or taken.shared
            refuse(form, f"{error} Replace it, or choose another name.", error.field)
        except SavedViewError as error:
            refuse(form, str(error), error.field)
        else:
            toast(f"The search is saved as “{view.name}”.")
            return redirect(_address(view))
    return _show(form, taken, status=422)


@pages.route("/views/<int:view_id>/rename", methods=["GET", "POST"])
@needs(Right.VIEW_IMAGES)
def rename_view(view_id: int) -> Response:
    view = _own(view_id)
    form = ViewNameForm(data={"name": view.name})
    if form.validate_on_submit():
        try:
            saved_views.rename(g.actor, view, form.name.data)
        except SavedViewError as error:
            refuse(form, str(error), error.field)
        else:
            toast(f"It is called “{view.name}” now.")
            return redirect(url_for(".view_list"))
    status = 422 if form.is_submitted() else 200
    return render("saved_views/rename.html", view=view, form=form, status=status)


@pages.post("/views/<int:view_id>/share")
@needs(Right.VIEW_IMAGES)
def share_view(view_id: int) -> Response:
    view = _own(view_id)
    form = ShareViewForm()
    if form.validate_on_submit():
        saved_views.share(g.actor, view, shared=form.shared.data)
        everybody = f"everyone at {g.scope.label}"
        toast(
            f"“{view.name}” is shared with {everybody}."
            if view.shared
            else f"“{view.name}” is no longer shared with {everybody}."
        )
    return redirect(url_for(".view_list"))


@pages.route("/views/<int:view_id>/delete", methods=["GET", "POST"])
@needs(Right.VIEW_IMAGES)
def delete_view(view_id: int) -> Response:
    view = _seen(view_id)
    if not saved_views.may_remove(g.actor, view):
        abort(403)
    form = ActionForm()
    if form.validate_on_submit():
        saved_views.remove(g.actor, view)
        toast(f"The view “{view.name}” is deleted.")
        return redirect(url_for(".view_list"))
    return render("saved_views/delete.html", view=view, form=form)


def _show(
    form: SaveViewForm | None = None, taken: SavedView | None = None, status: int = 200
) -> Response:
    """With `form`, a search that could not be saved as it was asked for."""
    own, shared = saved_views.of(g.actor, g.scope)
    return render(
        "saved_views/saved_views.html",
        label="Views",
        own=own,
        shared=shared,
        form=form,
        taken=taken,
        status=status,
    )


def _seen(view_id: int) -> SavedView:
    view = saved_views.get(g.actor, g.scope, view_id)
    if view is None:
        abort(404)
    return view


def _own(view_id: int) -> SavedView:
    """What somebody else shares is theirs to change."""
    view = _seen(view_id)
    if view.person != g.actor.person:
        abort(403)
    return view


def _address(view: SavedView) -> str:
    """Always below the scope's own address, as a bookmark's is."""
    return url_for(".home") + view.path
