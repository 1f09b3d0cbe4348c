"""The bookmarks bar: per person and per scope, pages of that scope with their search."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass

from models import BookmarkBar, Prepared, Scope, transaction
from webapp.access import Actor

LIMIT = 20
LABEL_LENGTH = 60
PATH = re.compile(r"[a-z][\w/-]{0,200}(\?[!-~]{1,800})?")
"""A page of the scope and perhaps its search: it cannot leave the scope's own address."""


class BookmarkError(Exception):
    """A refusal, worded for the person."""


@dataclass(frozen=True)
class Bookmark:
    """A page of a scope: `path` is relative to the scope and may hold a search."""

    label: str
    path: str


DEFAULT = (Bookmark("Images", "images"),)
"""What the bar holds until the person changes it."""


def of(actor: Actor, scope: Scope) -> list[Bookmark]:
    rows = _bars(actor.person.id, scope.id)
    return [Bookmark(**item) for item in rows[0].items] if rows else list(DEFAULT)


def pin(actor: Actor, scope: Scope, bookmark: Bookmark) -> None:
    """Put a page at the end of the bar; one that is there already stays where it is. Raises
    BookmarkError."""
    label = " ".join(bookmark.label.split())[:LABEL_LENGTH]
    if not label or not PATH.fullmatch(bookmark.path):
        raise BookmarkError("This page cannot be bookmarked.")
    with transaction():
        bar = of(actor, scope)
        if any(each.path == bookmark.path for each in bar):
            return
        if len(bar) >= LIMIT:
            raise BookmarkError(f"The bar holds {LIMIT} bookmarks. Remove one first.")
        _keep(actor, scope, [*bar, Bookmark(label, bookmark.path)])


def remove(actor: Actor, scope: Scope, path: str) -> None:
    with transaction():
        _keep(actor, scope, [each for each in of(actor, scope) if each.path != path])


def move(actor: Actor, scope: Scope, path: str, position: int) -> None:
    """Put a bookmark at `position`, counted from 0; the others make room."""
    with transaction():
        bar = of(actor, scope)
        moving = [each for each in bar if each.path == path]
        rest = [each for each in bar if each.path != path]
        position = min(max(position, 0), len(rest))
        _keep(actor, scope, [*rest[:position], *moving, *rest[position:]])


_bars = Prepared(
    lambda mark: BookmarkBar.select(BookmarkBar.items).where(
        BookmarkBar.person == mark, BookmarkBar.scope == mark
    )
)


def _keep(actor: Actor, scope: Scope, bar: list[Bookmark]) -> None:
    items = [asdict(each) for each in bar]
    BookmarkBar.insert(person=actor.person, scope=scope, items=items).on_conflict(
        conflict_target=[BookmarkBar.person, BookmarkBar.scope],
        update={BookmarkBar.items: items},
    ).execute()
