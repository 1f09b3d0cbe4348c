"""The "Check now" button: what changes when an image is read from its cloud again."""

from __future__ import annotations

import pytest

from models import CloudCredentials, Image
from tests.conftest import ActorOf, MakeCredentials, MakeImage, details
from webapp import audit
from webapp.clouds import CLOUDS
from webapp.clouds.base import ImageNotFound, ImageState
from webapp.credentials.vault import Vault
from webapp.images import checking, image_details
from webapp.images.registration import CredentialsNotUsable


def test_a_check_stores_what_changed_in_the_cloud(
    make_image: MakeImage, actor_of: ActorOf, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, editor = make_image("acme"), actor_of("account-editor")
    monkeypatch.setattr(CLOUDS["aws"], "describe", lambda *_: details(description="New"))
    changes = checking.check_again(editor, image, vault)
    assert changes == {"Description": ("Ubuntu 24.04", "New")}
    assert checking.check_again(editor, image, vault) == {}
    assert Image.get_by_id(image.id).description == "New"
    actions = [entry.action for entry in audit.image_entries(image)]
    assert actions == ["image.check", "image.register"]


def test_a_gone_image_stays_registered(
    make_image: MakeImage, actor_of: ActorOf, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_found(*_: object) -> None:
        raise ImageNotFound("There is no such AMI.")

    image = make_image("acme")
    monkeypatch.setattr(CLOUDS["aws"], "describe", not_found)
    changes = checking.check_again(actor_of("account-editor"), image, vault)
    assert changes == {"State": ("available", "gone")}
    stored = Image.get_by_id(image.id)
    assert stored.state == ImageState.GONE
    assert image_details.from_json(stored.details).state_note == "There is no such AMI."


def test_a_check_can_use_other_credentials_after_a_deletion(
    make_image: MakeImage,
    make_credentials: MakeCredentials,
    actor_of: ActorOf,
    vault: Vault,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image, editor = make_image("acme"), actor_of("account-editor")
    CloudCredentials.get_by_id(image.credentials_id).delete_instance()
    image = Image.get_by_id(image.id)
    assert (image.credentials, image.credentials_name) == (None, "AWS")
    monkeypatch.setattr(CLOUDS["aws"], "describe", lambda *_: details())
    with pytest.raises(CredentialsNotUsable, match="Choose credentials"):
        checking.check_again(editor, image, vault)
    other = make_credentials("acme", "Other")
    changes = checking.check_again(editor, image, vault, other.id)
    assert changes == {"Credentials": ("AWS", "Other")}
