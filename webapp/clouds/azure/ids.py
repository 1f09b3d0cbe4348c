"""Parsing of pasted Azure image IDs.

`parse` accepts the URN of a Marketplace image, the ID of a version in a community gallery or a
directly shared gallery, and the resource ID of any other image. It also accepts a portal URL that
contains such an ID.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import unquote

from webapp.clouds.characters import SURROUNDING_CHARACTERS
from webapp.clouds.errors import InvalidImageId, InvalidLocation
from webapp.clouds.locators import ImageId
from webapp.clouds.messages import shorten
from webapp.clouds.pasted_text import MAX_LENGTH, parse_whole_or_part, strip_pasted_text

LATEST = "latest"
EXAMPLE = "Canonical:ubuntu-24_04-lts:server:latest"


@dataclass(frozen=True)
class MarketplaceImage:
    """An image of the Marketplace, identified by its URN."""

    publisher: str
    offer: str
    sku: str
    version: str

    def __str__(self) -> str:
        """Return the canonical ID."""
        return f"{self.publisher}/{self.offer}/{self.sku}/{self.version}"

    @property
    def suggested_name(self) -> str:
        """A name to suggest, because Azure has none."""
        return f"{self.publisher}-{self.offer}-{self.sku}-{self.version}"


@dataclass(frozen=True)
class ManagedImage:
    """A managed image in a resource group."""

    subscription: str
    group: str
    name: str

    def __str__(self) -> str:
        """Return the canonical ID."""
        return f"{_group_path(self.subscription, self.group)}/images/{self.name}"

    @property
    def suggested_name(self) -> str:
        return self.name


@dataclass(frozen=True)
class GalleryVersion:
    """One version of an image definition in a compute gallery."""

    subscription: str
    group: str
    gallery: str
    definition: str
    version: str

    def __str__(self) -> str:
        """Return the canonical ID."""
        return (
            f"{_group_path(self.subscription, self.group)}/galleries/{self.gallery}"
            f"/images/{self.definition}/versions/{self.version}"
        )

    @property
    def suggested_name(self) -> str:
        """A name to suggest, because Azure has none."""
        return f"{self.definition}-{self.version}"


class Sharing(enum.StrEnum):
    """How the owner of a gallery shares its images with other tenants or subscriptions.

    The value is the first segment of the image IDs.
    """

    COMMUNITY = "CommunityGalleries"
    DIRECT = "SharedGalleries"

    @property
    def label(self) -> str:
        return "community gallery" if self is Sharing.COMMUNITY else "directly shared gallery"


@dataclass(frozen=True)
class SharedVersion:
    """One version of an image definition in a community gallery or a directly shared gallery.

    `gallery` is the public name of a community gallery, or the unique name of a directly shared
    gallery. Unlike a resource ID, the ID does not begin with a subscription.
    """

    sharing: Sharing
    gallery: str
    definition: str
    version: str

    def __str__(self) -> str:
        """Return the canonical ID."""
        return f"/{self.sharing}/{self.gallery}/Images/{self.definition}/Versions/{self.version}"

    @property
    def suggested_name(self) -> str:
        """A name to suggest, because Azure has none."""
        return f"{self.definition}-{self.version}"


AnyImage = MarketplaceImage | ManagedImage | GalleryVersion | SharedVersion
Image = TypeVar("Image", bound=AnyImage)

_BRACKETS = "()[]{}"
_GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._+-]{0,78}[A-Za-z0-9_+-])?")
"""The name of a publisher, an offer, a SKU, an image, a gallery or an image definition."""
_SHARED_GALLERY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9_-])?")
"""The public name of a community gallery, or the unique name of a directly shared gallery. A
unique name consists of a subscription ID and the gallery's name."""
_GROUP = re.compile(r"[\w().-]{0,89}[\w()-]")
_VERSION = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20}){1,4}")
_GALLERY_VERSION = re.compile(r"[0-9]{1,10}\.[0-9]{1,10}\.[0-9]{1,10}")
_REGION = re.compile(r"[a-z0-9]{2,40}")
_RESOURCE_START = re.compile(
    r"(?:^|[\s,;])/(?:subscriptions|communitygalleries|sharedgalleries)/", re.IGNORECASE
)
_AZURE_HOST = re.compile(r"portal\.azure\.|\.azure\.(?:com|us|cn)", re.IGNORECASE)
_URN_LIKE = re.compile(r"[A-Za-z][\w.+-]*(?: ?: ?[\w.+-]*){2,3}")
"""Matches three or four parts separated by colons, which are probably meant as a URN.

If such a text is not a valid URN, `recognized` is true in the InvalidImageId.
"""
_AWS_PARAMETER = re.compile(r"[{\s]*(?:(?:resolve:)?ssm:|resolve:|/aws/)", re.IGNORECASE)
_CONTAINER_IMAGE = re.compile(
    r"(?:[a-z0-9-]+(?:\.[a-z0-9-]+)+|localhost)(?::[0-9]+)?/[a-z0-9._/-]+:[\w.-]+", re.ASCII
)
"""A container image with its registry, such as docker.io/library/ubuntu:24.04."""
_GEOGRAPHY = re.compile(r"^\([a-z ]{1,40}\)")
"""The part of the world before the name of a region, as in the portal's `(US) East US`."""
_ZONE = re.compile(r"([a-z0-9]{2,40})[-_](?:az|zone)?-?[0-9]")
_OTHER_RESOURCES = {
    "virtualmachines": "a virtual machine",
    "virtualmachinescalesets": "a scale set",
    "disks": "a disk",
    "snapshots": "a snapshot",
    "restorepointcollections": "a restore point",
    "imagetemplates": "an image template",
}
_NOT_AN_IMAGE = (
    "This isn’t the resource ID of an image. In the portal, open the JSON view of a managed image "
    "or of a version in a compute gallery, and copy its ID."
)


def parse(text: str) -> ImageId:
    """Return the canonical ID of the image that `text` names, and the region in `text`, if any.

    Raises InvalidImageId with an explanation of the problem. The time is linear in the length of
    `text`, which is limited.
    """
    return parse_whole_or_part(text, _parse_part)


def parse_location(text: str) -> str:
    """Return the key of the region that `text` names: `eastus` for `East US` or `(US) East US`.

    If `text` is empty, return ''. Raises InvalidLocation for an availability zone, and for text
    that cannot be a region.
    """
    name = text.strip(SURROUNDING_CHARACTERS).lower()
    region = re.sub(r"\s", "", _GEOGRAPHY.sub("", name, count=1))
    if not region or _REGION.fullmatch(region):
        return region
    if zone := _ZONE.fullmatch(region):
        raise InvalidLocation(
            f"{shorten(text.strip(), 40)} is an availability zone, not a region. Enter its region, "
            f"{zone[1]}."
        )
    raise InvalidLocation(
        f"“{shorten(text.strip(), 40)}” isn’t an Azure region. Enter a region such as eastus."
    )


def parse_canonical(value: str) -> AnyImage:
    """Return the image that a canonical ID identifies. Raises InvalidImageId for an invalid ID."""
    segments = _resource_segments(value)
    if segments is None:
        return _parse_urn(value)
    names = _names_by_type(segments)
    sharing = _sharing(names)
    if sharing:
        return _shared_version(sharing, names)
    if "galleries" in names:
        return _gallery_version(names)
    return _managed_image(names)


def with_azure_spelling(image: Image, azure_id: str) -> Image:
    """Return `image` in the spelling of `azure_id`, the ID in Azure's response.

    Azure ignores the case of an ID, but the registry must have only one canonical ID for each
    image. Returns `image` unchanged if `azure_id` names a different image.
    """
    names = _names_by_type(_resource_segments(azure_id) or [])
    try:
        if isinstance(image, MarketplaceImage):
            types = ("publishers", "offers", "skus", "versions")
            azure_image: Any = MarketplaceImage(*(names[each] for each in types))
        else:
            azure_image = parse_canonical(azure_id)
    except (InvalidImageId, KeyError):
        return image
    return azure_image if str(azure_image).lower() == str(image).lower() else image


def _parse_part(text: str) -> ImageId:
    if len(_RESOURCE_START.findall(text[: MAX_LENGTH + 1])) > 1:
        raise InvalidImageId(
            "This text contains more than one image ID. Paste only one of them.", recognized=True
        )
    text = strip_pasted_text(
        text, "This is too long for an Azure image ID. Paste only the ID.", _BRACKETS
    )
    if not text:
        raise InvalidImageId(f"Enter the URN of an image, such as {EXAMPLE}, or a resource ID.")
    segments = _resource_segments(text)
    if segments is not None:
        with _mark_as_recognized():
            return _parse_resource(segments)
    if "://" in text:
        raise InvalidImageId(
            "This URL doesn’t contain an Azure image ID. Open the image itself and copy its URL, "
            "or paste its URN or resource ID.",
            recognized=bool(_AZURE_HOST.search(text)),
        )
    if _AWS_PARAMETER.match(text):
        raise InvalidImageId("This is a parameter of AWS. Choose that cloud instead.")
    if _CONTAINER_IMAGE.fullmatch(text):
        raise InvalidImageId(
            "This is a container image. Servers need an image of a virtual machine, such as "
            f"{EXAMPLE}.",
            recognized=True,
        )
    if _URN_LIKE.fullmatch(text):
        with _mark_as_recognized():
            return _image_id(_parse_urn(text))
    return _image_id(_parse_urn(text))


@contextmanager
def _mark_as_recognized() -> Iterator[None]:
    """Set `recognized` in each InvalidImageId that the `with` block raises."""
    try:
        yield
    except InvalidImageId as error:
        error.recognized = True
        raise


def group_in(resource_id: str) -> str:
    """Return the name of the resource group in the ID of a resource, or ''."""
    segments = resource_id.strip("/").split("/")
    is_in_group = len(segments) > 3 and segments[2].lower() == "resourcegroups"
    return segments[3] if is_in_group and _GROUP.fullmatch(segments[3]) else ""


def _group_path(subscription: str, group: str) -> str:
    return f"/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Compute"


def _resource_segments(text: str) -> list[str] | None:
    """Return the segments of the resource ID in `text`, or None if there is none.

    Segments that follow the ID in a portal URL are included.
    """
    plain = unquote(text) if "%" in text else text
    lower = plain.lower()
    for prefix in ("/subscriptions/", "/communitygalleries/", "/sharedgalleries/"):
        start = lower.find(prefix)
        if start < 0 and lower.startswith(prefix[1:]):
            plain, start = f"/{plain}", 0
        if start >= 0:
            resource = re.split("[?#]", plain[start:], maxsplit=1)[0]
            return resource.strip("/" + SURROUNDING_CHARACTERS + "[]{}").split("/")
    return None


def _parse_resource(segments: list[str]) -> ImageId:
    names = _names_by_type(segments)
    sharing = _sharing(names)
    if sharing:
        return _image_id(_shared_version(sharing, names), _region(names))
    if "publishers" in names and "skus" in names:
        return _marketplace_resource(names)
    if "galleries" in names:
        return _image_id(_gallery_version(names))
    for resource_type, description in _OTHER_RESOURCES.items():
        if resource_type in names:
            raise InvalidImageId(
                f"This is the ID of {description}. Create an image from it in Azure, and paste the "
                "ID of that image."
            )
    return _image_id(_managed_image(names))


def _names_by_type(segments: list[str]) -> dict[str, str]:
    """Return the names in a resource ID by their lower-case resource types.

    Types and names alternate in a resource ID. If a type occurs several times, the result contains
    the first name, because a portal URL may continue after the resource ID.
    """
    types = [segment.lower() for segment in segments[0::2]]
    return dict(list(zip(types, segments[1::2], strict=False))[::-1])


def _image_id(image: AnyImage, region: str = "") -> ImageId:
    is_alias = not isinstance(image, ManagedImage) and image.version == LATEST
    return ImageId(str(image), region, is_alias=is_alias)


def _managed_image(names: dict[str, str]) -> ManagedImage:
    subscription, group = _subscription_and_group(names)
    if "images" not in names:
        raise InvalidImageId(_NOT_AN_IMAGE)
    return ManagedImage(subscription, group, _valid_name(names["images"], "image"))


def _gallery_version(names: dict[str, str]) -> GalleryVersion:
    subscription, group = _subscription_and_group(names)
    gallery = _valid_name(names["galleries"], "gallery")
    if "images" not in names:
        raise InvalidImageId(
            "This is the ID of a compute gallery. Open a version of one of its image definitions, "
            "and copy the ID of that version."
        )
    definition = _valid_name(names["images"], "image definition")
    return GalleryVersion(subscription, group, gallery, definition, _version_in_gallery(names))


def _sharing(names: dict[str, str]) -> Sharing | None:
    return next((each for each in Sharing if each.lower() in names), None)


def _shared_version(sharing: Sharing, names: dict[str, str]) -> SharedVersion:
    gallery = names[sharing.lower()]
    if not _SHARED_GALLERY.fullmatch(gallery):
        raise InvalidImageId(_invalid_name_message(gallery, sharing.label))
    if "images" not in names:
        raise InvalidImageId(
            f"This is the ID of a {sharing.label}. Copy the ID of a version of one of its images, "
            f"such as /{sharing}/{shorten(gallery, 60)}/Images/NAME/Versions/1.0.0."
        )
    definition = _valid_name(names["images"], "image definition")
    return SharedVersion(sharing, gallery, definition, _version_in_gallery(names))


def _version_in_gallery(names: dict[str, str]) -> str:
    if "versions" not in names:
        raise InvalidImageId(
            "This is the ID of an image definition, without a version. Add /versions/latest to the "
            "ID, or copy the ID of one of the versions."
        )
    version = names["versions"]
    if version.lower() == LATEST:
        return LATEST
    if not _GALLERY_VERSION.fullmatch(version):
        raise InvalidImageId(
            f"“{shorten(version, 40)}” isn’t a version in a compute gallery. A version is three "
            "numbers, such as 1.0.3, or latest."
        )
    return version


def _marketplace_resource(names: dict[str, str]) -> ImageId:
    """Return the ID of a Marketplace image from the resource ID that Azure's API uses for it."""
    parts = (names["publishers"], names.get("offers", ""), names["skus"], names.get("versions", ""))
    return _image_id(_parse_urn("/".join(parts)), _region(names))


def _region(names: dict[str, str]) -> str:
    region = names.get("locations", "").lower()
    return region if _REGION.fullmatch(region) else ""


def _subscription_and_group(names: dict[str, str]) -> tuple[str, str]:
    subscription = names.get("subscriptions", "")
    if not _GUID.fullmatch(subscription):
        raise InvalidImageId(
            "The subscription ID in this resource ID isn’t valid. A valid subscription ID looks "
            "like 01234567-89ab-cdef-0123-456789abcdef. Copy the whole resource ID."
        )
    group = names.get("resourcegroups", "")
    if not _GROUP.fullmatch(group):
        raise InvalidImageId(
            "This resource ID has no resource group, or an invalid one. Copy the whole resource ID."
        )
    if names.get("providers", "").lower() != "microsoft.compute":
        raise InvalidImageId(_NOT_AN_IMAGE)
    return subscription.lower(), group


def _valid_name(name: str, kind: str) -> str:
    if not _NAME.fullmatch(name):
        raise InvalidImageId(_invalid_name_message(name, kind))
    return name


def _invalid_name_message(name: str, kind: str) -> str:
    return (
        f"“{shorten(name, 40)}” isn’t a valid name for {_with_article(kind)} in Azure. Copy the "
        "whole resource ID."
    )


def _parse_urn(text: str) -> MarketplaceImage:
    parts = [
        part.strip(SURROUNDING_CHARACTERS + _BRACKETS)
        for part in re.split("[:/]", text.strip("/" + SURROUNDING_CHARACTERS + _BRACKETS))
    ]
    if parts[0].lower() == "urn" and len(parts) == 5:
        parts = parts[1:]  # The text is `"urn": "…"`, copied from a JSON document.
    lower_parts = [part.lower() for part in parts]
    # The project of a Google Cloud image can have a prefix, as in `eu0:web/global/images/…`.
    has_project_prefix = lower_parts[2:4] == ["global", "images"] and lower_parts[0] != "projects"
    if has_project_prefix or lower_parts[1:3] == ["global", "images"]:
        raise InvalidImageId("This is the ID of a Google Cloud image. Choose that cloud instead.")
    if len(parts) == 1:
        raise InvalidImageId(
            "The URN of a Marketplace image has four parts: publisher, offer, SKU and version, as "
            f"in {EXAMPLE}. For any other image, paste the resource ID."
        )
    if len(parts) != 4:
        raise InvalidImageId(
            "A URN has four parts: publisher, offer, SKU and version, as in "
            f"{EXAMPLE}. This text has {len(parts)}."
        )
    publisher, offer, sku, version = parts
    for label, part in (("publisher", publisher), ("offer", offer), ("SKU", sku)):
        if not _NAME.fullmatch(part):
            raise InvalidImageId(_urn_part_message(label, part))
    return MarketplaceImage(publisher, offer, sku, _urn_version(version))


def _urn_part_message(label: str, part: str) -> str:
    if not part:
        return f"The {label} is missing. A URN looks like {EXAMPLE}."
    return (
        f"“{shorten(part, 40)}” isn’t a valid {label}. Use only letters, digits, hyphens, dots, "
        "underscores and plus signs. Copy the URN again."
    )


def _urn_version(text: str) -> str:
    if text.lower() == LATEST:
        return LATEST
    if not text:
        raise InvalidImageId(_urn_part_message("version", text))
    if not _VERSION.fullmatch(text):
        raise InvalidImageId(
            f"“{shorten(text, 40)}” isn’t a version of a Marketplace image. A version is numbers "
            "separated by dots, such as 24.04.202610150, or latest."
        )
    return text


def _with_article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeio" else f"a {noun}"
