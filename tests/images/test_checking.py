"""The "Check now" button: what changes when an image is read from its cloud again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

import models
from models import CloudCredentials, Image, Scope
from tests.conftest import ActorOf, MakeCredentials, MakeImage, choices, details, entries_of, reload
from webapp.access import Actor, Forbidden
from webapp.clouds import CLOUDS
from webapp.clouds.details import ImageDetails, ImageState
from webapp.clouds.errors import (
    CloudError,
    CloudThrottled,
    CloudUnreachable,
    CredentialsRejected,
    ImageNotFound,
    ImageNotVisible,
    InvalidImageId,
    PermissionDenied,
    UnknownLocation,
)
from webapp.clouds.locators import Locator
from webapp.credentials.vault import Vault, VaultError
from webapp.images import checking, image_details, registration, sharing
from webapp.images.checking import CheckedMeanwhile, RefersToRegistered
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
    actions = [entry.action for entry in entries_of(image)]
    assert actions == ["image.check", "image.register"]


def answer_with(monkeypatch: pytest.MonkeyPatch, answer: ImageDetails | Exception) -> None:
    """Make AWS describe every image as `answer`, or raise it."""

    def describe(*_: object) -> ImageDetails:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(CLOUDS["aws"], "describe", describe)


@pytest.fixture
def never_read(make_credentials: MakeCredentials, editor: Actor, acme: Scope) -> Image:
    """Return an image of acme that was never read from its cloud."""
    return register_never_read(editor, acme, make_credentials())


def register_never_read(
    editor: Actor, acme: Scope, credentials: CloudCredentials, image_id: str = "ami-0000000a"
) -> Image:
    return registration.register_unverified(
        editor,
        acme,
        "aws",
        Locator("us-east-1", image_id),
        choices(name="never read"),
        details=details(facts=(), volumes=()),
        credentials_id=credentials.id,
    )


def test_a_gone_image_stays_registered(
    make_image: MakeImage, actor_of: ActorOf, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = make_image("acme")
    answer_with(monkeypatch, ImageNotFound("There is no such AMI."))
    changes = checking.check_again(actor_of("account-editor"), image, vault)
    assert changes == {"State": ("available", "gone")}
    stored = Image.get_by_id(image.id)
    assert stored.state == ImageState.GONE
    assert image_details.from_json(stored.details).state_note == "There is no such AMI."


def test_a_check_corrects_an_image_that_was_marked_as_gone_by_mistake(
    make_image: MakeImage, editor: Actor, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = make_image("acme")
    answer_with(monkeypatch, ImageNotFound("There is no such AMI."))
    checking.check_again(editor, image, vault)
    answer_with(monkeypatch, details())
    assert checking.check_again(editor, reload(image), vault) == {"State": ("gone", "available")}
    stored = reload(image)
    assert (stored.state, stored.details["state_note"]) == (ImageState.AVAILABLE, "")


def test_an_image_that_was_never_read_has_a_state_of_its_own(never_read: Image) -> None:
    stored = Image.get_by_id(never_read.id)
    assert (stored.state, stored.verified) == (ImageState.UNKNOWN, False)
    assert image_details.from_json(stored.details).state is ImageState.UNKNOWN


def test_the_first_check_of_a_missing_image_finds_it_gone_and_not_changed(
    never_read: Image, editor: Actor, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_with(monkeypatch, ImageNotFound("There is no such AMI."))
    assert checking.check_again(editor, never_read, vault) == {"State": ("unknown", "gone")}
    entry = entries_of(never_read)[0]
    assert entry.changes == {"State": ["unknown", "gone"]}
    stored = Image.get_by_id(never_read.id)
    assert (stored.state, stored.verified) == (ImageState.GONE, True)


FAILURES = (
    ImageNotVisible("The application can’t see the subscription."),
    PermissionDenied("The credentials lack a permission."),
    CredentialsRejected("The key was deleted."),
    UnknownLocation("There is no such region."),
    CloudThrottled("Too many calls."),
    CloudUnreachable("The host is disconnected."),
    InvalidImageId("AWS rejected this ID."),
    VaultError("The key is missing."),
)


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("state", [ImageState.AVAILABLE, ImageState.UNKNOWN, ImageState.GONE])
def test_a_failed_check_keeps_the_state_and_stores_when_and_why(
    make_image: MakeImage,
    editor: Actor,
    vault: Vault,
    monkeypatch: pytest.MonkeyPatch,
    state: ImageState,
    error: Exception,
) -> None:
    image = make_image("acme")
    image_details.apply_details(image, details(state=state))
    image.save()
    before = reload(image)
    answer_with(monkeypatch, error)
    with pytest.raises(type(error)):
        checking.check_again(editor, image, vault)
    after = reload(image)
    assert (after.state, after.verified, after.details) == (state, before.verified, before.details)
    assert after.checked_at == before.checked_at
    assert (after.check_failed_at is not None, after.check_error) == (True, str(error))
    assert [entry.action for entry in entries_of(image)] == ["image.register"]
    answer_with(monkeypatch, details())
    checking.check_again(editor, image, vault)
    assert (reload(image).check_failed_at, reload(image).check_error) == (None, "")


def test_a_check_reads_the_image_where_it_was_found_before_and_then_elsewhere(
    make_image: MakeImage, actor_of: ActorOf, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, editor = make_image("acme"), actor_of("account-editor")
    answering, asked = {"westus", image.location}, list[str]()

    def describe(_: object, locator: Locator) -> ImageDetails:
        asked.append(locator.location)
        if locator.location in answering:
            return details(lookup_location="eastus")
        raise ImageNotFound("It isn’t available here.", ("eastus",))

    monkeypatch.setattr(CLOUDS["aws"], "describe", describe)
    image.details = {**image.details, "lookup_location": "westus"}
    image.save()
    checking.check_again(editor, image, vault)
    assert asked == ["westus"]
    assert reload(image).details["lookup_location"] == "eastus"
    checking.check_again(editor, image, vault)
    assert asked == ["westus", "eastus", image.location]
    assert reload(image).state == ImageState.AVAILABLE
    answering.clear()
    checking.check_again(editor, image, vault)
    assert reload(image).state == ImageState.GONE


def test_a_check_resolves_an_alias_to_the_image_that_it_refers_to(
    make_credentials: MakeCredentials,
    editor: Actor,
    acme: Scope,
    vault: Vault,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = register_never_read(editor, acme, make_credentials(), "latest")
    answer_with(monkeypatch, details(image_id="ami-00000001"))
    changes = checking.check_again(editor, image, vault)
    assert changes["Cloud image ID"] == ("latest", "ami-00000001")
    stored = reload(image)
    assert stored.cloud_image_id == "ami-00000001"
    assert "ami-00000001" in stored.search_text
    answer_with(monkeypatch, details(image_id=""))
    assert "Cloud image ID" not in checking.check_again(editor, image, vault)
    assert reload(image).cloud_image_id == "ami-00000001"


@pytest.mark.parametrize(
    ("cloud", "image_id"),
    [
        ("gce", "debian-cloud/global/images/family/debian-12"),
        ("azure", "Canonical/ubuntu-24_04-lts/server/latest"),
    ],
)
def test_an_alias_without_an_image_is_not_a_gone_image(
    editor: Actor,
    acme: Scope,
    vault: Vault,
    monkeypatch: pytest.MonkeyPatch,
    cloud: str,
    image_id: str,
) -> None:
    row = CloudCredentials(scope=acme, cloud=cloud, name=cloud)
    vault.store(row, (), {})
    row.save(force_insert=True)
    image = registration.register_unverified(
        editor,
        acme,
        cloud,
        Locator("", image_id),
        choices(),
        details=details(),
        credentials_id=row.id,
    )

    def not_found(*_: object) -> None:
        raise ImageNotFound("All images of the family are deprecated.")

    monkeypatch.setattr(CLOUDS[cloud], "describe", not_found)
    with pytest.raises(ImageNotFound):
        checking.check_again(editor, image, vault)
    stored = reload(image)
    assert stored.state == ImageState.UNKNOWN
    assert stored.check_error == "All images of the family are deprecated."


def test_an_alias_of_a_registered_image_stays_and_names_that_image(
    make_credentials: MakeCredentials,
    make_image: MakeImage,
    editor: Actor,
    acme: Scope,
    vault: Vault,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inherited = make_image("", 1)
    image = register_never_read(editor, acme, make_credentials(name="Other"), "latest")
    answer_with(monkeypatch, details(image_id=inherited.cloud_image_id))
    with pytest.raises(RefersToRegistered, match="registered at Scalr as “noble”") as caught:
        checking.check_again(editor, image, vault)
    assert caught.value.image == inherited
    stored = reload(image)
    assert (stored.cloud_image_id, stored.state) == ("latest", ImageState.UNKNOWN)
    assert stored.check_error == caught.value.message


def test_a_check_stores_the_new_location_of_a_moved_image(
    make_image: MakeImage, editor: Actor, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = make_image("acme")
    answer_with(monkeypatch, details(location="eu-west-1"))
    expected = {"Location": ("us-east-1", "eu-west-1")}
    assert checking.check_again(editor, image, vault) == expected
    stored = reload(image)
    assert stored.location == "eu-west-1"
    assert image_details.from_json(stored.details).location == ""
    entry = entries_of(image)[0]
    assert (entry.action, entry.changes) == (
        "image.check",
        {"Location": ["us-east-1", "eu-west-1"]},
    )
    answer_with(monkeypatch, details())
    assert checking.check_again(editor, stored, vault) == {}
    assert reload(image).location == "eu-west-1"


def test_an_image_that_moved_to_a_location_with_its_own_record_names_that_record(
    make_image: MakeImage, editor: Actor, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, image = make_image("acme", 1, name="other"), make_image("acme", 1, location="eu-west-1")
    answer_with(monkeypatch, details(location="us-east-1"))
    words = "moved from eu-west-1 to us-east-1, where it is already registered at .*acme as “other”"
    with pytest.raises(RefersToRegistered, match=words) as caught:
        checking.check_again(editor, image, vault)
    assert caught.value.image == other
    assert reload(image).location == "eu-west-1"


def test_of_two_checks_at_once_the_first_new_location_stays(
    make_image: MakeImage, editor: Actor, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = make_image("acme")

    def describe(*_: object) -> ImageDetails:
        Image.update(location="eu-west-1").where(Image.id == image.id).execute()
        return details(location="eu-west-2")

    monkeypatch.setattr(CLOUDS["aws"], "describe", describe)
    with pytest.raises(CheckedMeanwhile):
        checking.check_again(editor, image, vault)
    assert reload(image).location == "eu-west-1"


def test_of_two_checks_at_once_the_second_does_not_replace_the_id_again(
    make_credentials: MakeCredentials,
    editor: Actor,
    acme: Scope,
    vault: Vault,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = register_never_read(editor, acme, make_credentials(), "latest")

    def describe(*_: object) -> ImageDetails:
        other = Image.update(cloud_image_id="ami-00000001").where(Image.id == image.id)
        other.execute()
        return details(image_id="ami-00000002")

    monkeypatch.setattr(CLOUDS["aws"], "describe", describe)
    with pytest.raises(CheckedMeanwhile):
        checking.check_again(editor, image, vault)
    assert reload(image).cloud_image_id == "ami-00000001"


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


NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
Answer = ImageDetails | Exception


@dataclass
class Checks:
    """Checks an image while the cloud is answering another check of the same image."""

    image: Image
    actor: Actor
    vault: Vault
    monkeypatch: pytest.MonkeyPatch

    def check(
        self,
        second: int,
        answer: Answer,
        meanwhile: Callable[[], object] = lambda: None,
        credentials_id: int | None = None,
    ) -> None:
        """Start a check. AWS returns `answer` after `meanwhile`."""

        def describe(*_: object) -> ImageDetails:
            meanwhile()
            if isinstance(answer, Exception):
                raise answer
            return answer

        at = NOON + timedelta(seconds=second)
        self.monkeypatch.setattr(models, "now", lambda: at)
        self.monkeypatch.setattr(CLOUDS["aws"], "describe", describe)
        checking.check_again(self.actor, reload(self.image), self.vault, credentials_id)


@pytest.fixture
def checks(
    make_image: MakeImage, editor: Actor, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> Checks:
    image = make_image("acme")
    Image.update(checked_at=NOON - timedelta(days=1)).where(Image.id == image.id).execute()
    return Checks(image, editor, vault, monkeypatch)


def test_an_older_answer_that_arrives_later_does_not_replace_a_newer_answer(
    checks: Checks,
) -> None:
    with pytest.raises(CheckedMeanwhile):
        checks.check(
            0,
            details(description="Older"),
            meanwhile=lambda: checks.check(5, details(description="Newer")),
        )
    stored = reload(checks.image)
    assert (stored.description, stored.checked_at) == ("Newer", NOON + timedelta(seconds=5))


def test_of_two_checks_that_start_in_one_second_the_first_answer_stays(checks: Checks) -> None:
    with pytest.raises(CheckedMeanwhile):
        checks.check(
            0,
            details(description="Second"),
            meanwhile=lambda: checks.check(0, details(description="First")),
        )
    assert reload(checks.image).description == "First"


def test_a_newer_answer_is_compared_with_the_answer_that_was_stored_meanwhile(
    checks: Checks,
) -> None:
    checks.check(
        5,
        details(description="Newer"),
        meanwhile=lambda: checks.check(0, details(description="Older")),
    )
    newer, older, _ = entries_of(checks.image)
    assert older.changes == {"Description": ["Ubuntu 24.04", "Older"]}
    assert newer.changes == {"Description": ["Older", "Newer"]}


def test_a_missing_image_keeps_the_details_that_were_stored_meanwhile(checks: Checks) -> None:
    checks.check(
        5,
        ImageNotFound("There is no such AMI."),
        meanwhile=lambda: checks.check(0, details(description="Older")),
    )
    stored = reload(checks.image)
    assert (stored.state, stored.description) == (ImageState.GONE, "Older")


def test_an_older_failure_that_arrives_later_does_not_replace_a_newer_answer(
    checks: Checks,
) -> None:
    with pytest.raises(CloudUnreachable):
        checks.check(
            0, CloudUnreachable("No answer."), meanwhile=lambda: checks.check(5, details())
        )
    stored = reload(checks.image)
    assert (stored.check_failed_at, stored.check_error) == (None, "")


def test_an_older_failure_does_not_replace_a_newer_failure(checks: Checks) -> None:
    def fail_later() -> None:
        with suppress(CloudError):
            checks.check(5, CloudUnreachable("Newer."))

    with pytest.raises(CloudUnreachable):
        checks.check(0, CloudUnreachable("Older."), meanwhile=fail_later)
    stored = reload(checks.image)
    assert stored.check_error == "Newer."
    assert stored.check_failed_at == NOON + timedelta(seconds=5)


def test_an_older_answer_keeps_a_newer_failure(checks: Checks) -> None:
    def fail_later() -> None:
        with suppress(CloudError):
            checks.check(5, CloudUnreachable("Newer."))

    checks.check(0, details(description="Older"), meanwhile=fail_later)
    stored = reload(checks.image)
    assert (stored.description, stored.checked_at) == ("Older", NOON)
    assert stored.check_error == "Newer."


def test_a_check_keeps_the_credentials_that_another_check_chose_meanwhile(
    checks: Checks, make_credentials: MakeCredentials
) -> None:
    other = make_credentials("acme", "Other")
    checks.check(
        5,
        details(),
        meanwhile=lambda: checks.check(0, details(), credentials_id=other.id),
    )
    stored = reload(checks.image)
    assert (stored.credentials_id, stored.credentials_name) == (other.id, "Other")


def test_a_check_by_a_person_who_lost_the_right_meanwhile_is_not_saved(
    checks: Checks, make_image: MakeImage, make_credentials: MakeCredentials, actor_of: ActorOf
) -> None:
    checks.image = make_image("acme/production", 2, shared=False)
    checks.actor, editor = actor_of("environment-editor"), actor_of("account-editor")
    own = make_credentials("acme/production", "Own")
    with pytest.raises(Forbidden):
        checks.check(
            0,
            details(),
            meanwhile=lambda: sharing.promote(editor, reload(checks.image)),
            credentials_id=own.id,
        )
    assert reload(checks.image).credentials_id == checks.image.credentials_id


def test_a_promoted_image_never_gets_credentials_that_its_new_scope_cannot_use(
    checks: Checks, make_image: MakeImage, make_credentials: MakeCredentials, editor: Actor
) -> None:
    checks.image = make_image("acme/production", 2, shared=False)
    own = make_credentials("acme/production", "Own")
    with pytest.raises(CredentialsNotUsable):
        checks.check(
            0,
            details(),
            meanwhile=lambda: sharing.promote(editor, reload(checks.image)),
            credentials_id=own.id,
        )
    assert reload(checks.image).credentials_id == checks.image.credentials_id
