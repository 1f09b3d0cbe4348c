"""The rule that an image may be registered only once, and what makes two images the same.

Every use case that adds an image to a scope adds it inside `with registering(...)`. The unique
index of the `Image` table enforces the same rule if two people act at the same moment.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from peewee import Field, IntegrityError

from models import Image, Scope, transaction
from webapp.clouds import CLOUDS
from webapp.clouds.base import LocationRule, Locator
from webapp.refusals import Refusal


@contextmanager
def registering(scope: Scope, identity: ImageIdentity) -> Iterator[None]:
    """Run the `with` body, which adds the image with this identity to `scope`, in a transaction.

    Raises AlreadyRegistered if the scope can already see the image, or if somebody else adds it
    while the body runs.
    """
    try:
        with transaction():
            require_unregistered(scope, identity)
            yield
    except IntegrityError as error:
        image = find_registered(scope, identity)
        if image is None:
            raise
        raise AlreadyRegistered(image) from error


def require_unregistered(scope: Scope, identity: ImageIdentity) -> None:
    """Raise AlreadyRegistered if `scope` can see an image with this identity.

    Images of lower and sibling scopes do not count. Images of higher scopes count only if they are
    shared. So the error never reveals an image that the person may not see.
    """
    image = find_registered(scope, identity)
    if image is not None:
        raise AlreadyRegistered(image)


def find_registered(scope: Scope, identity: ImageIdentity) -> Image | None:
    """Return the image with this identity that `scope` can see, or None.

    If the scope owns such an image and inherits another, return the image that it owns.
    """
    return find_all_registered(scope, [identity]).get(identity)


def find_all_registered(
    scope: Scope, identities: Collection[ImageIdentity], columns: Sequence[Field] = ()
) -> dict[ImageIdentity, Image]:
    """Return the images with these identities that `scope` can see.

    If the scope owns an image and inherits another with the same identity, return the image that it
    owns. If `columns` is not empty, only these columns are read.
    """
    found: dict[ImageIdentity, Image] = {}
    for cloud in {identity.cloud for identity in identities}:
        ids = {each.cloud_image_id for each in identities if each.cloud == cloud}
        same_id = (Image.cloud == cloud) & Image.cloud_image_id.in_(ids)
        for image in Image.select(*columns).where(same_id & Image.visible_from(scope)):
            identity = ImageIdentity.from_image(image)
            if identity in identities and (image.scope_id == scope.id or identity not in found):
                found[identity] = image
    return found


class AlreadyRegistered(Refusal):
    """The scope can already see `image`, which has the same identity."""

    def __init__(self, image: Image, message: str = "") -> None:
        super().__init__(message or f"This image is already registered at {image.scope.label}.")
        self.image = image


@dataclass(frozen=True)
class ImageIdentity:
    """The values that two images must have in common to be the same image.

    The fields are named like the columns of `Image`; '' stands for "none". `location` is '' for a
    cloud whose images are not regional, because every location has the same image.
    """

    cloud: str
    location: str
    cloud_image_id: str
    compute_resource: str = ""

    @classmethod
    def from_locator(cls, cloud_key: str, locator: Locator) -> ImageIdentity:
        regional = CLOUDS[cloud_key].location_rule is LocationRule.REGIONAL
        return cls(
            cloud=cloud_key,
            location=locator.location if regional else "",
            cloud_image_id=locator.image_id,
            compute_resource=locator.compute_resource,
        )

    @classmethod
    def from_image(cls, image: Image) -> ImageIdentity:
        return cls(image.cloud, image.location, image.cloud_image_id, image.compute_resource)

    @property
    def same_cloud_image(self) -> Any:
        """The query condition for images with the same cloud image and any compute resource."""
        return (
            (Image.cloud == self.cloud)
            & (Image.location == self.location)
            & (Image.cloud_image_id == self.cloud_image_id)
        )
