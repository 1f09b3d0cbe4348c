"""The "Check now" button: reading a registered image from its cloud again."""

from __future__ import annotations

from dataclasses import replace

from models import CloudCredentials, Image, now, transaction
from webapp import audit
from webapp.access import Actor, Right
from webapp.clouds import CLOUDS
from webapp.clouds.base import ImageDetails, ImageNotFound, ImageNotVisible, ImageState, Locator
from webapp.credentials.vault import Vault
from webapp.images import image_details
from webapp.images.deletion import reload
from webapp.images.registration import usable_credentials


def check_again(
    actor: Actor, image: Image, vault: Vault, credentials_id: int | None = None
) -> audit.Changes:
    """Read the image from its cloud again and return what changed since the last time.

    If `credentials_id` is not None, the image uses those credentials from now on. If the cloud no
    longer returns the image, the image stays registered and its state becomes `gone`. Afterwards
    the image is verified, even if its state is `gone`. Raises Forbidden, CredentialsNotUsable,
    ImageDeleted, VaultError and CloudError.
    """
    actor.require(Right.EDIT_IMAGES, image.scope)
    credentials = usable_credentials(
        image.scope, image.cloud, credentials_id or image.credentials_id
    )
    before = image_details.from_json(image.details)
    details = _read(image, before, credentials, vault)
    changes = image_details.changes_between(before, details)
    if credentials.id != image.credentials_id:
        changes["Credentials"] = (image.credentials_name, credentials.name)
    with transaction():
        # Somebody may have edited the image while the cloud was answering.
        reload(image)
        image.credentials, image.credentials_name = credentials, credentials.name
        image.checked_at, image.verified = now(), True
        image_details.apply_details(image, details)
        image.save()
        if changes:
            audit.record(
                actor, image.scope, "image.check", image.name, image=image, changes=changes
            )
    return changes


def _read(
    image: Image, before: ImageDetails, credentials: CloudCredentials, vault: Vault
) -> ImageDetails:
    locator = Locator(image.location, image.cloud_image_id, image.compute_resource)
    try:
        return CLOUDS[image.cloud].describe(vault.reveal(credentials), locator)
    except (ImageNotFound, ImageNotVisible) as error:
        return replace(before, state=ImageState.GONE, state_note=str(error))
