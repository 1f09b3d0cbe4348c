"""Saved views: searches of the Images page under a name. Each is a person's own at one scope, and
may be shared with everybody who sees that scope."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode

from peewee import IntegrityError

from models import Person, Prepared, SavedView, Scope, database, transaction
from webapp import audit
from webapp.access import Actor, Right
from webapp.audit import Changes
from webapp.people.bookmarks import PATH

PAGE = "images"
LIMIT = 50
"""Of a person at a scope."""
NAME_LENGTH = 60
PLACES = frozenset({"after", "before"})
"""What an address says of the page of results: a view begins with the first."""


class SavedViewError(Exception):
    """A refusal, worded for the person; `field` is the one that it is about, if any."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class NameTaken(SavedViewError):
    """They have a view of that name here: `view`, which can be replaced."""

    def __init__(self, view: SavedView) -> None:
        super().__init__(f"You already have a view called “{view.name}” here.", "name")
        self.view = view


def of(actor: Actor, scope: Scope) -> tuple[list[SavedView], list[SavedView]]:
    """The person's own views, and those that others share; by name."""
    found = _seen(scope.id, actor.person.id)
    views = sorted(found, key=lambda view: (view.name.lower(), view.id))
    own = [view for view in views if view.person == actor.person]
    return own, [view for view in views if view.person != actor.person]


_seen = Prepared(
    lambda mark: (
        SavedView.select(SavedView, Person)
        .join(Person)
        .where(SavedView.scope == mark, (SavedView.person == mark) | SavedView.shared)
    )
)


def get(actor: Actor, scope: Scope, view_id: int) -> SavedView | None:
    """A view that the person sees at `scope`."""
    own, shared = of(actor, scope)
    return next((view for view in (*own, *shared) if view.id == view_id), None)


def save(
    actor: Actor, scope: Scope, name: str, path: str, *, shared: bool = False, replace: bool = False
) -> SavedView:
    """Keep `path`, which is relative to the scope. With `replace`, in place of the view of that
    name. Raises SavedViewError, and Forbidden."""
    actor.require(Right.EDIT_IMAGES if shared else Right.VIEW_IMAGES, scope)
    name, path = _checked_name(name), _checked_path(path)
    with transaction():
        present = _named(actor, scope, name)
        if present is not None:
            if not replace:
                raise NameTaken(present)
            return _change(actor, present, path=path, shared=shared)
        own = SavedView.scope == scope, SavedView.person == actor.person
        if SavedView.select().where(*own).count() >= LIMIT:
            raise SavedViewError(f"You have {LIMIT} views here. Delete one first.")
        view = SavedView(scope=scope, person=actor.person, name=name, path=path, shared=shared)
        _write(actor, view)
        if shared:
            audit.record(actor, scope, "view.share", name)
    return view


def rename(actor: Actor, view: SavedView, name: str) -> None:
    """One's own. Raises SavedViewError, and Forbidden where it is shared and one may not."""
    if view.shared:
        actor.require(Right.EDIT_IMAGES, view.scope)
    name = _checked_name(name)
    with transaction():
        present = _named(actor, view.scope, name)
        if present is not None and present != view:
            raise NameTaken(present)
        _change(actor, view, name=name)


def share(actor: Actor, view: SavedView, *, shared: bool) -> None:
    """Share one's own, or end that. Raises Forbidden."""
    actor.require(Right.EDIT_IMAGES if shared else Right.VIEW_IMAGES, view.scope)
    with transaction():
        _change(actor, view, shared=shared)


def may_remove(actor: Actor, view: SavedView) -> bool:
    """One's own, and as an admin what others share."""
    own = bool(view.person == actor.person)
    return own or (view.shared and actor.may(Right.MANAGE_MEMBERS, view.scope))


def remove(actor: Actor, view: SavedView) -> None:
    """Raises Forbidden."""
    if not may_remove(actor, view):
        actor.require(Right.MANAGE_MEMBERS, view.scope)
    with transaction():
        view.delete_instance()
        if view.shared:
            audit.record(actor, view.scope, "view.remove", view.name)


def _change(actor: Actor, view: SavedView, **values: Any) -> SavedView:
    """What others see of it is audited."""
    before = {name: getattr(view, name) for name in values}
    was_shared = view.shared
    for name, value in values.items():
        setattr(view, name, value)
    changes = audit.difference(before, values)
    if changes:
        _write(actor, view)
        _record(actor, view, changes, was_shared=was_shared)
    return view


def _record(actor: Actor, view: SavedView, changes: Changes, *, was_shared: bool) -> None:
    if view.shared != was_shared:
        action = "view.share" if view.shared else "view.unshare"
        audit.record(actor, view.scope, action, view.name)
    elif view.shared:
        audit.record(actor, view.scope, "view.edit", view.name, changes=changes)


def _write(actor: Actor, view: SavedView) -> None:
    """Another request may have taken the name a moment ago: the database refuses the second."""
    try:
        with database.atomic():
            view.save()
    except IntegrityError:
        present = _named(actor, view.scope, view.name)
        if present is None:
            raise
        raise NameTaken(present) from None


def _named(actor: Actor, scope: Scope, name: str) -> SavedView | None:
    found: SavedView | None = SavedView.get_or_none(scope=scope, person=actor.person, name=name)
    return found


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not 1 <= len(name) <= NAME_LENGTH or not name.isprintable():
        raise SavedViewError(f"A name has 1 to {NAME_LENGTH} characters that can be seen.", "name")
    return name


def _checked_path(path: str) -> str:
    page, _, search = path.partition("?")
    kept = [each for each in parse_qsl(search) if each[0] not in PLACES]
    path = f"{page}?{urlencode(kept)}" if kept else page
    if page != PAGE:
        raise SavedViewError("Only searches of the Images page can be saved.")
    if not PATH.fullmatch(path):
        raise SavedViewError("This search is too long to be saved. Shorten it first.")
    return path
