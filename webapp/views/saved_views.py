"""Saved views: save the current search, and rename, share and delete saved views."""

from __future__ import annotations

from flask import Response, abort, g, url_for

from models import SavedView
from webapp.access import Forbidden, Right
from webapp.forms.base import ConfirmForm, refuse
from webapp.forms.lists import RenameViewForm, SaveViewForm, ShareViewForm
from webapp.revisions.conflicts import EditConflict
from webapp.search import saved_views
from webapp.search.saved_views import NameTaken, SavedViewError
from webapp.views.arguments import search_text
from webapp.views.conflicts import ConflictPage, Row
from webapp.views.missing import abort_missing
from webapp.views.scope_pages import needs, page_url, pages
from webapp.web.error_pages import TEXTS
from webapp.web.rendering import redirect, render, render_refusal, toast


@pages.get("/views")
@needs(Right.VIEW_IMAGES)
def view_list() -> Response:
    return _render_views()


@pages.post("/views")
@needs(Right.VIEW_IMAGES)
def save_view() -> Response:
    form = SaveViewForm()
    existing = None
    if form.validate_on_submit():
        try:
            view = saved_views.save_view(
                g.actor,
                g.scope,
                form.name.data,
                form.path.data,
                shared=form.shared.data,
                replace=form.replace.data,
                based_on=form.revision.data,
            )
        except NameTaken as error:
            existing = error.view
            form.shared.data = form.shared.data or existing.shared
            form.revision.data = existing.revision
            refuse(form, f"{error.message} Replace it or choose another name.", error.field)
        except SavedViewError as error:
            refuse(form, error.message, error.field)
        else:
            toast(f"View “{view.name}” saved.")
            return redirect(page_url(view.path))
    return _render_views(form, existing, status=422)


@pages.route("/views/<int:view_id>/rename", methods=["GET", "POST"])
@needs(Right.VIEW_IMAGES)
def rename_view(view_id: int) -> Response:
    view = _own_view_or_error(view_id)
    rows = [Row("Name", ["name"])]
    conflict_page = ConflictPage(
        view, f"view “{view.name}”", rows, url_for(".view_list"), only_you=True
    )
    if conflict_page.is_answered:
        return conflict_page.save_answer(
            lambda values, revision: saved_views.rename_view(
                g.actor, view, values["name"], revision
            )
        ) or _view_renamed(view)
    form = RenameViewForm(data={"name": view.name, "revision": view.revision})
    if form.validate_on_submit():
        try:
            saved_views.rename_view(g.actor, view, form.name.data, form.revision.data)
        except EditConflict as conflict:
            return conflict_page.show(conflict)
        except SavedViewError as error:
            refuse(form, error.message, error.field)
        else:
            return _view_renamed(view)
    status = 422 if form.is_submitted() else 200
    return render("saved_views/rename.html", view=view, form=form, status=status)


def _view_renamed(view: SavedView) -> Response:
    toast(f"View renamed to “{view.name}”.")
    return redirect(url_for(".view_list"))


@pages.post("/views/<int:view_id>/share")
@needs(Right.VIEW_IMAGES)
def share_view(view_id: int) -> Response:
    view = _own_view_or_error(view_id)
    form = ShareViewForm()
    if form.validate_on_submit():
        saved_views.set_shared(g.actor, view, shared=form.shared.data)
        audience = f"everyone at {g.scope.label}"
        toast(
            f"“{view.name}” is now shared with {audience}."
            if view.shared
            else f"“{view.name}” is no longer shared with {audience}."
        )
    return redirect(url_for(".view_list"))


@pages.route("/views/<int:view_id>/delete", methods=["GET", "POST"])
@needs(Right.VIEW_IMAGES)
def delete_view(view_id: int) -> Response:
    view = _visible_view_or_404(view_id)
    if not saved_views.may_delete(g.actor, view):
        raise Forbidden(Right.MANAGE_MEMBERS, view.scope)
    form = ConfirmForm.for_revision(view.revision)
    conflict = None
    if form.validate_on_submit():
        try:
            saved_views.delete_view(g.actor, view, form.revision.data)
        except EditConflict as error:
            conflict, form.revision.data = error, error.revision
        else:
            toast(f"View “{view.name}” deleted.")
            return redirect(url_for(".view_list"))
    status = 409 if conflict else 200
    return render("saved_views/delete.html", view=view, form=form, conflict=conflict, status=status)


def _render_views(
    form: SaveViewForm | None = None, existing: SavedView | None = None, status: int = 200
) -> Response:
    """Render the page of all views.

    `form` is the form of a search that could not be saved. `existing` is the view that already has
    the name in the form.
    """
    text = search_text()
    own_views, _ = saved_views.visible_views(g.actor, g.scope)
    return render(
        "saved_views/saved_views.html",
        label="Views",
        own_views=own_views,
        shared_views=saved_views.find_shared_views(g.actor, g.scope, text),
        text=text,
        form=form,
        existing=existing,
        status=status,
    )


def _visible_view_or_404(view_id: int) -> SavedView:
    view = saved_views.find_visible_view(g.actor, g.scope, view_id)
    if view is None:
        abort_missing(SavedView(id=view_id).reference)
    return view


def _own_view_or_error(view_id: int) -> SavedView:
    """Return the person's own view.

    Responds with 404 if the person can't see the view, and with 403 if another person owns it.
    """
    view = _visible_view_or_404(view_id)
    if view.person != g.actor.person:
        abort(
            render_refusal(
                TEXTS[403][0],
                f"Only {view.person.name} can change this view. Ask them to change it.",
                403,
            )
        )
    return view
