"""The action “Check now”: read a registered image from its cloud again.

Only this module decides what a response of a cloud, or a missing response, may change:

- Details of the image replace the stored details.
- `ImageNotFound` means that the image definitely does not exist at the location of the request.
  After this error at the last possible location, the state becomes `gone`, and the reason is
  stored. All other details remain unchanged. If the stored ID is an alias, such as `latest` or a
  family, `ImageNotFound` counts as a failure instead.
- `ImageNotVisible` also changes the state to `gone` if its attribute `account` is the ID of the
  account that owns the image. An adapter sets `account` only to the account of the credentials, and
  only if these credentials can see all images of this account.
- `CallsInProgress` changes nothing, because it says nothing about the cloud or the image.
- Every other error of a cloud leaves the details unchanged. The time and the reason of the failure
  are stored until a check succeeds.
- The response to a check that started earlier never replaces the response to a check that started
  later. The stored time of a response is the time at which the check started.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime

import models
from models import CloudCredentials, Image, transaction
from webapp import audit
from webapp.access import Actor, Right
from webapp.clouds import CLOUDS
from webapp.clouds.details import ImageDetails, ImageState
from webapp.clouds.errors import (
    CallsInProgress,
    CloudError,
    ImageNotFound,
    ImageNotVisible,
    UnknownLocation,
)
from webapp.clouds.locators import Locator
from webapp.credentials.vault import Vault, VaultError
from webapp.images import image_details
from webapp.images.identity import (
    AlreadyRegistered,
    ImageIdentity,
    find_registered,
    registering,
    require_storable,
)
from webapp.images.registration import usable_credentials
from webapp.refusals import Refusal
from webapp.revisions.conflicts import lock


class RefersToRegistered(AlreadyRegistered):
    """The cloud returned an image that is already registered as another record.

    Either the stored ID is an alias, such as `latest` or a family, or the image has moved.
    """

    def __init__(self, old_locator: Locator, image: Image) -> None:
        cause = f"{old_locator.image_id} currently refers to {image.cloud_image_id}, which"
        if old_locator.image_id == image.cloud_image_id:
            cause = f"The image has moved from {old_locator.location} to {image.location}, where it"
        super().__init__(
            image,
            f"{cause} is already registered at {image.scope.label} as “{image.name}”. Use "
            "that record and delete this one.",
        )


class CheckedMeanwhile(Refusal):
    """Another check was saved while the registry waited for the cloud.

    The response to the other check is at least as new, or the ID or location of the image has
    changed.
    """

    def __init__(self) -> None:
        super().__init__("This image has just been checked. Reload the page.")


@dataclass(frozen=True)
class _Start:
    """The start of a check, and the times of the last response and the last failure before it.

    If two checks overlap, the response to the check that started later is newer, even if it arrives
    first. If two checks start in the same second, the check that is saved first wins.
    """

    at: datetime
    checked_at: datetime
    failed_at: datetime | None

    @classmethod
    def now(cls, image: Image) -> _Start:
        """Return the start of a check of `image` that begins now."""
        return cls(models.now(), image.checked_at, image.check_failed_at)

    def is_overtaken(self, image: Image) -> bool:
        """Return whether another check, which started at the same time or later, was saved."""
        return image.checked_at != self.checked_at and image.checked_at >= self.at

    def is_before_failure(self, image: Image) -> bool:
        """Return whether another check that started later has failed."""
        failed_at = image.check_failed_at
        return failed_at is not None and failed_at != self.failed_at and failed_at > self.at


def check_again(
    actor: Actor, image: Image, vault: Vault, credentials_id: int | None = None
) -> audit.Changes:
    """Read the image from its cloud again, save the response, and return what changed.

    If `credentials_id` is not None, these credentials become the credentials of the image. If the
    stored ID is an alias, such as `latest` or a family, the ID of the image that was found replaces
    the alias. If the image has moved, its location is updated. If the image does not exist in the
    cloud, it stays registered and its state becomes `gone`.

    Raises Forbidden, CredentialsNotUsable, RecordDeleted, CheckedMeanwhile, VaultError, CloudError,
    InvalidLocator and AlreadyRegistered, usually its subclass RefersToRegistered.
    """
    reading = read_again(actor, image, vault, credentials_id)
    with _recording_failure(image, reading.start):
        return save_reading(actor, image, reading)


@dataclass(frozen=True)
class Reading:
    """The outcome of looking up an image in its cloud with the locator `old_locator`.

    `new_locator` is the locator of the image that the cloud found, or `old_locator` if the cloud
    found no image.
    """

    credentials: CloudCredentials
    are_credentials_chosen: bool
    start: _Start
    response: ImageDetails | _Missing
    old_locator: Locator
    new_locator: Locator


def read_again(
    actor: Actor, image: Image, vault: Vault, credentials_id: int | None = None
) -> Reading:
    """Read the image from its cloud again. Save nothing except the reason of a failure.

    Raises the same exceptions as `check_again`, except RecordDeleted and CheckedMeanwhile.
    """
    actor.require(Right.EDIT_IMAGES, image.scope)
    credentials = usable_credentials(
        image.scope, image.cloud, credentials_id or image.credentials_id
    )
    start = _Start.now(image)
    with _recording_failure(image, start):
        old_locator = Locator(image.location, image.cloud_image_id, image.compute_resource)
        response = _read(
            image.cloud, image_details.from_json(image.details), credentials, vault, old_locator
        )
        new_locator = old_locator
        if isinstance(response, ImageDetails):
            new_locator = replace(
                old_locator,
                image_id=response.image_id or old_locator.image_id,
                location=response.location or old_locator.location,
            )
        # If the image can't be saved with this locator, raise the exception now.
        _saving(image, old_locator, new_locator)
    return Reading(credentials, bool(credentials_id), start, response, old_locator, new_locator)


@contextmanager
def _recording_failure(image: Image, start: _Start) -> Iterator[None]:
    """Store the reason if the `with` body raises CloudError, VaultError or AlreadyRegistered.

    Don't store CallsInProgress, which is a CloudError too.
    """
    try:
        yield
    except CallsInProgress:
        raise  # The error says nothing about the image, so it is not the result of a check.
    except (CloudError, VaultError, AlreadyRegistered) as error:
        _record_failure(image, str(error), start)
        raise


def save_reading(actor: Actor, image: Image, reading: Reading) -> audit.Changes:
    """Save the response of a cloud about an image, and return what changed.

    Raises Forbidden, CredentialsNotUsable, RecordDeleted, CheckedMeanwhile, InvalidLocator and
    AlreadyRegistered.
    """
    credentials, start, response = reading.credentials, reading.start, reading.response
    old_locator, new_locator = reading.old_locator, reading.new_locator
    with _saving(image, old_locator, new_locator):
        # Somebody may have changed the image while the registry waited for the cloud.
        lock(image)
        actor.require(Right.EDIT_IMAGES, image.scope)
        if start.is_overtaken(image) or (
            (image.location, image.cloud_image_id) != (old_locator.location, old_locator.image_id)
        ):
            raise CheckedMeanwhile
        before = image_details.from_json(image.details)
        details = (
            response
            if isinstance(response, ImageDetails)
            else _details_of_missing(before, response)
        )
        changes = image_details.changes_between(before, details)
        if reading.are_credentials_chosen:
            # Somebody may have promoted the image to a scope that can't use the credentials.
            usable_credentials(image.scope, image.cloud, credentials.id)
            if credentials.id != image.credentials_id:
                changes["Credentials"] = (image.credentials_name, credentials.name)
            image.credentials = credentials
        if credentials.id == image.credentials_id:
            image.credentials_name = credentials.name
        changes |= image_details.locator_changes(old_locator, new_locator)
        image.location, image.cloud_image_id = new_locator.location, new_locator.image_id
        image.checked_at = start.at
        if not start.is_before_failure(image):
            image.check_failed_at, image.check_error = None, ""
        image_details.apply_details(image, details)
        image.save()
        if changes:
            audit.record(
                actor, image.scope, "image.check", image.name, record=image, changes=changes
            )
    return changes


@dataclass(frozen=True)
class _Missing:
    """The cloud says that the image does not exist."""

    reason: str


def _read(
    cloud_key: str,
    before: ImageDetails,
    credentials: CloudCredentials,
    vault: Vault,
    locator: Locator,
) -> ImageDetails | _Missing:
    """Return the details from the cloud, or the reason why the image no longer exists there."""
    cloud, values = CLOUDS[cloud_key], vault.reveal(credentials)
    if before.lookup_location:
        with suppress(ImageNotFound, UnknownLocation):  # Another location may have the image.
            return cloud.describe(values, replace(locator, location=before.lookup_location))
    try:
        return cloud.describe_again(values, locator)
    except ImageNotFound as error:
        if cloud.parse_image_id(locator.image_id).is_alias:
            raise
        return _Missing(str(error))
    except ImageNotVisible as error:
        if not error.account or error.account != before.owner:
            raise
        return _Missing(
            f"{cloud.label} no longer has this image. The credentials can see all images of their "
            "account, to which this image belonged."
        )


def _details_of_missing(before: ImageDetails, missing: _Missing) -> ImageDetails:
    return replace(before, state=ImageState.GONE, state_note=missing.reason, image_id="")


def _saving(
    image: Image, old_locator: Locator, new_locator: Locator
) -> AbstractContextManager[None]:
    """Return a context manager: a transaction in which the image is saved with `new_locator`.

    Raises InvalidLocator if `new_locator` can't be stored, and RefersToRegistered if the scope can
    see another record with this locator.
    """
    if new_locator == old_locator:
        return transaction()
    require_storable(new_locator)
    identity = ImageIdentity.from_locator(image.cloud, new_locator)
    registered = find_registered(image.scope, identity)
    if registered is None:
        return registering(image.scope, identity)
    if registered.id != image.id:
        raise RefersToRegistered(old_locator, registered)
    return transaction()  # Only the spelling of the ID or location differs.


def _record_failure(image: Image, reason: str, start: _Start) -> None:
    """Store the reason why a check failed, unless a newer check was saved. Reload the image."""
    is_newest = Image.check_failed_at.is_null() | (Image.check_failed_at <= start.at)
    is_newest &= (Image.checked_at == start.checked_at) | (Image.checked_at < start.at)
    failure = Image.update_all(check_failed_at=start.at, check_error=reason)
    failure.where((Image.id == image.id) & is_newest).execute()
    image.reload()
