"""Saved views: a person's own views, and the views that other people share at the same scope."""

from __future__ import annotations

import pytest

from models import AuditEntry, SavedView, Scope
from tests.conftest import ActorOf, ScopeAt
from webapp.access import Actor, Forbidden
from webapp.search import saved_views
from webapp.search.saved_views import MAX_VIEWS, NameTaken, SavedViewError

UBUNTU = "images?q=os%3Aubuntu&sort=-created"


def names(actor: Actor, scope: Scope) -> tuple[list[str], list[str]]:
    own, shared = saved_views.visible_views(actor, scope)
    return [view.name for view in own], [view.name for view in shared]


def audited_actions() -> list[tuple[str, str]]:
    entries = AuditEntry.select().order_by(AuditEntry.id)
    return [(entry.action, entry.subject) for entry in entries]


def test_a_view_belongs_to_one_person_at_one_scope(actor_of: ActorOf, scope: ScopeAt) -> None:
    viewer, acme = actor_of("account-viewer"), scope("acme")
    view = saved_views.save_view(viewer, acme, "  Ubuntu   gold ", UBUNTU)
    assert (view.name, view.path, view.shared) == ("Ubuntu gold", UBUNTU, False)
    saved_views.save_view(viewer, acme, "arm", "images?q=arch%3Aarm64")
    assert names(viewer, acme) == (["arm", "Ubuntu gold"], [])
    assert names(viewer, scope("acme/production")) == ([], [])
    assert names(actor_of("account-admin"), acme) == ([], [])
    assert audited_actions() == []


def test_everyone_at_the_scope_sees_a_shared_view(actor_of: ActorOf, scope: ScopeAt) -> None:
    editor, acme = actor_of("account-editor"), scope("acme")
    view = saved_views.save_view(editor, acme, "Gold", UBUNTU, shared=True)
    for who in ("account-viewer", "scalr-viewer"):
        assert names(actor_of(who), acme) == ([], ["Gold"])
        assert saved_views.find_visible_view(actor_of(who), acme, view.id) == view
    assert names(editor, acme) == (["Gold"], [])
    assert names(actor_of("environment-viewer"), scope("acme/production")) == ([], [])
    assert saved_views.find_visible_view(editor, scope("acme/production"), view.id) is None
    saved_views.set_shared(editor, view, shared=False)
    assert names(actor_of("account-viewer"), acme) == ([], [])
    assert saved_views.find_visible_view(actor_of("account-viewer"), acme, view.id) is None
    assert audited_actions() == [("view.share", "Gold"), ("view.unshare", "Gold")]


def test_only_editors_share_views(actor_of: ActorOf, scope: ScopeAt) -> None:
    viewer, acme = actor_of("account-viewer"), scope("acme")
    with pytest.raises(Forbidden):
        saved_views.save_view(viewer, acme, "Gold", UBUNTU, shared=True)
    view = saved_views.save_view(viewer, acme, "Gold", UBUNTU)
    with pytest.raises(Forbidden):
        saved_views.set_shared(viewer, view, shared=True)
    assert not SavedView.get().shared


def test_a_former_editor_can_only_stop_sharing(actor_of: ActorOf, scope: ScopeAt) -> None:
    viewer, acme = actor_of("account-viewer"), scope("acme")
    view = SavedView.create(scope=acme, person=viewer.person, name="Gold", path=UBUNTU, shared=True)
    with pytest.raises(Forbidden):
        saved_views.rename_view(viewer, view, "Silver")
    saved_views.set_shared(viewer, view, shared=False)
    saved_views.rename_view(viewer, view, "Silver")
    assert names(viewer, acme) == (["Silver"], [])
    assert audited_actions() == [("view.unshare", "Gold")]


def test_a_person_cannot_save_views_at_an_invisible_scope(
    actor_of: ActorOf, scope: ScopeAt
) -> None:
    with pytest.raises(Forbidden):
        saved_views.save_view(actor_of("stranger"), scope("acme"), "Gold", UBUNTU)


def test_names_are_unique_per_person_and_scope(actor_of: ActorOf, scope: ScopeAt) -> None:
    editor, acme = actor_of("account-editor"), scope("acme")
    view = saved_views.save_view(editor, acme, "Gold", UBUNTU)
    with pytest.raises(NameTaken, match="already have a view named “Gold”") as raised:
        saved_views.save_view(editor, acme, "Gold ", "images?q=web")
    assert raised.value.view == view
    again = saved_views.save_view(editor, acme, "Gold", "images?q=web", replace=True)
    assert (again.id, SavedView.get().path) == (view.id, "images?q=web")
    assert audited_actions() == []
    # Other people and other scopes can use the same name.
    saved_views.save_view(actor_of("account-admin"), acme, "Gold", UBUNTU)
    saved_views.save_view(editor, scope("acme/staging"), "Gold", UBUNTU)


def test_changes_that_others_see_are_audited(actor_of: ActorOf, scope: ScopeAt) -> None:
    editor, acme = actor_of("account-editor"), scope("acme")
    saved_views.save_view(editor, acme, "Gold", UBUNTU)
    view = saved_views.save_view(editor, acme, "Gold", UBUNTU, shared=True, replace=True)
    saved_views.save_view(editor, acme, "Gold", "images?q=web", shared=True, replace=True)
    saved_views.save_view(editor, acme, "Gold", "images?q=web", shared=True, replace=True)
    saved_views.rename_view(
        editor, saved_views.find_visible_view(editor, acme, view.id) or view, "Silver"
    )
    assert audited_actions() == [
        ("view.share", "Gold"),
        ("view.edit", "Gold"),
        ("view.edit", "Silver"),
    ]
    changes = [entry.changes for entry in AuditEntry.select().order_by(AuditEntry.id)]
    assert changes == [{}, {"path": [UBUNTU, "images?q=web"]}, {"name": ["Gold", "Silver"]}]


def test_a_view_is_renamed_unless_the_name_is_taken(actor_of: ActorOf, scope: ScopeAt) -> None:
    viewer, acme = actor_of("account-viewer"), scope("acme")
    view = saved_views.save_view(viewer, acme, "Gold", UBUNTU)
    saved_views.save_view(viewer, acme, "Silver", UBUNTU)
    with pytest.raises(NameTaken):
        saved_views.rename_view(viewer, view, "Silver")
    saved_views.rename_view(viewer, view, view.name)
    saved_views.rename_view(viewer, view, "gold")
    assert names(viewer, acme) == (["gold", "Silver"], [])


@pytest.mark.parametrize("name", ["", "  ", "x" * 61, "new\x00line", "\u202egold"])
def test_invalid_names_are_refused(actor_of: ActorOf, scope: ScopeAt, name: str) -> None:
    viewer, acme = actor_of("account-viewer"), scope("acme")
    with pytest.raises(SavedViewError, match=r"1 to 60 characters|U\+0000|U\+202E") as raised:
        saved_views.save_view(viewer, acme, name, UBUNTU)
    assert raised.value.field == "name"
    view = saved_views.save_view(viewer, acme, "x" * 60, UBUNTU)
    with pytest.raises(SavedViewError):
        saved_views.rename_view(viewer, view, name)
    assert names(viewer, acme) == (["x" * 60], [])


@pytest.mark.parametrize(
    "path",
    [
        "",
        "members",
        "imagesx?q=web",
        "images/1",
        "//evil.example",
        "../images",
        "images?q=" + 801 * "x",
    ],
)
def test_only_searches_of_images_are_saved(actor_of: ActorOf, scope: ScopeAt, path: str) -> None:
    with pytest.raises(SavedViewError):
        saved_views.save_view(actor_of("account-viewer"), scope("acme"), "x", path)


@pytest.mark.parametrize(
    ("path", "saved"),
    [
        ("images", "images"),
        ("images?", "images"),
        ("images?q=web&after=WzFd&sort=name", "images?q=web&sort=name"),
        ("images?before=WzFd", "images"),
        ("images?q=%C3%BC+%22a+b%22", "images?q=%C3%BC+%22a+b%22"),
    ],
)
def test_a_view_opens_the_first_page(
    actor_of: ActorOf, scope: ScopeAt, path: str, saved: str
) -> None:
    view = saved_views.save_view(actor_of("account-viewer"), scope("acme"), "x", path)
    assert SavedView.get_by_id(view.id).path == saved


def test_the_number_of_views_is_limited(actor_of: ActorOf, scope: ScopeAt) -> None:
    viewer, acme = actor_of("account-viewer"), scope("acme")
    for number in range(MAX_VIEWS):
        saved_views.save_view(viewer, acme, f"view {number}", UBUNTU)
    with pytest.raises(SavedViewError, match="50 views here"):
        saved_views.save_view(viewer, acme, "one more", UBUNTU)
    saved_views.save_view(viewer, acme, "view 7", "images", replace=True)
    saved_views.save_view(viewer, scope("acme/staging"), "elsewhere", UBUNTU)
    saved_views.save_view(actor_of("account-editor"), acme, "somebody else's", UBUNTU)


def test_owners_and_admins_delete_views(actor_of: ActorOf, scope: ScopeAt) -> None:
    editor, admin, acme = actor_of("account-editor"), actor_of("account-admin"), scope("acme")
    private = saved_views.save_view(editor, acme, "Private", UBUNTU)
    first = saved_views.save_view(editor, acme, "First", UBUNTU, shared=True)
    second = saved_views.save_view(editor, acme, "Second", UBUNTU, shared=True)
    for who in ("account-viewer", "scalr-editor"):
        assert not saved_views.may_delete(actor_of(who), first)
        with pytest.raises(Forbidden):
            saved_views.delete_view(actor_of(who), first)
    assert not saved_views.may_delete(admin, private)
    saved_views.delete_view(editor, private)
    saved_views.delete_view(editor, first)
    saved_views.delete_view(admin, second)
    assert not SavedView.select().exists()
    assert audited_actions()[2:] == [("view.remove", "First"), ("view.remove", "Second")]


def test_views_are_deleted_with_their_person_and_scope(actor_of: ActorOf, scope: ScopeAt) -> None:
    editor = actor_of("account-editor")
    saved_views.save_view(editor, scope("acme"), "Gold", UBUNTU, shared=True)
    saved_views.save_view(actor_of("scalr-admin"), scope("acme/staging"), "Gold", UBUNTU)
    scope("acme/staging").delete_instance()
    editor.person.delete_instance()
    assert not SavedView.select().exists()
