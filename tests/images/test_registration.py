"""Registering an image: what is saved, who may register, and which credentials are allowed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from models import CloudCredentials, Image, Scope
from tests.conftest import ActorOf, MakeCredentials, ScopeAt, choices, details, entries_of, receipt
from webapp import audit
from webapp.access import Forbidden
from webapp.clouds.locators import Locator
from webapp.images import deletion, image_details, registration, sharing
from webapp.images.choices import choices_of
from webapp.images.identity import InvalidLocator, require_storable
from webapp.images.registration import CredentialsNotUsable


def test_registering_saves_details_and_choices(
    make_credentials: MakeCredentials, actor_of: ActorOf, scope: ScopeAt
) -> None:
    credentials, actor = make_credentials(), actor_of("account-editor")
    registered = registration.register(actor, scope("acme"), receipt(credentials), choices())
    image = Image.get_by_id(registered.id)
    assert image_details.from_json(image.details) == details()
    assert choices_of(image) == choices()
    assert (image.cloud, image.location) == ("aws", "us-east-1")
    assert image.registered_by == actor.person
    assert image.credentials_name == "AWS"
    entry = entries_of(image)[0]
    assert (entry.action, entry.person) == ("image.register", actor.person)
    assert entry.changes["os_family"] == [None, "ubuntu"]


def test_the_history_has_only_values_that_changed(
    make_credentials: MakeCredentials, actor_of: ActorOf, acme: Scope
) -> None:
    actor, without_size = actor_of("scalr-admin"), choices(size_gb=None)
    image = registration.register(actor, acme, receipt(make_credentials("")), without_size)
    sharing.promote(actor, image)
    deletion.delete(actor, image)
    entries = entries_of(image)
    assert {entry.action for entry in entries} == {
        f"image.{n}" for n in ("delete", "promote", "register")
    }
    for entry in entries:
        assert "size_gb" not in entry.changes
        assert all(before != after for before, after in entry.changes.values())


def test_credentials_of_lower_or_sibling_scopes_are_refused(
    make_credentials: MakeCredentials, actor_of: ActorOf, scope: ScopeAt
) -> None:
    of_acme = make_credentials("acme")
    for path in ("", "globex"):
        with pytest.raises(CredentialsNotUsable, match="available at this scope"):
            registration.register(actor_of("scalr-admin"), scope(path), receipt(of_acme), choices())
    below = scope("acme/production")
    assert registration.register(actor_of("scalr-admin"), below, receipt(of_acme), choices())


@pytest.mark.parametrize("who", ["account-viewer", "environment-admin", "stranger", "outsider"])
def test_only_editors_register(
    make_credentials: MakeCredentials, actor_of: ActorOf, scope: ScopeAt, who: str
) -> None:
    with pytest.raises(Forbidden):
        registration.register(actor_of(who), scope("acme"), receipt(make_credentials()), choices())


@pytest.mark.parametrize(
    ("cloud_name", "suggested"),
    [
        ("  padded ", "padded"),
        ("", "ami-00000000000000001"),
        ("tab\tinside", "tab inside"),
        ("x" * 300, "x" * 255),
        ("ubuntu/images/hvm-ssd (2026)", "ubuntu/images/hvm-ssd (2026)"),
    ],
)
def test_the_suggested_name_is_valid(
    make_credentials: MakeCredentials, cloud_name: str, suggested: str
) -> None:
    name = registration.suggested_name(receipt(make_credentials(), name=cloud_name))
    assert name == suggested
    assert choices(name=name)


def test_a_name_is_suggested_for_an_image_without_a_name(
    make_credentials: MakeCredentials,
) -> None:
    nameless = receipt(make_credentials(), name="")
    urn = "Canonical/ubuntu-24_04-lts/server/24.04.202610150"
    azure = replace(nameless, cloud="azure", locator=Locator("", urn))
    assert registration.suggested_name(azure) == urn.replace("/", "-")


def test_a_change_and_its_audit_entry_are_one_transaction(
    make_credentials: MakeCredentials,
    actor_of: ActorOf,
    scope: ScopeAt,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError("no more disk")

    credentials = make_credentials()
    monkeypatch.setattr(audit, "record", broken)
    with pytest.raises(OSError, match="no more disk"):
        registration.register(
            actor_of("account-editor"), scope("acme"), receipt(credentials), choices()
        )
    assert Image.select().count() == 0


@pytest.mark.parametrize(
    ("locator", "field"),
    [
        (Locator("x" * 129, "ami-00000001"), "location"),
        (Locator("us-east-1", "x" * 513), "image_id"),
    ],
)
def test_values_longer_than_their_columns_are_refused(locator: Locator, field: str) -> None:
    with pytest.raises(InvalidLocator, match="too long") as caught:
        require_storable(locator)
    assert caught.value.field == field


def test_credentials_deleted_at_the_moment_of_registering_are_explained(
    actor_of: ActorOf,
    acme: Scope,
    make_credentials: MakeCredentials,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    credentials = make_credentials()
    find = registration.usable_credentials

    def find_then_delete(*arguments: Any) -> CloudCredentials:
        found = find(*arguments)
        CloudCredentials.delete().execute()
        return found

    monkeypatch.setattr(registration, "usable_credentials", find_then_delete)
    with pytest.raises(CredentialsNotUsable):
        registration.register(actor_of("account-editor"), acme, receipt(credentials), choices())
    assert not Image.select().exists()
