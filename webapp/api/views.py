"""Saved views: named searches of images."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from flask import g
from msgspec import UNSET, Meta, Struct, UnsetType

from models import SavedView
from webapp.access import Right
from webapp.api.operations import Answer, operation
from webapp.api.preconditions import matching
from webapp.api.problems import ApiProblem
from webapp.search import saved_views
from webapp.search.saved_views import IMAGES_PAGE

TAG = "Views"


class View(Struct):
    """A saved view."""

    id: int
    name: str
    q: str
    sort: str
    shared: Annotated[
        bool, Meta(description="Whether everybody who sees the scope can use the view.")
    ]
    owner: str
    is_own: bool
    revision: Annotated[int, Meta(description="Increases with each change. The ETag contains it.")]


class ViewList(Struct):
    """At most 150 views, sorted by name: first your own views, then views that others share."""

    items: list[View]


class ViewRequest(Struct, forbid_unknown_fields=True):
    """The view to save."""

    name: str
    q: Annotated[str, Meta(description="A search, as in the search box of the Images page.")] = ""
    sort: str = ""
    shared: bool = False


class ViewEdit(Struct, forbid_unknown_fields=True):
    """The new values of a view. Values that are left out stay as they are."""

    name: str | UnsetType = UNSET
    shared: bool | UnsetType = UNSET


@operation("GET /views", tag=TAG, right=Right.VIEW_IMAGES)
def list_views() -> Answer[ViewList]:
    """List the saved views that the token can use at a scope."""
    own, shared = saved_views.visible_views(g.actor, g.scope)
    return Answer(ViewList([_document(each) for each in (*own, *shared)]))


@operation("POST /views", tag=TAG, right=Right.VIEW_IMAGES, statuses=(201,), has_location=False)
def create_view(body: ViewRequest) -> Answer[View]:
    """Save a search under a name."""
    parameters = {"q": body.q, "sort": body.sort}
    query = urlencode({name: value for name, value in parameters.items() if value})
    path = f"{IMAGES_PAGE}?{query}" if query else IMAGES_PAGE
    view = saved_views.save_view(g.actor, g.scope, body.name, path, shared=body.shared)
    return Answer(_document(view), 201, revision=view.revision)


@operation(
    "PATCH /views/<int:view_id>",
    tag=TAG,
    right=Right.VIEW_IMAGES,
    if_match="optional",
    problems=("conflict",),
)
def edit_view(view_id: int, body: ViewEdit) -> Answer[View]:
    """Rename one of your views, share it, or stop sharing it."""
    view = _find_visible(view_id)
    if view.person_id != g.actor.person.id:
        raise ApiProblem("forbidden", "Only the owner of this view can change it.")
    with matching(view):
        if body.name is not UNSET:
            saved_views.rename_view(g.actor, view, body.name)
        if body.shared is not UNSET:
            saved_views.set_shared(g.actor, view, shared=body.shared)
    return Answer(_document(view), revision=view.revision)


@operation(
    "DELETE /views/<int:view_id>",
    tag=TAG,
    right=Right.VIEW_IMAGES,
    statuses=(204,),
    if_match="optional",
    problems=("conflict",),
)
def delete_view(view_id: int) -> Answer[None]:
    """Delete one of your views or, as an admin, a shared view."""
    view = _find_visible(view_id)
    with matching(view):
        saved_views.delete_view(g.actor, view)
    return Answer(None, 204)


def _find_visible(view_id: int) -> SavedView:
    view = saved_views.find_visible_view(g.actor, g.scope, view_id)
    if view is None:
        raise ApiProblem("not-found")
    return view


def _document(view: SavedView) -> View:
    parameters = saved_views.parameters_of(view)
    return View(
        id=view.id,
        name=view.name,
        q=parameters.get("q", ""),
        sort=parameters.get("sort", ""),
        shared=view.shared,
        owner=view.person.name,
        is_own=view.person_id == g.actor.person.id,
        revision=view.revision,
    )
