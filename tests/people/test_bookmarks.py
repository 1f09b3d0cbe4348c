"""Bookmarks, for each person and each scope."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import models
from tests.conftest import ActorOf, ScopeAt
from webapp.people import bookmarks
from webapp.people.bookmarks import Bookmark, BookmarkError

IMAGES = Bookmark("Images", "images")
UBUNTU = Bookmark("Images, AWS, Ubuntu", "images?q=cloud%3Aaws+os%3Aubuntu")
MEMBERS = Bookmark("Members", "members")
TABS = 6


def test_the_bar_starts_with_images(actor_of: ActorOf, scope: ScopeAt) -> None:
    assert bookmarks.load_bookmarks(actor_of("account-viewer"), scope("acme")) == [IMAGES]


def test_a_bookmark_belongs_to_one_person_at_one_scope(actor_of: ActorOf, scope: ScopeAt) -> None:
    actor, acme = actor_of("account-viewer"), scope("acme")
    bookmarks.pin_bookmark(actor, acme, UBUNTU)
    bookmarks.pin_bookmark(actor, acme, UBUNTU)
    assert bookmarks.load_bookmarks(actor, acme) == [IMAGES, UBUNTU]
    assert bookmarks.load_bookmarks(actor, scope("acme/staging")) == [IMAGES]
    assert bookmarks.load_bookmarks(actor_of("account-admin"), acme) == [IMAGES]


def test_a_removed_bookmark_does_not_return(actor_of: ActorOf, scope: ScopeAt) -> None:
    actor, acme = actor_of("account-viewer"), scope("acme")
    bookmarks.remove_bookmark(actor, acme, "images")
    assert bookmarks.load_bookmarks(actor, acme) == []


@pytest.mark.parametrize(
    ("position", "order"),
    [
        (0, [MEMBERS, IMAGES, UBUNTU]),
        (1, [IMAGES, MEMBERS, UBUNTU]),
        (9, [IMAGES, UBUNTU, MEMBERS]),
        (-5, [MEMBERS, IMAGES, UBUNTU]),
    ],
)
def test_moving_a_bookmark(
    actor_of: ActorOf, scope: ScopeAt, position: int, order: list[Bookmark]
) -> None:
    actor, acme = actor_of("account-viewer"), scope("acme")
    for bookmark in (UBUNTU, MEMBERS):
        bookmarks.pin_bookmark(actor, acme, bookmark)
    bookmarks.move_bookmark(actor, acme, "members", position)
    assert bookmarks.load_bookmarks(actor, acme) == order
    bookmarks.move_bookmark(actor, acme, "nowhere", position)
    assert bookmarks.load_bookmarks(actor, acme) == order


@pytest.mark.parametrize(
    "path", ["", "/", "//evil.example", "../../sign-out", "images/../..", "im ages", "x" * 2000]
)
def test_paths_outside_the_scope_are_refused(actor_of: ActorOf, scope: ScopeAt, path: str) -> None:
    with pytest.raises(BookmarkError):
        bookmarks.pin_bookmark(actor_of("account-viewer"), scope("acme"), Bookmark("x", path))


def test_the_number_of_bookmarks_is_limited(actor_of: ActorOf, scope: ScopeAt) -> None:
    actor, acme = actor_of("account-viewer"), scope("acme")
    for number in range(bookmarks.MAX_BOOKMARKS - 1):
        bookmarks.pin_bookmark(actor, acme, Bookmark("x", f"images/{number}"))
    with pytest.raises(BookmarkError, match="is full"):
        bookmarks.pin_bookmark(actor, acme, MEMBERS)


def test_bookmarks_pinned_in_several_tabs_at_once_are_all_kept(
    actor_of: ActorOf, scope: ScopeAt
) -> None:
    viewer, acme = actor_of("account-viewer"), scope("acme")
    start = threading.Barrier(TABS)

    def pin(number: int) -> None:
        with models.database.connection_context():
            start.wait(timeout=10)
            bookmarks.pin_bookmark(viewer, acme, Bookmark(f"Tab {number}", f"images?q={number}"))

    models.database.close()
    with ThreadPoolExecutor(TABS) as pool:
        list(pool.map(pin, range(TABS)))
    models.database.connect(reuse_if_open=True)
    paths = {bookmark.path for bookmark in bookmarks.load_bookmarks(viewer, acme)}
    assert paths == {"images", *(f"images?q={number}" for number in range(TABS))}
