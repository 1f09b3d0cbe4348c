"""The use cases of an image's life: look up, register, edit, share, promote, check again, delete.
Each checks the right, keeps the rules, and writes the change and its audit entry together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from peewee import IntegrityError

from models import CloudCredentials, Image, Level, Scope, now, transaction
from webapp import audit
from webapp.access import Actor, Right
from webapp.clouds import CLOUDS
from webapp.clouds.base import (
    ImageDetails,
    ImageNotFound,
    ImageNotVisible,
    ImageState,
    LocationRule,
    Locator,
)
from webapp.credentials.vault import Vault
from webapp.images import deleted_images, image_details, operating_systems
from webapp.images.identity import (
    AlreadyRegistered,
    ImageIdentity,
    require_unregistered,
)
from webapp.images.receipts import Receipt
from webapp.refusals import Refusal

NAME_LENGTH = (2, 255)


class RegistrationError(Refusal):
    """A rule about what can be registered forbids it."""


@dataclass(frozen=True)
class Choices:
    """What the person says of an image; the cloud cannot verify it."""

    name: str
    os_family: str
    os_version: str
    size_gb: int | None
    agent_installed: bool
    shared: bool

    def __post_init__(self) -> None:
        """Raises RegistrationError for the first that breaks a rule."""
        low, high = NAME_LENGTH
        if not low <= len(self.name) <= high:
            raise RegistrationError(f"A name has {low} to {high} characters.", "name")
        if not self.name.isprintable() or self.name != self.name.strip():
            raise RegistrationError(
                "A name has no control characters, nor blanks around it.", "name"
            )
        if not 1 <= len(self.os_family) <= 64:
            raise RegistrationError("Choose the family of the operating system.", "os_family")
        if not 1 <= len(self.os_version) <= 64:
            raise RegistrationError("Choose the version of the operating system.", "os_version")
        if self.size_gb is not None and not 1 <= self.size_gb < 2**31:
            raise RegistrationError("The size is a whole number of GB, at least 1.", "size_gb")


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
    """Read one image from its cloud. Raises Forbidden, RegistrationError (AlreadyRegistered
    before the cloud is asked, where that can be known), VaultError and CloudError."""
    actor.require(Right.EDIT_IMAGES, scope)
    cloud = CLOUDS[cloud_key]
    credentials = _usable_credentials(scope, cloud_key, credentials_id)
    parsed = cloud.parse_image_id(image_id)
    location = _location(cloud.location_rule, location.strip(), parsed.location)
    locator = Locator(location, parsed.value)
    require_storable(locator)
    if cloud.compute_resource_field is None:
        require_unregistered(scope, ImageIdentity.from_locator(cloud_key, locator))
    details = cloud.describe(vault.reveal(credentials), locator)
    if details.image_id in {"", locator.image_id}:
        receipt = Receipt(cloud_key, credentials.id, locator, details)
        taken = compute_resources_taken(scope, receipt)
        if taken and not {"", *details.compute_resources} - taken.keys():
            raise AlreadyRegistered(next(iter(taken.values())))
        return receipt
    found = replace(locator, image_id=details.image_id)
    require_storable(found)
    require_unregistered(scope, ImageIdentity.from_locator(cloud_key, found))
    respelled = found.image_id.lower() == locator.image_id.lower()
    asked = "" if respelled else locator.image_id
    return Receipt(cloud_key, credentials.id, found, details, asked)


def compute_resources_taken(scope: Scope, receipt: Receipt) -> dict[str, Image]:
    """The records of the same cloud image that can be seen here, by the compute resource that
    each is for, '' for none."""
    identity = ImageIdentity.from_locator(receipt.cloud, receipt.locator)
    rows = Image.select().where(identity.same_cloud_image & Image.seen_from(scope))
    return {row.compute_resource: row for row in rows}


def register(
    actor: Actor, scope: Scope, receipt: Receipt, choices: Choices, compute_resource: str = ""
) -> Image:
    """Keep the record. Raises Forbidden and RegistrationError; of several at once, one succeeds
    and the others get AlreadyRegistered."""
    actor.require(Right.EDIT_IMAGES, scope)
    if compute_resource not in {"", *receipt.details.compute_resources}:
        raise RegistrationError("Choose one of the offered values.", "compute_resource")
    credentials = _usable_credentials(scope, receipt.cloud, receipt.credentials_id)
    locator = replace(receipt.locator, compute_resource=compute_resource)
    require_storable(locator)
    image = _record_of(scope, receipt.cloud, locator)
    image.credentials, image.credentials_name = credentials, credentials.name
    return _keep(actor, image, choices, receipt.details)


def register_unverified(
    actor: Actor,
    scope: Scope,
    cloud_key: str,
    locator: Locator,
    choices: Choices,
    *,
    details: ImageDetails,
    credentials_id: int | None = None,
) -> Image:
    """Keep a record of an image that no cloud was asked for; `details` are what is believed of
    it. Raises Forbidden and RegistrationError."""
    actor.require(Right.EDIT_IMAGES, scope)
    require_storable(locator)
    image = _record_of(scope, cloud_key, locator)
    image.verified, image.credentials_name = False, ""
    if credentials_id is not None:
        credentials = _usable_credentials(scope, cloud_key, credentials_id)
        image.credentials, image.credentials_name = credentials, credentials.name
    return _keep(actor, image, choices, details)


def _keep(actor: Actor, image: Image, choices: Choices, details: ImageDetails) -> Image:
    scope = image.scope
    image.registered_by, image.registered_by_name = actor.person, actor.person.name
    _take_choices(image, choices)
    _take_details(image, details)
    identity = ImageIdentity.from_image(image)
    try:
        with transaction():
            require_unregistered(scope, identity)
            image.save(force_insert=True)
            record = {name: (None, value) for name, value in asdict(choices).items()}
            audit.record(actor, scope, "image.register", image.name, image=image, changes=record)
    except IntegrityError as error:
        # Somebody else was faster between our look and our insert.
        there = Image.get(identity.condition & (Image.scope == scope))
        raise AlreadyRegistered(there) from error
    return image


def edit(actor: Actor, image: Image, choices: Choices) -> Mapping[str, tuple[Any, Any]]:
    """Change what people say of an image; returns what changed. Raises Forbidden."""
    actor.require(Right.EDIT_IMAGES, image.scope)
    with transaction():
        before = choices_of(image)
        changes = audit.difference(asdict(before), asdict(choices))
        if changes:
            _take_choices(image, choices)
            image.save(only=_CHOSEN)
            audit.record(actor, image.scope, "image.edit", image.name, image=image, changes=changes)
    return changes


def choices_of(image: Image) -> Choices:
    return Choices(
        name=image.name,
        os_family=image.os_family,
        os_version=image.os_version,
        size_gb=image.size_gb,
        agent_installed=image.agent_installed,
        shared=image.shared,
    )


def shared_as(choices: Choices, *, shared: bool) -> Choices:
    return replace(choices, shared=shared)


def suggested_name(receipt: Receipt) -> str:
    """The cloud's own name, made to fit our rules; the image id where it has none."""
    name = "".join(each for each in receipt.details.name if each.isprintable()).strip()
    low, high = NAME_LENGTH
    return name[:high].strip() if len(name) >= low else receipt.locator.image_id[-high:]


def loses_sight(image: Image) -> list[Scope]:
    """The scopes that would no longer see the image if Shared were turned off."""
    below = [each for each in image.scope.subtree().order_by(Scope.path) if each != image.scope]
    return below if image.shared else []


def promotion_target(actor: Actor, image: Image) -> Scope | None:
    """The scope above, where this person may promote the image to, else None."""
    target: Scope | None = image.scope.parent
    if target is None or not actor.may(Right.EDIT_IMAGES, target):
        return None
    return target


def promote(actor: Actor, image: Image) -> Scope:
    """Move an image to the scope above, shared, so that whoever saw it goes on seeing it.
    Raises Forbidden and RegistrationError."""
    target: Scope | None = image.scope.parent
    if target is None:
        raise RegistrationError("There is no scope above Scalr.")
    actor.require(Right.EDIT_IMAGES, image.scope)
    actor.require(Right.EDIT_IMAGES, target)
    credentials = image.credentials
    if credentials is None or credentials.scope_id not in {target.id, *target.above}:
        raise RegistrationError(
            f"The credentials “{image.credentials_name}” do not reach {target.label}. "
            f"Add them there, and register the image there."
        )
    changes = {"scope": (image.scope.label, target.label), "shared": (image.shared, True)}
    identity = ImageIdentity.from_image(image)
    try:
        with transaction():
            require_unregistered(target, identity)
            image.scope, image.shared = target, True
            image.save(only=[Image.scope, Image.shared])
            audit.record(actor, target, "image.promote", image.name, image=image, changes=changes)
    except IntegrityError as error:
        raise AlreadyRegistered(Image.get(identity.condition & (Image.scope == target))) from error
    return target


def check_again(
    actor: Actor, image: Image, vault: Vault, credentials_id: int | None = None
) -> Mapping[str, tuple[Any, Any]]:
    """Read the image from its cloud again; returns what changed since it was last read. With
    `credentials_id`, from now on with other credentials. An image that the cloud no longer
    returns is kept and marked gone. Whatever the answer, from now on it is verified. Raises
    Forbidden, RegistrationError, VaultError and CloudError."""
    actor.require(Right.EDIT_IMAGES, image.scope)
    credentials = _usable_credentials(
        image.scope, image.cloud, credentials_id or image.credentials_id
    )
    before = image_details.from_json(image.details)
    details = _read_again(image, before, credentials, vault)
    changes = image_details.changes_between(before, details)
    if credentials.id != image.credentials_id:
        changes["Credentials"] = (image.credentials_name, credentials.name)
    with transaction():
        _read_anew(image)
        image.credentials, image.credentials_name = credentials, credentials.name
        image.checked_at, image.verified = now(), True
        _take_details(image, details)
        image.save()
        if changes:
            audit.record(
                actor, image.scope, "image.check", image.name, image=image, changes=changes
            )
    return changes


def delete(actor: Actor, image: Image, batch: str = "") -> str:
    """Delete our record; the cloud's image is untouched. Returns the batch, a new one unless it
    is given, by which `deleted_images` can undo it for a while. Raises Forbidden and
    RegistrationError."""
    actor.require(Right.EDIT_IMAGES, image.scope)
    if not batch:
        deleted_images.purge()
        batch = deleted_images.new_batch()
    with transaction():
        _read_anew(image)
        deleted_images.keep(actor, image, batch)
        record = {name: (value, None) for name, value in asdict(choices_of(image)).items()}
        record["cloud_image_id"] = (image.cloud_image_id, None)
        audit.record(actor, image.scope, "image.delete", image.name, image=image, changes=record)
        image.delete_instance()
    return batch


def _usable_credentials(scope: Scope, cloud: str, credentials_id: int | None) -> CloudCredentials:
    usable = CloudCredentials.usable_at(scope) & (CloudCredentials.cloud == cloud)
    credentials: CloudCredentials | None = CloudCredentials.get_or_none(
        usable & (CloudCredentials.id == credentials_id)
    )
    if credentials is None:
        raise RegistrationError("Choose credentials that this scope can use.", "credentials")
    return credentials


def _location(rule: LocationRule, chosen: str, pasted: str) -> str:
    """The location to look in. A pasted ARN or address that names another one than was chosen
    must not be looked up silently in either."""
    if pasted and chosen and pasted != chosen:
        raise RegistrationError(
            f"The pasted text says {pasted}, the location says {chosen}. Make them agree.",
            "location",
        )
    location = chosen or pasted
    if rule is LocationRule.REGIONAL and not location:
        raise RegistrationError("Choose the location of the image.", "location")
    return location


def require_storable(locator: Locator) -> None:
    """What a cloud with deep folders can name is longer than what is kept here."""
    for column, value, field, words in (
        (Image.location, locator.location, "location", "This location is"),
        (Image.cloud_image_id, locator.image_id, "image_id", "This image id is"),
        (
            Image.compute_resource,
            locator.compute_resource,
            "compute_resource",
            "This compute resource is",
        ),
    ):
        if len(value) > column.max_length:
            raise RegistrationError(
                f"{words} longer than the {column.max_length} characters that can be kept.", field
            )


def _record_of(scope: Scope, cloud_key: str, locator: Locator) -> Image:
    """With what makes its identity, and nothing else yet."""
    return Image(scope=scope, **asdict(ImageIdentity.from_locator(cloud_key, locator)))


_CHOSEN = (*Choices.__dataclass_fields__, "os_version_key", "name_key", "size_key", "search_text")
"""The columns that change with them."""


def _take_choices(image: Image, choices: Choices) -> None:
    for name, value in asdict(choices).items():
        setattr(image, name, value)
    image.os_version_key = operating_systems.version_key(choices.os_version)
    if image.scope.level is Level.ENVIRONMENT:
        image.shared = False


def _take_details(image: Image, details: ImageDetails) -> None:
    # What else it could be registered for was of interest then.
    image.details = image_details.to_json(replace(details, compute_resources=()))
    image.description = details.description
    image.architecture = details.architecture[:32]
    image.state = details.state


def _read_again(
    image: Image, before: ImageDetails, credentials: CloudCredentials, vault: Vault
) -> ImageDetails:
    cloud = CLOUDS[image.cloud]
    locator = Locator(image.location, image.cloud_image_id, image.compute_resource)
    try:
        return cloud.describe(vault.reveal(credentials), locator)
    except (ImageNotFound, ImageNotVisible) as error:
        return replace(before, state=ImageState.GONE, state_note=str(error))


def _read_anew(image: Image) -> None:
    """While the cloud was asked somebody may have changed it, which must stand. Raises
    RegistrationError."""
    fresh = Image.get_or_none(Image.id == image.id)
    if fresh is None:
        raise RegistrationError("The image was deleted here meanwhile.")
    image.__data__.update(fresh.__data__)
