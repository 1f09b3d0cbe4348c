"""Editing an image: what changes, and its entry in the audit log."""

from __future__ import annotations

from models import Image
from tests.conftest import ActorOf, MakeImage, choices, entries_of
from webapp.images import editing


def test_editing_records_old_and_new_values(make_image: MakeImage, actor_of: ActorOf) -> None:
    image = make_image("acme")
    changes = editing.edit(
        actor_of("account-editor"), image, choices(os_version="22.04", size_gb=None)
    )
    assert changes == {"os_version": ("24.04", "22.04"), "size_gb": (8, None)}
    assert entries_of(image)[0].changes == {
        "os_version": ["24.04", "22.04"],
        "size_gb": [8, None],
    }
    assert Image.get_by_id(image.id).os_version_key < make_image("globex").os_version_key


def test_tags_are_stored_once_each_in_one_order(make_image: MakeImage, actor_of: ActorOf) -> None:
    image = make_image("acme", tags=["cis"])
    edited = choices(tags=["team = Web ", "CIS", "cis", "TEAM=web"])
    changes = editing.edit(actor_of("account-editor"), image, edited)
    assert changes == {"tags": (["cis"], ["CIS", "team=Web"])}
    assert Image.get_by_id(image.id).tags == ["CIS", "team=Web"]


def test_an_edit_without_changes_is_not_audited(make_image: MakeImage, actor_of: ActorOf) -> None:
    image = make_image("acme")
    assert editing.edit(actor_of("account-editor"), image, choices()) == {}
    assert len(entries_of(image)) == 1
