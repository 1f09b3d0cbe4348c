"""Sharing an image with lower scopes, and promoting it to the scope above."""

from __future__ import annotations

import pytest

from models import Image
from tests.conftest import (
    ActorOf,
    MakeCredentials,
    MakeImage,
    ScopeAt,
    choices,
    entries_of,
    receipt,
)
from webapp.access import Forbidden
from webapp.images import registration, sharing
from webapp.images.identity import AlreadyRegistered
from webapp.images.sharing import CannotPromote
from webapp.search import catalogue


def test_lower_scopes_lose_access_to_a_shared_image(make_image: MakeImage) -> None:
    below = sharing.scopes_losing_access(make_image("acme")).rows
    assert [each.path for each in below] == ["acme/production", "acme/staging"]
    assert sharing.scopes_losing_access(make_image("acme", 2, shared=False)).rows == []
    assert sharing.scopes_losing_access(make_image("acme/production", 3)).rows == []


def test_an_image_is_promoted_to_the_scope_above(
    make_image: MakeImage, actor_of: ActorOf, scope: ScopeAt
) -> None:
    image = make_image("acme/production")
    editor, admin = actor_of("environment-admin"), actor_of("account-editor")
    assert sharing.promotion_target(editor, image) is None
    with pytest.raises(Forbidden):
        sharing.promote(editor, image)
    assert sharing.promotion_target(admin, image) == scope("acme")
    assert sharing.promote(admin, image) == scope("acme")
    # Everybody who could see the image can still see it.
    assert catalogue.find_visible_image(scope("acme/production"), image.id)
    assert catalogue.find_visible_image(scope("acme/staging"), image.id)
    assert entries_of(image)[0].changes["scope"] == [
        "Environment acme / production",
        "Account acme",
    ]


def test_an_image_is_not_promoted_to_a_scope_that_has_it(
    make_image: MakeImage, actor_of: ActorOf, scope: ScopeAt
) -> None:
    below, above = make_image("acme/production"), make_image("acme")
    with pytest.raises(AlreadyRegistered) as caught:
        sharing.promote(actor_of("account-admin"), below)
    assert caught.value.image == above
    assert Image.get_by_id(below.id).scope == scope("acme/production")


def test_promotion_needs_credentials_at_the_target(
    make_credentials: MakeCredentials, actor_of: ActorOf, scope: ScopeAt
) -> None:
    production, admin = scope("acme/production"), actor_of("scalr-admin")
    local = make_credentials("acme/production")
    image = registration.register(admin, production, receipt(local), choices())
    with pytest.raises(CannotPromote, match="aren’t available at Account acme"):
        sharing.promote(admin, image)
    local.delete_instance()
    with pytest.raises(CannotPromote, match="no credentials that Account acme can use"):
        sharing.promote(admin, Image.get_by_id(image.id))
