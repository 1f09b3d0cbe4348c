"""Browse the images of a cloud account: its own images, and the images that are shared with it."""

from __future__ import annotations

from dataclasses import dataclass

from models import Image, Scope
from webapp.access import Actor, Right
from webapp.clouds import CLOUDS
from webapp.clouds.locators import ListedImage, Locator
from webapp.credentials.vault import Vault
from webapp.images.identity import ImageIdentity, find_all_with_owners
from webapp.images.registration import usable_credentials


@dataclass(frozen=True)
class BrowsedImage:
    """An image that the cloud lists, and its record in the registry.

    If the scope can see no record of the image, `registered` is None.
    """

    listed: ListedImage
    registered: Image | None


@dataclass(frozen=True)
class Listing:
    """A page of the list of images."""

    images: tuple[BrowsedImage, ...]
    next_cursor: str
    """Where the next page begins, or '' if this is the last page."""
    is_complete: bool
    """False if this page had to leave out images that may match the search."""


def browse(
    actor: Actor,
    scope: Scope,
    vault: Vault,
    cloud_key: str,
    *,
    credentials_id: int | None,
    location: str,
    search: str,
    cursor: str = "",
) -> Listing:
    """Use the credentials to search the images at `location`, and return one page of the matches.

    `cursor` is the `next_cursor` of the previous page.

    Raises Forbidden, CredentialsNotUsable, InvalidLocation, VaultError and CloudError.
    """
    actor.require(Right.EDIT_IMAGES, scope)
    cloud = CLOUDS[cloud_key]
    credentials = usable_credentials(scope, cloud_key, credentials_id)
    parsed_location = cloud.parse_location(location)
    found = cloud.browse(vault.reveal(credentials), parsed_location, search, cursor)
    identities = {
        image.image_id: ImageIdentity.from_locator(
            cloud_key, Locator(parsed_location, image.image_id)
        )
        for image in found.images
    }
    registered = find_all_with_owners(scope, set(identities.values()))
    images = (
        BrowsedImage(image, registered.get(identities[image.image_id])) for image in found.images
    )
    return Listing(tuple(images), found.next_cursor, found.is_complete)
