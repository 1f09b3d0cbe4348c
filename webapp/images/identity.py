"""The rule that an image may not be registered at a scope that can already see it.

This module also defines when two images are the same.

A cloud image has one canonical ID and one canonical location. `parse_locator` converts every
spelling that people and tools use to the canonical form, as far as this is possible without a call
to the cloud. For example, only a look-up finds out how OpenStack spells the name of a region.
Without a look-up, such a name is stored as the person wrote it. So the registry compares locations
and compute resources in the form that `place_key` returns, which ignores case. Ignoring case never
makes two different images equal:

- vCenter ignores case in the names of datacenters and clusters. The image ID is an instance UUID,
  which identifies the template.
- Keystone stores the regions of OpenStack. If the database of Keystone is MySQL, Keystone ignores
  case. If the database is PostgreSQL, two regions can have names that differ only in case. But an
  image ID is a random UUID. If two such regions have an image with the same ID, they share one
  image service, so it is the same image. A look-up can still read either region, because it prefers
  the region with exactly the entered name.
- The names of AWS regions are in lower case.

Azure ignores the case of IDs, but shows each ID in the spelling in which it was created. People
copy IDs from the registry to other tools, so the registry stores each ID in the spelling of the
cloud. The registry compares IDs in the form that `image_key_of` returns.

Use cases add an image to a scope inside `with registering(...)`. The restoration of a deleted image
is the only exception: it checks the rule itself, and raises CannotRestore. If two people act at the
same moment, the unique index of the `Image` table makes sure that a scope does not own the same
image twice.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from peewee import SQL, Field, IntegrityError

from models import Image, Prepared, Scope, transaction
from schema.images import image_key_of
from schema.text import place_key
from webapp.clouds import CLOUDS, clouds_for_image_id
from webapp.clouds.base import Cloud
from webapp.clouds.errors import InvalidLocation
from webapp.clouds.locators import ImageId, LocationRule, Locator
from webapp.refusals import Refusal
from webapp.values.text import line_problem

MAX_COLONS = 20
"""The maximum number of colons at which `parse_references` splits a text.

The adapters try to parse one part after another, so a text with many colons would take long.
"""


@contextmanager
def registering(scope: Scope, identity: ImageIdentity) -> Iterator[None]:
    """Run the `with` body in a transaction. The body adds the image with this identity to `scope`.

    Raises AlreadyRegistered if the scope can already see the image, or if somebody else adds the
    image to `scope` while the body runs.
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
    shared. So the exception never reveals an image that the person may not see.
    """
    image = find_registered(scope, identity)
    if image is not None:
        raise AlreadyRegistered(image)


def find_registered(scope: Scope, identity: ImageIdentity) -> Image | None:
    """Return the image that `scope` can see and that has this identity, or None.

    If the scope owns such an image and inherits another, return the image that it owns.
    """
    # Usually no image has this ID. This prepared query finds that out faster than the next query.
    if not _select_same_id(identity.cloud, identity.image_key):
        return None
    return find_all_registered(scope, [identity]).get(identity)


_select_same_id = Prepared(
    lambda placeholder: (
        Image.select(Image.id)
        .where(Image.cloud == placeholder, Image.image_key == placeholder)
        .limit(SQL("1"))
    )
)


def find_all_registered(
    scope: Scope, identities: Collection[ImageIdentity], columns: Sequence[Field] = ()
) -> dict[ImageIdentity, Image]:
    """Return the images that `scope` can see and that have these identities.

    If the scope owns an image and inherits another with the same identity, return the image that it
    owns. If `columns` is not empty, only these columns are read.
    """
    found: dict[ImageIdentity, Image] = {}
    for cloud in {identity.cloud for identity in identities}:
        keys = {each.image_key for each in identities if each.cloud == cloud}
        same_id = (Image.cloud == cloud) & Image.image_key.in_(keys)
        for image in Image.select(*columns).where(same_id & Image.visible_from(scope)):
            identity = ImageIdentity.from_image(image)
            if identity in identities and (image.scope_id == scope.id or identity not in found):
                found[identity] = image
    return found


def find_all_with_owners(
    scope: Scope, identities: Collection[ImageIdentity]
) -> dict[ImageIdentity, Image]:
    """Return the same images as `find_all_registered`, and set their scopes."""
    found = find_all_registered(scope, identities)
    owners = {each.id: each for each in scope.lineage} if found else {}
    for image in found.values():
        image.scope = owners[image.scope_id]
    return found


def find_by_compute_resource(scope: Scope, identity: ImageIdentity) -> dict[str, Image]:
    """Return the images that `scope` can see and that have the ID and location of `identity`.

    The compute resources of the images may differ. The keys are the `place_key` of each compute
    resource.
    """
    same_id = (Image.cloud == identity.cloud) & (Image.image_key == identity.image_key)
    same_image = same_id & (Image.location_key == identity.location)
    query = Image.select().where(same_image & Image.visible_from(scope))
    return {place_key(image.compute_resource): image for image in query}


def match_name(name: str, names: Iterable[str]) -> str | None:
    """Return a name in `names` that has the same `place_key` as `name`, or None.

    If `names` contains `name` itself, return `name`.
    """
    matches = {each for each in names if place_key(each) == place_key(name)}
    return name if name in matches else min(matches, default=None)


@dataclass(frozen=True)
class ImageReference:
    """An image ID in a text, with the location and the compute resource that the text names.

    `location` and `compute_resource` have the form of `place_key`. `location` can be ''. If a cloud
    can parse the whole text as an image ID, `compute_resource` is None. For the text `LOCATION:ID`,
    `compute_resource` is ''.
    """

    cloud: Cloud
    image_key: str
    location: str = ""
    compute_resource: str | None = None


def parse_references(text: str) -> list[ImageReference]:
    """Return a reference for each cloud that can parse `text` as an image ID.

    If no cloud can parse `text`, parse it as `LOCATION:ID` or `LOCATION:ID:COMPUTE_RESOURCE`, the
    forms that `reference_to_image` returns.
    """
    references = [
        _reference(cloud, parsed.value, parsed.location, None)
        for cloud, parsed in clouds_for_image_id(text)
    ]
    pieces = text.split(":", MAX_COLONS)
    for number, piece in enumerate(pieces if not references else ()):
        location, resource = ":".join(pieces[:number]).strip(), ":".join(pieces[number + 1 :])
        for cloud, parsed in clouds_for_image_id(piece) if location else ():
            if cloud.location_rule is LocationRule.REGIONAL and not parsed.location:
                references.append(_reference(cloud, parsed.value, location, resource.strip()))
        if references:
            break
    return [reference for reference in references if reference]


def _reference(
    cloud: Cloud, image_id: str, location: str, resource: str | None
) -> ImageReference | None:
    """Return a reference, or None if the cloud can't have this location."""
    try:
        key = place_key(cloud.parse_location(location))
    except InvalidLocation:
        return None
    regional = cloud.location_rule is LocationRule.REGIONAL
    resource_key = None if resource is None else place_key(resource)
    return ImageReference(cloud, image_key_of(image_id), key if regional else "", resource_key)


def reference_to_image(
    identity: ImageIdentity, locator: Locator, predecessor: ImageIdentity
) -> str:
    """Return the text that names an image as the successor of the image `predecessor`.

    `identity` and `locator` belong to the successor. If the successor has no location, or if both
    images have the same cloud, location and compute resource, the text is the image ID of the
    successor. Otherwise, it is `LOCATION:ID` or `LOCATION:ID:COMPUTE_RESOURCE`.
    """
    place = (identity.cloud, identity.location, identity.compute_resource)
    if not locator.location or place == (
        predecessor.cloud,
        predecessor.location,
        predecessor.compute_resource,
    ):
        return locator.image_id
    parts = (locator.location, locator.image_id, locator.compute_resource)
    return ":".join(filter(None, parts))


def image_id_condition(text: str) -> Any:
    """Return the query condition for the images to which `text` refers by their image ID.

    `parse_references` explains the forms of `text`. The condition uses the index on `cloud` and
    `image_key`. Return None if `text` does not contain an image ID of any cloud.
    """
    conditions = []
    for reference in parse_references(text):
        same_id = Image.image_key == reference.image_key
        condition = (Image.cloud == reference.cloud.key) & same_id
        if reference.location:
            condition &= Image.location_key == reference.location
        if reference.compute_resource:
            condition &= Image.compute_resource_key == reference.compute_resource
        conditions.append(condition)
    return functools.reduce(operator.or_, conditions) if conditions else None


def parse_locator(
    cloud: Cloud, *, location: str, image_id: str, compute_resource: str = ""
) -> Locator:
    """Return the locator in its canonical form.

    `image_id` may contain the location, for example in an ARN. Raises InvalidImageId if `image_id`
    can't be parsed. Raises InvalidLocator if a value can't be stored, or if the location is missing
    or invalid. Also raises InvalidLocator if `image_id` contains another location than `location`,
    because either of the two could be wrong.
    """
    return locator_of(cloud, cloud.parse_image_id(image_id), location, compute_resource)


def locator_of(cloud: Cloud, parsed: ImageId, location: str, compute_resource: str) -> Locator:
    """Return the locator of a parsed image ID. Raises the same exceptions as `parse_locator`."""
    try:
        chosen, pasted = cloud.parse_location(location), cloud.parse_location(parsed.location)
    except InvalidLocation as error:
        raise InvalidLocator(str(error), "location") from error
    if pasted and chosen and place_key(pasted) != place_key(chosen):
        raise InvalidLocator(
            f"The image ID is for {pasted}, but the location is {chosen}. Change one of them so "
            f"that they match.",
            "location",
        )
    if cloud.location_rule is LocationRule.REGIONAL and not place_key(chosen or pasted):
        raise InvalidLocator(
            "The location is missing. Choose the location of the image.", "location"
        )
    locator = Locator(chosen or pasted, parsed.value, compute_resource)
    require_storable(locator)
    return locator


def require_storable(locator: Locator) -> None:
    """Raise InvalidLocator if a part of `locator` is too long or has an invalid character.

    In vSphere, a location or a compute resource is a path of nested folders, which can be longer
    than the database column.
    """
    for column, value, field, label in (
        (Image.location, locator.location, "location", "location"),
        (Image.image_key, image_key_of(locator.image_id), "image_id", "image ID"),
        (
            Image.compute_resource,
            locator.compute_resource,
            "compute_resource",
            "compute resource",
        ),
    ):
        if len(value) > column.max_length:
            raise InvalidLocator(
                f"The {label} is too long. Use at most {column.max_length} characters.", field
            )
        if problem := line_problem(value, label):
            raise InvalidLocator(problem, field)


class InvalidLocator(Refusal):
    """The location, image ID or compute resource can't be looked up or stored."""


class AlreadyRegistered(Refusal):
    """The scope can already see a registered image with the same identity: `image`."""

    def __init__(self, image: Image, message: str = "") -> None:
        super().__init__(message or f"This image is already registered at {image.scope.label}.")
        self.image = image


@dataclass(frozen=True)
class ImageIdentity:
    """The values that two images must have in common to be the same image.

    '' means "none". `location` and `compute_resource` have the form of `place_key`. If the images
    of a cloud are not regional, `location` is '', because their ID alone identifies them.
    """

    cloud: str
    location: str
    image_key: str
    compute_resource: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "location", place_key(self.location))
        object.__setattr__(self, "compute_resource", place_key(self.compute_resource))

    @classmethod
    def from_locator(cls, cloud_key: str, locator: Locator) -> ImageIdentity:
        regional = CLOUDS[cloud_key].location_rule is LocationRule.REGIONAL
        return cls(
            cloud=cloud_key,
            location=locator.location if regional else "",
            image_key=image_key_of(locator.image_id),
            compute_resource=locator.compute_resource,
        )

    @classmethod
    def from_image(cls, image: Image) -> ImageIdentity:
        key = image_key_of(image.cloud_image_id)  # `image_key` is empty until the image is saved.
        return cls(image.cloud, image.location, key, image.compute_resource)
