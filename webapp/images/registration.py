"""Look up a cloud image (the NEXT button) and register it (the REGISTER button).

`look_up` reads an image from its cloud and returns a receipt: the record of the look-up, with the
details of the image. `register` saves the image from the receipt. `webapp.images.identity` makes
sure that no image is registered twice at a scope.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from models import CloudCredentials, Image, RecordGone, Scope, now
from schema.images import image_key_of
from schema.text import place_key
from webapp import audit
from webapp.access import Actor, Right
from webapp.clouds import CLOUDS
from webapp.clouds.details import ImageDetails, ImageState
from webapp.clouds.locators import LocationRule, Locator
from webapp.credentials.vault import Vault
from webapp.images import image_details
from webapp.images.choices import (
    NAME_LENGTH,
    ImageChoices,
    InvalidChoices,
    apply_choices,
    filled_choices,
)
from webapp.images.identity import (
    AlreadyRegistered,
    ImageIdentity,
    find_by_compute_resource,
    match_name,
    parse_locator,
    registering,
    require_storable,
    require_unregistered,
)
from webapp.images.receipts import Receipt
from webapp.refusals import Refusal
from webapp.values.text import displayable


class CredentialsNotUsable(Refusal):
    """The scope can't use the chosen credentials, or they belong to another cloud."""

    def __init__(self) -> None:
        super().__init__("Choose credentials that are available at this scope.", "credentials")


class CredentialsDeleted(CredentialsNotUsable):
    """The image was looked up with credentials that the scope can't use anymore."""

    def __init__(self) -> None:
        Refusal.__init__(
            self,
            "The credentials used to look up this image have been deleted, or aren’t available at "
            "this scope anymore. Choose other credentials.",
            "credentials",
        )


class CredentialsChanged(Refusal):
    """Somebody edited the credentials after the image was looked up with them."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The credentials “{name}” were edited after the image was looked up.")


def look_up(
    actor: Actor,
    scope: Scope,
    vault: Vault,
    cloud_key: str,
    *,
    credentials_id: int | None,
    location: str,
    image_id: str,
) -> Receipt:
    """Read one image from its cloud and return the receipt for `register`.

    Raises Forbidden, CredentialsNotUsable, InvalidImageId, InvalidLocator, AlreadyRegistered,
    VaultError and CloudError. If the entered location and image ID show that the image is
    registered, AlreadyRegistered is raised before the cloud is called. In a cloud with compute
    resources, this is checked only after the call.
    """
    actor.require(Right.EDIT_IMAGES, scope)
    cloud = CLOUDS[cloud_key]
    credentials = usable_credentials(scope, cloud_key, credentials_id)
    locator = parse_locator(cloud, location=location, image_id=image_id)
    if cloud.compute_resource_field is None:
        require_unregistered(scope, ImageIdentity.from_locator(cloud_key, locator))
    revision, read_at = credentials.revision, now()
    details = cloud.describe(vault.reveal(credentials), locator)
    # The cloud may return another image ID or location, because the person entered an alias or
    # spelled a value differently than the cloud.
    found = replace(
        locator,
        image_id=details.image_id or locator.image_id,
        location=details.location or locator.location,
    )
    require_storable(found)
    is_same_id = image_key_of(found.image_id) == image_key_of(locator.image_id)
    alias = "" if is_same_id else locator.image_id
    receipt = Receipt(cloud_key, credentials.id, revision, found, details, alias, read_at)
    registered = registered_images_per_compute_resource(scope, receipt)
    unregistered = {"", *map(place_key, details.compute_resources)} - registered.keys()
    if registered and not unregistered:
        raise AlreadyRegistered(next(iter(registered.values())))
    return receipt


def look_up_again(actor: Actor, scope: Scope, vault: Vault, receipt: Receipt) -> Receipt:
    """Repeat the look-up of a receipt that is no longer valid.

    An alias may now refer to another image. Raises the same exceptions as `look_up`.
    """
    return look_up(
        actor,
        scope,
        vault,
        receipt.cloud,
        credentials_id=receipt.credentials_id,
        location=receipt.locator.location,
        image_id=receipt.alias or receipt.locator.image_id,
    )


def changes_between(before: Receipt, after: Receipt) -> dict[str, tuple[Any, Any]]:
    """Return the differences between two look-ups, each as (old value, new value), by label."""
    changes = image_details.changes_between(before.details, after.details)
    return changes | image_details.locator_changes(before.locator, after.locator)


def registered_images_per_compute_resource(scope: Scope, receipt: Receipt) -> dict[str, Image]:
    """Return the images that `scope` can see and that have the ID and location in `receipt`.

    The keys are the `place_key` of each compute resource, and '' for an image that was registered
    without a compute resource.
    """
    identity = ImageIdentity.from_locator(receipt.cloud, receipt.locator)
    return find_by_compute_resource(scope, identity)


def suggested_name(receipt: Receipt) -> str:
    """Return the cloud's name for the image, changed to follow the rules for names.

    If the image has no name in the cloud, return a name that the adapter derives from the image ID.
    """
    image_id = receipt.locator.image_id
    name = receipt.details.name or CLOUDS[receipt.cloud].suggest_name(image_id)
    return name_or_id(name, image_id)


def name_or_id(name: str, image_id: str) -> str:
    """Return `name`, changed to follow the rules for names.

    If the name is too short, return the image ID. If the ID is longer than a name can be, return
    the end of the ID.
    """
    name = displayable(name)
    shortest, longest = NAME_LENGTH
    if len(name) >= shortest:
        return name[:longest].strip()
    return image_id[-longest:]


def register(
    actor: Actor, scope: Scope, receipt: Receipt, choices: ImageChoices, compute_resource: str = ""
) -> Image:
    """Save an image that was looked up.

    Raises Forbidden, CredentialsNotUsable, CredentialsChanged, InvalidChoices, InvalidLocator and
    AlreadyRegistered. If several people register the same image at `scope` at the same moment, one
    person succeeds and the others get AlreadyRegistered.
    """
    actor.require(Right.EDIT_IMAGES, scope)
    offered_name = match_name(compute_resource, ("", *receipt.details.compute_resources))
    if offered_name is None:
        raise InvalidChoices("Choose a compute resource from the list.", "compute_resource")
    credentials = usable_credentials(scope, receipt.cloud, receipt.credentials_id)
    if credentials.revision != receipt.credentials_revision:
        raise CredentialsChanged(credentials.name)
    locator = replace(receipt.locator, compute_resource=offered_name)
    require_storable(locator)
    image = _new_image(scope, receipt.cloud, locator)
    image.credentials, image.credentials_name = credentials, credentials.name
    image.checked_at = receipt.read_at
    return _save_new(actor, image, choices, receipt.details)


def register_unverified(
    actor: Actor,
    scope: Scope,
    cloud_key: str,
    locator: Locator,
    choices: ImageChoices,
    *,
    details: ImageDetails,
    credentials_id: int | None = None,
) -> Image:
    """Save an image without calling its cloud. The state in `details` is replaced by UNKNOWN.

    If the cloud's location rule is LOOKUP_ONLY, the location in `locator` is stored for the next
    check. Raises Forbidden, CredentialsNotUsable, InvalidLocator and AlreadyRegistered.
    """
    actor.require(Right.EDIT_IMAGES, scope)
    require_storable(locator)
    image = _new_image(scope, cloud_key, locator)
    image.credentials_name = ""
    if credentials_id is not None:
        credentials = usable_credentials(scope, cloud_key, credentials_id)
        image.credentials, image.credentials_name = credentials, credentials.name
    lookup_only = CLOUDS[cloud_key].location_rule is LocationRule.LOOKUP_ONLY
    unverified_details = replace(
        details,
        state=ImageState.UNKNOWN,
        state_note="",
        lookup_location=locator.location if lookup_only else "",
    )
    return _save_new(actor, image, choices, unverified_details)


def usable_credentials(scope: Scope, cloud: str, credentials_id: int | None) -> CloudCredentials:
    """Return the credentials if `scope` can use them for `cloud`. Raises CredentialsNotUsable."""
    usable = CloudCredentials.usable_at(scope) & (CloudCredentials.cloud == cloud)
    credentials: CloudCredentials | None = CloudCredentials.get_or_none(
        usable & (CloudCredentials.id == credentials_id)
    )
    if credentials is None:
        raise CredentialsNotUsable
    return credentials


def _new_image(scope: Scope, cloud_key: str, locator: Locator) -> Image:
    """Return an unsaved image that has only its scope and its locator."""
    identity = ImageIdentity.from_locator(cloud_key, locator)
    return Image(
        scope=scope,
        cloud=identity.cloud,
        location=locator.location if identity.location else "",
        cloud_image_id=locator.image_id,
        compute_resource=locator.compute_resource,
    )


def _save_new(actor: Actor, image: Image, choices: ImageChoices, details: ImageDetails) -> Image:
    image.registered_by, image.registered_by_name = actor.person, actor.person.name
    apply_choices(image, choices)
    image_details.apply_details(image, details)
    try:
        with registering(image.scope, ImageIdentity.from_image(image)):
            image.save(force_insert=True)
            filled = filled_choices(choices)
            changes = {name: (None, value) for name, value in filled.items()}
            audit.record(
                actor, image.scope, "image.register", image.name, record=image, changes=changes
            )
    except RecordGone as error:
        # Somebody deleted the credentials after they were found.
        raise CredentialsNotUsable from error
    return image
