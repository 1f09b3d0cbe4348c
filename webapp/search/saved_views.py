"""Saved views: named searches of the Images page.

A view belongs to one person at one scope. Editors can share their views with everyone who sees the
scope.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode

from peewee import SQL, IntegrityError, fn

from models import Person, Prepared, SavedView, Scope, database, transaction
from webapp import audit
from webapp.access import Actor, Forbidden, Right
from webapp.audit import Changes
from webapp.people.bookmarks import PAGE_PATH, PAGING_PARAMETERS
from webapp.refusals import Refusal
from webapp.revisions.conflicts import EditConflict, changes_since, lock, require_no_conflict
from webapp.values.lists import LIST_SIZE, FirstRows, find
from webapp.values.text import LineRule

IMAGES_PAGE = "images"
MAX_VIEWS = 50
"""The maximum number of views that a person can have at one scope."""
NAME_LENGTH = 60


class SavedViewError(Refusal):
    """The view cannot be saved or renamed."""


NAME = LineRule("name", NAME_LENGTH, 1, "name", SavedViewError)


class NameTaken(SavedViewError):
    """The person already has a view with this name at the scope.

    `view` is the existing view. A person who saves a new view can replace the existing view.
    """

    def __init__(self, view: SavedView, message: str = "") -> None:
        message = message or f"You already have a view named “{view.name}” here."
        super().__init__(message, "name")
        self.view = view


def visible_views(actor: Actor, scope: Scope) -> tuple[list[SavedView], list[SavedView]]:
    """Return the person's own views and the first views that others share, both sorted by name."""
    me = actor.person.id
    views = _select_visible(scope.id, me, me)
    own_views = [view for view in views if view.person_id == me]
    return own_views, [view for view in views if view.person_id != me]


_by_name = fn.LOWER(SavedView.name), SavedView.id
_select_visible = Prepared(
    lambda placeholder: (
        SavedView.select(SavedView, Person)
        .join(Person)
        .where(SavedView.scope == placeholder, (SavedView.person == placeholder) | SavedView.shared)
        .order_by((SavedView.person == placeholder).desc(), *_by_name)
        .limit(SQL(str(MAX_VIEWS + LIST_SIZE)))
    )
)


def find_shared_views(actor: Actor, scope: Scope, text: str = "") -> FirstRows[SavedView]:
    """Return the first views that others share, sorted by name.

    With `text`, return only views whose name or whose owner's name contains this text.
    """
    others = (SavedView.scope == scope) & SavedView.shared & (SavedView.person != actor.person)
    query = SavedView.select(SavedView, Person).join(Person).where(others).order_by(*_by_name)
    return find(query, text, SavedView.name, Person.name)


def parameters_of(view: SavedView) -> dict[str, str]:
    """Return the parameters with which a view opens the Images page, such as `q` and `sort`."""
    return dict(parse_qsl(view.path.partition("?")[2]))


def find_visible_view(actor: Actor, scope: Scope, view_id: int) -> SavedView | None:
    """Return the view with this ID, or None if the person does not see it at `scope`."""
    is_visible = (SavedView.person == actor.person) | SavedView.shared
    found: SavedView | None = SavedView.get_or_none(
        (SavedView.id == view_id) & (SavedView.scope == scope) & is_visible
    )
    return found


def save_view(
    actor: Actor,
    scope: Scope,
    name: str,
    path: str,
    *,
    shared: bool = False,
    replace: bool = False,
    based_on: int | None = None,
) -> SavedView:
    """Store a view of `path`, which is relative to the scope's URL.

    If the person already has a view with the same name and `replace` is true, that view is
    overwritten. `based_on` is the only revision that may be overwritten, or None if any revision
    may be overwritten. Raises NameTaken if the existing view may not be overwritten. Raises
    SavedViewError if the view cannot be saved. Also raises Forbidden and RecordDeleted.
    """
    actor.require(Right.EDIT_IMAGES if shared else Right.VIEW_IMAGES, scope)
    name, path = NAME.parse(name), _checked_path(path)
    with transaction():
        existing = _find_by_name(actor, scope, name)
        if existing is not None:
            if not replace:
                raise NameTaken(existing)
            lock(existing)
            if based_on not in {None, existing.revision}:
                message = f"The view “{existing.name}” was changed in another tab or window."
                raise NameTaken(existing, message)
            return _update(actor, existing, path=path, shared=shared)
        views_here = SavedView.select().where(
            SavedView.scope == scope, SavedView.person == actor.person
        )
        if views_here.count() >= MAX_VIEWS:
            raise SavedViewError(f"You already have {MAX_VIEWS} views here. Delete one first.")
        view = SavedView(scope=scope, person=actor.person, name=name, path=path, shared=shared)
        _write(actor, view)
        if shared:
            audit.record(actor, scope, "view.share", name, record=view)
    return view


def rename_view(actor: Actor, view: SavedView, name: str, based_on: int | None = None) -> None:
    """Rename the actor's own view.

    `based_on` is the revision that the person saw. If it is None, the revision of `view` is used.
    Raises SavedViewError, RecordDeleted and EditConflict. Also raises Forbidden if the view is
    shared and the actor may not share views.
    """
    name = NAME.parse(name)
    based_on = view.revision if based_on is None else based_on
    with transaction():
        lock(view)
        if view.shared:
            actor.require(Right.EDIT_IMAGES, view.scope)
        require_no_conflict(view, based_on, {"name": view.name}, {"name": name}, logged=False)
        existing = _find_by_name(actor, view.scope, name)
        if existing is not None and existing != view:
            raise NameTaken(existing)
        _update(actor, view, name=name)


def set_shared(actor: Actor, view: SavedView, *, shared: bool) -> None:
    """Share the actor's own view, or stop sharing it. Raises Forbidden and RecordDeleted."""
    actor.require(Right.EDIT_IMAGES if shared else Right.VIEW_IMAGES, view.scope)
    with transaction():
        lock(view)
        _update(actor, view, shared=shared)


def may_delete(actor: Actor, view: SavedView) -> bool:
    """Return whether the actor owns the view, or is an admin and the view is shared."""
    is_owner = bool(view.person == actor.person)
    return is_owner or (view.shared and actor.may(Right.MANAGE_MEMBERS, view.scope))


def delete_view(actor: Actor, view: SavedView, based_on: int | None = None) -> None:
    """Delete the view.

    `based_on` is the revision that the person saw. If it is None, the revision of `view` is used.
    Raises Forbidden, RecordDeleted and EditConflict.
    """
    based_on = view.revision if based_on is None else based_on
    with transaction():
        lock(view)
        if not may_delete(actor, view):
            raise Forbidden(Right.MANAGE_MEMBERS, view.scope)
        if view.revision != based_on:
            raise EditConflict(view, changes_since(view, based_on))
        view.delete_instance()
        if view.shared:
            audit.record(actor, view.scope, "view.remove", view.name, record=view)


def _update(actor: Actor, view: SavedView, **values: Any) -> SavedView:
    """Store new values, and write an audit entry if other people can see the change."""
    old_values = {name: getattr(view, name) for name in values}
    was_shared = view.shared
    for name, value in values.items():
        setattr(view, name, value)
    changes = audit.difference(old_values, values)
    if changes:
        _write(actor, view)
        _record_changes(actor, view, changes, was_shared=was_shared)
    return view


def _record_changes(actor: Actor, view: SavedView, changes: Changes, *, was_shared: bool) -> None:
    if view.shared != was_shared:
        action = "view.share" if view.shared else "view.unshare"
        audit.record(actor, view.scope, action, view.name, record=view)
    elif view.shared:
        audit.record(actor, view.scope, "view.edit", view.name, record=view, changes=changes)


def _write(actor: Actor, view: SavedView) -> None:
    """Save the view. Raises NameTaken if a concurrent request has just used the same name."""
    try:
        with database.atomic():
            view.save()
    except IntegrityError:
        existing = _find_by_name(actor, view.scope, view.name)
        if existing is None:
            raise
        raise NameTaken(existing) from None


def _find_by_name(actor: Actor, scope: Scope, name: str) -> SavedView | None:
    found: SavedView | None = SavedView.get_or_none(scope=scope, person=actor.person, name=name)
    return found


def _checked_path(path: str) -> str:
    """Return the path without `PAGING_PARAMETERS`. Raises SavedViewError."""
    page, _, query_string = path.partition("?")
    parameters = [
        (name, value) for name, value in parse_qsl(query_string) if name not in PAGING_PARAMETERS
    ]
    path = f"{page}?{urlencode(parameters)}" if parameters else page
    if page != IMAGES_PAGE:
        raise SavedViewError("Only searches of the Images page can be saved.")
    if not PAGE_PATH.fullmatch(path):
        raise SavedViewError("This search is too long to save. Shorten it first.")
    return path
