"""Deleting images, and restoring them within 24 hours."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

import models
from models import AuditEntry, DeletedImage, FacetGroup, Image, LifeCycle, Scope, now
from tests.conftest import (
    ActorOf,
    MakeCredentials,
    MakeImage,
    ScopeAt,
    choices,
    details,
    entries_of,
    receipt,
)
from webapp.access import Actor, Forbidden
from webapp.clouds.locators import Locator
from webapp.images import deletion, life_cycle, registration
from webapp.images.deletion import CannotRestore
from webapp.revisions.conflicts import EditConflict
from webapp.search import catalogue
from webapp.search.catalogue import Listing
from webapp.search.parser import parse
from webapp.search.query import OWNED_OR_INHERITED


def stored_columns(image: Image) -> Mapping[str, Any]:
    """Return the stored columns without the group, because restoring may change the group."""
    columns = Image.get_by_id(image.id).__data__
    return {name: value for name, value in columns.items() if name != "group_id"}


def backdate_deletion(batch: str, **ago: int) -> None:
    at = now() - timedelta(**ago)
    DeletedImage.update(deleted_at=at).where(DeletedImage.batch == batch).execute()


def test_restoring_preserves_every_field(
    make_image: MakeImage, editor: Actor, acme: Scope, actor_of: ActorOf
) -> None:
    successor = make_image("acme", 2)
    image = make_image("acme", 1, name="Größe “1”", size_gb=None, shared=False)
    life_cycle.deprecate(editor, image, models.today() + timedelta(days=3), "Old.", successor.id)
    before = stored_columns(image)
    batch = deletion.delete(editor, image)
    assert Image.get_or_none(Image.id == image.id) is None
    assert deletion.restorable_images(acme, batch) == [(image.id, "Größe “1”")]
    admin = actor_of("account-admin")
    restored, refused = deletion.restore_batch(admin, acme, batch)
    assert (restored, refused) == ([image], [])
    revision = before["revision"] + 1
    assert stored_columns(image) == {**before, "revision": revision, "derived_revision": revision}
    assert not DeletedImage.select().exists()
    entries = entries_of(image)
    assert [(each.action, each.person) for each in entries[:2]] == [
        ("image.undelete", admin.person),
        ("image.delete", editor.person),
    ]
    found = catalogue.find_page(admin, acme, Listing(query=parse("größe")))
    assert [each.id for each in found.images] == [image.id]
    assert sum(group.images for group in FacetGroup.select()) == 2


def test_an_unverified_image_is_restored_as_unverified(editor: Actor, acme: Scope) -> None:
    locator = Locator("us-east-1", "ami-0000000000000000a")
    image = registration.register_unverified(
        editor, acme, "aws", locator, choices(), details=details()
    )
    deletion.restore_batch(editor, acme, deletion.delete(editor, image))
    assert (Image.get().verified, Image.get().credentials) == (False, None)


def test_a_batch_is_restored_only_once(make_image: MakeImage, editor: Actor, acme: Scope) -> None:
    image = make_image("acme")
    batch = deletion.delete(editor, image)
    deletion.restore_batch(editor, acme, batch)
    assert deletion.restore_batch(editor, acme, batch) == ([], [])
    with pytest.raises(CannotRestore, match="already been restored"):
        deletion.restore_image(editor, acme, image.id, batch)


def test_restoring_needs_the_right_and_the_same_scope(
    make_image: MakeImage, editor: Actor, acme: Scope, actor_of: ActorOf, scope: ScopeAt
) -> None:
    batch = deletion.delete(editor, make_image("acme"))
    for who in ("account-viewer", "environment-admin", "stranger"):
        with pytest.raises(Forbidden):
            deletion.restore_batch(actor_of(who), acme, batch)
    admin = actor_of("scalr-admin")
    for path in ("", "globex", "acme/production"):
        assert deletion.restore_batch(admin, scope(path), batch) == ([], [])
    assert deletion.restore_batch(admin, acme, "0" * 32) == ([], [])
    assert not Image.select().exists()


def test_images_can_be_restored_for_a_day(
    make_image: MakeImage, editor: Actor, acme: Scope
) -> None:
    image, other = make_image("acme", 1), make_image("acme", 2)
    batch = deletion.delete(editor, image)
    backdate_deletion(batch, hours=24, minutes=1)
    assert deletion.restorable_images(acme, batch) == []
    with pytest.raises(CannotRestore, match="more than 24 hours ago"):
        deletion.restore_image(editor, acme, image.id, batch)
    later = deletion.delete(editor, other)
    assert not deletion.purge_chunk()
    assert [row.batch for row in DeletedImage.select()] == [later]
    backdate_deletion(later, hours=23, minutes=59)
    assert deletion.restore_batch(editor, acme, later)[0] == [other]


@pytest.mark.parametrize(("path", "is_refused"), [("acme", True), ("", True), ("globex", False)])
def test_an_image_that_was_registered_again_is_not_restored(
    make_image: MakeImage, editor: Actor, acme: Scope, path: str, is_refused: bool
) -> None:
    image, other = make_image("acme", 1), make_image("acme", 2, name="other")
    batch = deletion.delete(editor, image)
    deletion.delete(editor, other, batch)
    registered = make_image(path, 1)
    restored, refused = deletion.restore_batch(editor, acme, batch)
    if not is_refused:
        assert (set(restored), refused) == ({image, other}, [])
        return
    assert restored == [other]
    reason = f"This image is already registered at {registered.scope.label}."
    assert refused == [("noble", reason)]
    # After the newly registered image is deleted, the first image can be restored.
    registered.delete_instance()
    assert deletion.restore_batch(editor, acme, batch) == ([image], [])


def test_invisible_images_do_not_block_restoring(
    make_image: MakeImage, editor: Actor, acme: Scope
) -> None:
    image = make_image("acme", 1)
    batch = deletion.delete(editor, image)
    make_image("", 1, shared=False)
    make_image("acme/production", 1)
    assert deletion.restore_batch(editor, acme, batch)[0] == [image]


def test_ids_are_never_reused(make_image: MakeImage, editor: Actor, acme: Scope) -> None:
    image = make_image("acme", 1)
    batch = deletion.delete(editor, image)
    assert make_image("acme", 2).id != image.id
    assert deletion.restore_batch(editor, acme, batch)[0] == [image]


def test_deleted_credentials_and_people_are_not_restored(
    make_credentials: MakeCredentials, editor: Actor, acme: Scope, actor_of: ActorOf
) -> None:
    credentials = make_credentials("acme", "theirs")
    image = registration.register(editor, acme, receipt(credentials), choices())
    admin = actor_of("account-admin")
    batch = deletion.delete(admin, image)
    credentials.delete_instance()
    editor.person.delete_instance()
    deletion.restore_batch(admin, acme, batch)
    restored = Image.get()
    assert (restored.credentials, restored.credentials_name) == (None, "theirs")
    assert (restored.registered_by, restored.registered_by_name) == (None, "account-editor")


def test_a_restored_image_is_the_successor_again(
    make_image: MakeImage, editor: Actor, acme: Scope
) -> None:
    old, moved, successor, other = (make_image("acme", number) for number in (1, 2, 3, 4))
    for image in (old, moved):
        life_cycle.deprecate(editor, image, models.today(), "", successor.id)
    batch = deletion.delete(editor, successor)
    assert Image.get_by_id(old.id).successor is None
    moved = Image.get_by_id(moved.id)
    life_cycle.deprecate(editor, moved, models.today(), "", other.id)
    deletion.restore_batch(editor, acme, batch)
    assert Image.get_by_id(old.id).successor == successor
    assert Image.get_by_id(moved.id).successor == other


def test_an_image_that_was_made_active_again_gets_no_successor(
    make_image: MakeImage, editor: Actor, acme: Scope
) -> None:
    old, successor = make_image("acme", 1), make_image("acme", 2)
    life_cycle.deprecate(editor, old, models.today(), "", successor.id)
    batch = deletion.delete(editor, successor)
    life_cycle.make_active(editor, Image.get_by_id(old.id))
    deletion.restore_batch(editor, acme, batch)
    assert Image.get_by_id(old.id).successor is None


def test_restoring_never_makes_successors_lead_back(
    make_image: MakeImage, editor: Actor, acme: Scope
) -> None:
    old, successor, newest = (make_image("acme", number) for number in (1, 2, 3))
    for image, following in ((old, successor), (successor, newest)):
        life_cycle.deprecate(editor, image, models.today(), "", following.id)
    batch = deletion.delete(editor, successor)
    life_cycle.deprecate(editor, Image.get_by_id(newest.id), models.today(), "", old.id)
    deletion.restore_batch(editor, acme, batch)
    images = (successor, newest, old)
    successors = [Image.get_by_id(image.id).successor_id for image in images]
    assert successors == [newest.id, old.id, None]


def test_the_history_of_an_image_says_that_its_successor_was_deleted_and_restored(
    make_image: MakeImage, editor: Actor, actor_of: ActorOf, acme: Scope
) -> None:
    old, successor = make_image("acme/production", 1), make_image("acme", 2, shared=True)
    life_cycle.retire(actor_of("environment-editor"), old, models.today(), "", successor.id)
    batch = deletion.delete(editor, successor)
    deletion.restore_batch(editor, acme, batch)
    restored, deleted, *_ = entries_of(old)
    reference = f"#{successor.id}"
    assert [restored.changes, deleted.changes] == [
        {"successor": [None, reference]},
        {"successor": [reference, None]},
    ]
    assert {(entry.action, entry.person, entry.scope_id) for entry in (restored, deleted)} == {
        ("image.successor", editor.person, old.scope_id)
    }
    stored = Image.get_by_id(old.id).revision
    assert (deleted.revision, restored.revision) == (stored - 1, stored)


def test_a_form_from_before_the_restoration_does_not_remove_the_restored_successor(
    make_image: MakeImage, editor: Actor, acme: Scope
) -> None:
    old, successor = make_image("acme", 1), make_image("acme", 2)
    life_cycle.deprecate(editor, old, models.today(), "", successor.id)
    batch = deletion.delete(editor, successor)
    seen = Image.get_by_id(old.id)
    deletion.restore_batch(editor, acme, batch)
    with pytest.raises(EditConflict):
        life_cycle.deprecate(editor, seen, models.today(), "A new reason.", None)
    assert Image.get_by_id(old.id).successor == successor


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_a_chain_of_successors_is_restored(
    make_image: MakeImage, editor: Actor, acme: Scope, order: tuple[int, ...]
) -> None:
    chain = [make_image("acme", number) for number in (1, 2, 3)]
    for image, following in pairwise(chain):
        life_cycle.deprecate(editor, image, models.today(), "", following.id)
    batch = deletion.new_batch()
    for index in order:
        deletion.delete(editor, Image.get_by_id(chain[index].id), batch)
    restored, refused = deletion.restore_batch(editor, acme, batch)
    assert (set(restored), refused) == (set(chain), [])
    successors = [Image.get_by_id(image.id).successor_id for image in chain]
    assert successors == [chain[1].id, chain[2].id, None]


def test_dates_that_passed_since_the_deletion_take_effect(
    make_image: MakeImage, editor: Actor, acme: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, tomorrow = make_image("acme"), models.today() + timedelta(days=1)
    life_cycle.retire(editor, image, tomorrow)
    batch = deletion.delete(editor, image)
    monkeypatch.setattr(models, "today", lambda: tomorrow)
    deletion.restore_batch(editor, acme, batch)
    assert Image.get().status is LifeCycle.RETIRED


def test_an_image_loaded_without_details_is_restored_with_them(
    make_image: MakeImage, editor: Actor, acme: Scope
) -> None:
    before = stored_columns(make_image("acme"))
    (listed,) = catalogue.iterate_images(editor, acme, OWNED_OR_INHERITED)
    deletion.restore_batch(editor, acme, deletion.delete(editor, listed))
    assert stored_columns(listed) == {**before, "revision": 2, "derived_revision": 2}


def test_a_forbidden_deletion_stores_nothing(make_image: MakeImage, actor_of: ActorOf) -> None:
    with pytest.raises(Forbidden):
        deletion.delete(actor_of("account-viewer"), make_image("acme"))
    assert not DeletedImage.select().exists()
    assert not AuditEntry.select().where(AuditEntry.action == "image.delete").exists()


def test_deleting_the_scope_removes_its_deleted_images(
    make_image: MakeImage, editor: Actor, scope: ScopeAt
) -> None:
    deletion.delete(editor, make_image("acme/staging"))
    scope("acme/staging").delete_instance()
    assert not DeletedImage.select().exists()


def test_deleting_an_image_preserves_its_history(make_image: MakeImage, actor_of: ActorOf) -> None:
    image = make_image("acme")
    deletion.delete(actor_of("account-editor"), image)
    assert Image.get_or_none(Image.id == image.id) is None
    entry = AuditEntry.get(AuditEntry.action == "image.delete")
    assert entry.changes["cloud_image_id"] == [image.cloud_image_id, None]


def test_the_history_of_a_restored_image_names_what_it_lost(
    make_credentials: MakeCredentials, make_image: MakeImage, editor: Actor, acme: Scope
) -> None:
    credentials, successor = make_credentials("acme", "theirs"), make_image("acme", 2)
    image = registration.register(editor, acme, receipt(credentials), choices())
    life_cycle.deprecate(editor, image, models.today(), "Old.", successor.id)
    batch = deletion.delete(editor, image)
    deletion.delete(editor, successor)
    credentials.delete_instance()
    ((restored,), _) = deletion.restore_batch(editor, acme, batch)
    assert entries_of(restored)[0].changes == {
        "successor": [f"#{successor.id}", None],
        "credentials": ["theirs", None],
    }
