"""The life of an image: the rules of registering, editing, sharing, promoting and deleting."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from models import AuditEntry, CloudCredentials, Image, Scope
from tests.conftest import MakeCredentials, MakeImage, choices, details, receipt
from webapp import audit
from webapp.access import Actor, Forbidden
from webapp.clouds import CLOUDS
from webapp.clouds.base import ImageNotFound, ImageState, Locator
from webapp.credentials.vault import Vault
from webapp.images import checking, deletion, editing, image_details, registration, sharing
from webapp.images.choices import InvalidChoices, choices_of
from webapp.images.identity import AlreadyRegistered
from webapp.images.registration import CredentialsNotUsable, InvalidLocator
from webapp.images.sharing import CannotPromote
from webapp.search import catalogue

Actors = Callable[[str], Actor]
Scopes = Callable[[str], Scope]


def test_register_keeps_what_the_cloud_and_the_person_said(
    make_credentials: MakeCredentials, actor_of: Actors, scope: Scopes
) -> None:
    credentials, actor = make_credentials(), actor_of("account-editor")
    made = registration.register(actor, scope("acme"), receipt(credentials), choices())
    image = Image.get_by_id(made.id)
    assert image_details.from_json(image.details) == details()
    assert choices_of(image) == choices()
    assert (image.cloud, image.location) == ("aws", "us-east-1")
    assert image.registered_by == actor.person
    assert image.credentials_name == "AWS"
    entry = audit.image_entries(image)[0]
    assert (entry.action, entry.person) == ("image.register", actor.person)
    assert entry.changes["os_family"] == [None, "ubuntu"]


@pytest.mark.parametrize(
    ("first", "second", "refused"),
    [
        ("", "", True),
        ("", "acme", True),
        ("", "acme/production", True),
        ("acme", "acme/production", True),
        ("acme", "", False),  # lower scopes are not looked at
        ("acme", "globex", False),  # nor those beside
        ("acme/production", "acme/staging", False),
    ],
)
def test_once_where_it_can_be_seen(
    make_image: MakeImage, first: str, second: str, refused: bool
) -> None:
    there = make_image(first)
    if not refused:
        assert make_image(second).scope.path == second
        return
    with pytest.raises(AlreadyRegistered) as caught:
        make_image(second)
    assert caught.value.image == there


def test_an_image_that_is_not_shared_is_in_nobodys_way(make_image: MakeImage) -> None:
    make_image("", shared=False)
    assert make_image("acme").scope.path == "acme"


def test_another_location_is_another_image(make_image: MakeImage) -> None:
    make_image("acme", location="us-east-1")
    assert make_image("acme", location="eu-west-1").location == "eu-west-1"


def test_credentials_from_below_or_beside_are_refused(
    make_credentials: MakeCredentials, actor_of: Actors, scope: Scopes
) -> None:
    of_acme = make_credentials("acme")
    for path in ("", "globex"):
        with pytest.raises(CredentialsNotUsable, match="available at this scope"):
            registration.register(actor_of("scalr-admin"), scope(path), receipt(of_acme), choices())
    below = scope("acme/production")
    assert registration.register(actor_of("scalr-admin"), below, receipt(of_acme), choices())


@pytest.mark.parametrize("who", ["account-viewer", "environment-admin", "stranger", "outsider"])
def test_only_editors_register(
    make_credentials: MakeCredentials, actor_of: Actors, scope: Scopes, who: str
) -> None:
    with pytest.raises(Forbidden):
        registration.register(actor_of(who), scope("acme"), receipt(make_credentials()), choices())


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": "x"}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"name": "line\nbreak"}, "name"),
        ({"name": " blank"}, "name"),
        ({"os_family": ""}, "os_family"),
        ({"os_version": ""}, "os_version"),
        ({"os_version": "x" * 65}, "os_version"),
        ({"size_gb": 0}, "size_gb"),
        ({"size_gb": 2**31}, "size_gb"),
    ],
)
def test_choices_that_break_a_rule(wrong: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidChoices) as caught:
        choices(**wrong)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("said", "suggested"),
    [
        ("  padded ", "padded"),
        ("", "ami-00000000000000001"),
        ("tab\tinside", "tabinside"),
        ("x" * 300, "x" * 255),
        ("ubuntu/images/hvm-ssd (2026)", "ubuntu/images/hvm-ssd (2026)"),
    ],
)
def test_a_suggested_name_is_a_valid_one(
    make_credentials: MakeCredentials, said: str, suggested: str
) -> None:
    name = registration.suggested_name(receipt(make_credentials(), name=said))
    assert name == suggested
    assert choices(name=name)


def test_an_environment_shares_with_nobody(make_image: MakeImage) -> None:
    assert not make_image("acme/production").shared


def test_editing_records_from_what_to_what(make_image: MakeImage, actor_of: Actors) -> None:
    image = make_image("acme")
    changes = editing.edit(
        actor_of("account-editor"), image, choices(os_version="22.04", size_gb=None)
    )
    assert changes == {"os_version": ("24.04", "22.04"), "size_gb": (8, None)}
    assert audit.image_entries(image)[0].changes == {
        "os_version": ["24.04", "22.04"],
        "size_gb": [8, None],
    }
    assert Image.get_by_id(image.id).os_version_key < make_image("globex").os_version_key


def test_an_edit_that_changes_nothing_leaves_no_trace(
    make_image: MakeImage, actor_of: Actors
) -> None:
    image = make_image("acme")
    assert editing.edit(actor_of("account-editor"), image, choices()) == {}
    assert len(audit.image_entries(image)) == 1


def test_who_loses_sight(make_image: MakeImage) -> None:
    below = sharing.scopes_losing_access(make_image("acme"))
    assert [each.path for each in below] == ["acme/production", "acme/staging"]
    assert sharing.scopes_losing_access(make_image("acme", 2, shared=False)) == []
    assert sharing.scopes_losing_access(make_image("acme/production", 3)) == []


def test_promotion(make_image: MakeImage, actor_of: Actors, scope: Scopes) -> None:
    image = make_image("acme/production")
    editor, admin = actor_of("environment-admin"), actor_of("account-editor")
    assert sharing.promotion_target(editor, image) is None
    with pytest.raises(Forbidden):
        sharing.promote(editor, image)
    assert sharing.promotion_target(admin, image) == scope("acme")
    assert sharing.promote(admin, image) == scope("acme")
    # Those who saw it go on seeing it.
    assert catalogue.get(scope("acme/production"), image.id)
    assert catalogue.get(scope("acme/staging"), image.id)
    assert audit.image_entries(image)[0].changes["scope"] == [
        "Environment acme / production",
        "Account acme",
    ]


def test_promotion_where_it_is_registered_already(
    make_image: MakeImage, actor_of: Actors, scope: Scopes
) -> None:
    below, above = make_image("acme/production"), make_image("acme")
    with pytest.raises(AlreadyRegistered) as caught:
        sharing.promote(actor_of("account-admin"), below)
    assert caught.value.image == above
    assert Image.get_by_id(below.id).scope == scope("acme/production")


def test_promotion_beyond_the_reach_of_the_credentials(
    make_credentials: MakeCredentials, actor_of: Actors, scope: Scopes
) -> None:
    production, admin = scope("acme/production"), actor_of("scalr-admin")
    local = make_credentials("acme/production")
    image = registration.register(admin, production, receipt(local), choices())
    with pytest.raises(CannotPromote, match="aren’t available at Account acme"):
        sharing.promote(admin, image)
    local.delete_instance()
    with pytest.raises(CannotPromote, match="no credentials that Account acme can use"):
        sharing.promote(admin, Image.get_by_id(image.id))


def test_checking_again(
    make_image: MakeImage, actor_of: Actors, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, editor = make_image("acme"), actor_of("account-editor")
    monkeypatch.setattr(CLOUDS["aws"], "describe", lambda *_: details(description="New"))
    changes = checking.check_again(editor, image, vault)
    assert changes == {"Description": ("Ubuntu 24.04", "New")}
    assert checking.check_again(editor, image, vault) == {}
    assert Image.get_by_id(image.id).description == "New"
    actions = [entry.action for entry in audit.image_entries(image)]
    assert actions == ["image.check", "image.register"]


def test_an_image_that_is_gone_is_kept_and_marked(
    make_image: MakeImage, actor_of: Actors, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise ImageNotFound("There is no such AMI.")

    image = make_image("acme")
    monkeypatch.setattr(CLOUDS["aws"], "describe", gone)
    changes = checking.check_again(actor_of("account-editor"), image, vault)
    assert changes == {"State": ("available", "gone")}
    stored = Image.get_by_id(image.id)
    assert stored.state == ImageState.GONE
    assert image_details.from_json(stored.details).state_note == "There is no such AMI."


def test_checking_with_other_credentials_when_the_first_are_gone(
    make_image: MakeImage,
    make_credentials: MakeCredentials,
    actor_of: Actors,
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


def test_deleting_leaves_its_history(make_image: MakeImage, actor_of: Actors) -> None:
    image = make_image("acme")
    deletion.delete(actor_of("account-editor"), image)
    assert Image.get_or_none(Image.id == image.id) is None
    entry = AuditEntry.get(AuditEntry.action == "image.delete")
    assert entry.changes["cloud_image_id"] == [image.cloud_image_id, None]


def test_the_change_and_its_entry_stand_or_fall_together(
    make_credentials: MakeCredentials,
    actor_of: Actors,
    scope: Scopes,
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
def test_what_is_longer_than_can_be_kept_is_refused(locator: Locator, field: str) -> None:
    with pytest.raises(InvalidLocator, match="longer than") as caught:
        registration.require_storable(locator)
    assert caught.value.field == field
