"""The action “Check now”: read a registered image from its cloud again.

Only this module decides what an answer of a cloud, or a missing answer, may change:

- Details of the image replace the stored details.
- `ImageNotFound`, a definite “does not exist”, changes the state to `gone` and nothing else. If the
  stored ID is an alias, such as `latest` or a family, `ImageNotFound` counts as a failure instead.
- `ImageNotVisible` also changes the state to `gone` if the image belongs to the `account` of the
  error. An adapter sets `account` only if the cloud shows the account all of its own images.
- Every other error leaves the image as it is. The time and the reason of the failure are stored
  until a check succeeds.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from dataclasses import replace

from models import CloudCredentials, Image, now, transaction
from webapp import audit
from webapp.access import Actor, Right
from webapp.clouds import CLOUDS
from webapp.clouds.base import (
    CallsInProgress,
    CloudError,
    ImageDetails,
    ImageNotFound,
    ImageNotVisible,
    ImageState,
    Locator,
    UnknownLocation,
)
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
    """The cloud returned an image that has another record in the registry.

    Either the stored ID is an alias, such as `latest` or a family, or the image has moved.
    """

    def __init__(self, looked_up: Locator, image: Image) -> None:
        cause = f"{looked_up.image_id} currently refers to {image.cloud_image_id}, which"
        if looked_up.image_id == image.cloud_image_id:
            cause = f"The image has moved from {looked_up.location} to {image.location}, where it"
        super().__init__(
            image,
            f"{cause} is already registered at {image.scope.label} as “{image.name}”. Use "
            "that record and delete this one.",
        )


class CheckedMeanwhile(Refusal):
    """Another check changed the image ID or the location while the cloud was answering."""

    def __init__(self) -> None:
        super().__init__("This image has just been checked. Reload the page.")


def check_again(
    actor: Actor, image: Image, vault: Vault, credentials_id: int | None = None
) -> audit.Changes:
    """Read the image from its cloud again and return what changed since the last time.

    If `credentials_id` is not None, the image uses these credentials from now on. If the stored ID
    is an alias, such as `latest` or a family, it is replaced by the ID of the image that was found.
    If the image has moved, its location is updated. If the image does not exist in the cloud, it
    stays registered and its state becomes `gone`. Raises Forbidden, CredentialsNotUsable,
    RecordDeleted, RefersToRegistered, CheckedMeanwhile, VaultError and CloudError.
    """
    actor.require(Right.EDIT_IMAGES, image.scope)
    credentials = usable_credentials(
        image.scope, image.cloud, credentials_id or image.credentials_id
    )
    try:
        return _check(actor, image, vault, credentials)
    except CallsInProgress:
        raise  # The cloud was not called, so this is not the result of a check.
    except (CloudError, VaultError, AlreadyRegistered) as error:
        _record_failure(image, str(error))
        raise


def _check(
    actor: Actor, image: Image, vault: Vault, credentials: CloudCredentials
) -> dict[str, tuple[object, object]]:
    before = image_details.from_json(image.details)
    looked_up = Locator(image.location, image.cloud_image_id, image.compute_resource)
    details = _read(image.cloud, before, credentials, vault, looked_up)
    found = replace(
        looked_up,
        image_id=details.image_id or looked_up.image_id,
        location=details.location or looked_up.location,
    )
    changes = image_details.changes_between(before, details)
    if credentials.id != image.credentials_id:
        changes["Credentials"] = (image.credentials_name, credentials.name)
    if found.location != looked_up.location:
        changes["Location"] = (looked_up.location, found.location)
    if found.image_id != looked_up.image_id:
        changes["Cloud image ID"] = (looked_up.image_id, found.image_id)
    with _saving(image, looked_up, found):
        # Somebody may have edited the image while the cloud was answering.
        lock(image)
        if (image.location, image.cloud_image_id) != (looked_up.location, looked_up.image_id):
            raise CheckedMeanwhile
        image.location, image.cloud_image_id = found.location, found.image_id
        image.credentials, image.credentials_name = credentials, credentials.name
        image.checked_at, image.check_failed_at, image.check_error = now(), None, ""
        image_details.apply_details(image, details)
        image.save()
        if changes:
            audit.record(
                actor, image.scope, "image.check", image.name, record=image, changes=changes
            )
    return changes


def _read(
    cloud_key: str,
    before: ImageDetails,
    credentials: CloudCredentials,
    vault: Vault,
    locator: Locator,
) -> ImageDetails:
    """Return the details from the cloud, or the old details with the state `gone`."""
    cloud, values = CLOUDS[cloud_key], vault.reveal(credentials)
    if before.lookup_location:
        with suppress(ImageNotFound, UnknownLocation):  # Another location may have the image.
            return cloud.describe(values, replace(locator, location=before.lookup_location))
    try:
        return cloud.describe_again(values, locator)
    except ImageNotFound as error:
        if cloud.parse_image_id(locator.image_id).is_alias:
            raise
        return _gone(before, str(error))
    except ImageNotVisible as error:
        if not error.account or error.account != before.owner:
            raise
        return _gone(
            before,
            f"{cloud.label} no longer has this image. It belongs to the account of these "
            "credentials, so it would be visible to them.",
        )


def _gone(before: ImageDetails, reason: str) -> ImageDetails:
    return replace(before, state=ImageState.GONE, state_note=reason, image_id="")


def _saving(image: Image, looked_up: Locator, found: Locator) -> AbstractContextManager[None]:
    """Return a transaction that saves the image under the ID that was found.

    Raises RefersToRegistered if the scope sees another record with that ID.
    """
    if found == looked_up:
        return transaction()
    require_storable(found)
    identity = ImageIdentity.from_locator(image.cloud, found)
    registered = find_registered(image.scope, identity)
    if registered is None:
        return registering(image.scope, identity)
    if registered.id != image.id:
        raise RefersToRegistered(looked_up, registered)
    return transaction()  # Only the spelling of the ID differs.


def _record_failure(image: Image, reason: str) -> None:
    image.check_failed_at, image.check_error = now(), reason
    failure = Image.update_all(check_failed_at=image.check_failed_at, check_error=reason)
    failure.where(Image.id == image.id).execute()
