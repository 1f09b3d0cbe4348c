"""The bookmarks bar, which links to pages of a scope. Each person has one bar for each scope.

A request changes only one bookmark of the stored bar. So changes in several tabs do not overwrite
each other, and the bar needs no revision.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass

from models import BookmarkBar, Prepared, Scope, transaction
from webapp.access import Actor
from webapp.people import accounts
from webapp.refusals import Refusal
from webapp.values.text import displayable

MAX_BOOKMARKS = 20
LABEL_LENGTH = 60
PAGING_PARAMETERS = frozenset({"after", "before", "page", "shown"})
"""Parameters that select one page of a list. A bookmark opens the first page."""
PAGE_PATH = re.compile(r"[a-z][\w/-]{0,200}(\?[!-~]{1,800})?")
"""The path of a page below the scope's URL, optionally with a query string.

A matching path cannot lead out of the scope.
"""


class BookmarkError(Refusal):
    """The page cannot be added to the bookmarks bar."""


@dataclass(frozen=True)
class Bookmark:
    """A link to a page of a scope. `path` is relative to the scope's URL."""

    label: str
    path: str


DEFAULT_BOOKMARKS = (Bookmark("Images", "images"),)
"""The content of the bar until the person changes it."""


def load_bookmarks(actor: Actor, scope: Scope) -> list[Bookmark]:
    """Return the person's bookmarks at `scope`, in the order of the bar."""
    rows = _select_bar(actor.person.id, scope.id)
    return [Bookmark(**item) for item in rows[0].items] if rows else list(DEFAULT_BOOKMARKS)


def pin_bookmark(actor: Actor, scope: Scope, bookmark: Bookmark) -> None:
    """Add a page to the end of the bar, unless the bar already has it. Raises BookmarkError."""
    label = displayable(bookmark.label)[:LABEL_LENGTH]
    if not label or not PAGE_PATH.fullmatch(bookmark.path):
        raise BookmarkError("This page can’t be bookmarked.")
    with transaction():
        bar = _lock_bookmarks(actor, scope)
        if any(other.path == bookmark.path for other in bar):
            return
        if len(bar) >= MAX_BOOKMARKS:
            raise BookmarkError(
                f"Your bookmarks bar is full ({MAX_BOOKMARKS} bookmarks). Remove one first."
            )
        _store_bar(actor, scope, [*bar, Bookmark(label, bookmark.path)])


def remove_bookmark(actor: Actor, scope: Scope, path: str) -> None:
    with transaction():
        bar = _lock_bookmarks(actor, scope)
        _store_bar(actor, scope, [bookmark for bookmark in bar if bookmark.path != path])


def move_bookmark(actor: Actor, scope: Scope, path: str, position: int) -> None:
    """Move a bookmark to `position`, counted from 0.

    If the position is outside the bar, move the bookmark to the nearer end of the bar.
    """
    with transaction():
        bar = _lock_bookmarks(actor, scope)
        moved = [bookmark for bookmark in bar if bookmark.path == path]
        others = [bookmark for bookmark in bar if bookmark.path != path]
        position = min(max(position, 0), len(others))
        _store_bar(actor, scope, [*others[:position], *moved, *others[position:]])


def _lock_bookmarks(actor: Actor, scope: Scope) -> list[Bookmark]:
    """Return the bookmarks, and lock them until the current transaction ends.

    The row of the person is locked, because the bar has no row before its first change.
    """
    accounts.lock(actor.person)
    return load_bookmarks(actor, scope)


_select_bar = Prepared(
    lambda placeholder: BookmarkBar.select(BookmarkBar.items).where(
        BookmarkBar.person == placeholder, BookmarkBar.scope == placeholder
    )
)


def _store_bar(actor: Actor, scope: Scope, bar: list[Bookmark]) -> None:
    items = [asdict(bookmark) for bookmark in bar]
    BookmarkBar.insert(person=actor.person, scope=scope, items=items).on_conflict(
        conflict_target=[BookmarkBar.person, BookmarkBar.scope],
        update={BookmarkBar.items: items},
    ).execute()
