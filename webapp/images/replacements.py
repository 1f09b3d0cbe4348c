"""Find the image that the owner of a cloud image recommends as its replacement."""

from __future__ import annotations

from dataclasses import dataclass

from models import Image, Scope
from webapp.clouds import CLOUDS
from webapp.clouds.details import ImageDetails
from webapp.clouds.errors import InvalidImageId
from webapp.clouds.locators import Locator
from webapp.images.identity import ImageIdentity, find_registered


@dataclass(frozen=True)
class Replacement:
    """A cloud image that the owner of another cloud image recommends instead.

    `image` is the record of the recommended image, or None if the scope can see no such record.
    """

    cloud: str
    cloud_image_id: str
    has_valid_id: bool
    """Whether the adapter can parse `cloud_image_id`."""
    image: Image | None


def find_replacement(
    scope: Scope, cloud: str, locator: Locator, details: ImageDetails
) -> Replacement | None:
    """Return the replacement in `details` for the image at `locator`, or None."""
    replacement_id = details.replacement
    if not replacement_id or replacement_id == locator.image_id:
        return None
    try:
        image_id = CLOUDS[cloud].parse_image_id(replacement_id).value
    except InvalidImageId:
        return Replacement(cloud, replacement_id, has_valid_id=False, image=None)
    identity = ImageIdentity.from_locator(cloud, Locator(locator.location, image_id))
    image = find_registered(scope, identity)
    return Replacement(cloud, replacement_id, has_valid_id=True, image=image)
