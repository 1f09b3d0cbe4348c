"""Find the image that the owner of a cloud image recommends instead, and its record if any."""

from __future__ import annotations

from dataclasses import dataclass

from models import Image, Scope
from webapp.clouds import CLOUDS
from webapp.clouds.base import ImageDetails, InvalidImageId, Locator
from webapp.images.identity import ImageIdentity, find_registered


@dataclass(frozen=True)
class Replacement:
    """A recommended image of `cloud`. `image` is its visible record, or None."""

    cloud: str
    cloud_image_id: str
    has_valid_id: bool
    """Whether the adapter understands the image ID."""
    image: Image | None


def find_replacement(
    scope: Scope, cloud: str, locator: Locator, details: ImageDetails
) -> Replacement | None:
    """Return the replacement in `details` for the image at `locator`, or None."""
    named = details.replacement
    if not named or named == locator.image_id:
        return None
    try:
        image_id = CLOUDS[cloud].parse_image_id(named).value
    except InvalidImageId:
        return Replacement(cloud, named, has_valid_id=False, image=None)
    identity = ImageIdentity.from_locator(cloud, Locator(locator.location, image_id))
    return Replacement(cloud, named, has_valid_id=True, image=find_registered(scope, identity))
