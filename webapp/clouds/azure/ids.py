"""What people paste for an image of Azure: the URN of a Marketplace image, or the resource id of an
image of their own, also out of an address of the portal."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import unquote

from webapp.clouds.base import ImageId, InvalidImageId
from webapp.clouds.pasted_text import SURROUNDING_CHARACTERS, strip_pasted_text

LATEST = "latest"
EXAMPLE = "Canonical:ubuntu-24_04-lts:server:latest"


@dataclass(frozen=True)
class MarketplaceImage:
    publisher: str
    offer: str
    sku: str
    version: str

    def __str__(self) -> str:
        return f"{self.publisher}/{self.offer}/{self.sku}/{self.version}"


@dataclass(frozen=True)
class ManagedImage:
    subscription: str
    group: str
    name: str

    def __str__(self) -> str:
        return f"{_in_group(self.subscription, self.group)}/images/{self.name}"


@dataclass(frozen=True)
class GalleryVersion:
    subscription: str
    group: str
    gallery: str
    definition: str
    version: str

    def __str__(self) -> str:
        return (
            f"{_in_group(self.subscription, self.group)}/galleries/{self.gallery}"
            f"/images/{self.definition}/versions/{self.version}"
        )


AnyImage = MarketplaceImage | ManagedImage | GalleryVersion
Image = TypeVar("Image", bound=AnyImage)

_ALSO_AROUND = "()[]{}"
_GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._+-]{0,78}[A-Za-z0-9_+-])?")
"""A publisher, an offer, a SKU, an image, a gallery, a definition."""
_GROUP = re.compile(r"[\w().-]{0,89}[\w()-]")
_VERSION = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20}){1,4}")
_GALLERY_VERSION = re.compile(r"[0-9]{1,10}\.[0-9]{1,10}\.[0-9]{1,10}")
_REGION = re.compile(r"[a-z0-9]{2,40}")
_OTHER_KINDS = {
    "virtualmachines": "a virtual machine",
    "virtualmachinescalesets": "a scale set",
    "disks": "a disk",
    "snapshots": "a snapshot",
    "restorepointcollections": "a restore point",
    "imagetemplates": "an image template",
}
_NOT_AN_IMAGE = (
    "This is not the resource id of an image. Copy the id of a managed image, or of a version in a "
    "compute gallery, from its JSON view in the portal."
)
_FOREIGN_GALLERY = (
    "Images of community galleries and directly shared galleries cannot be registered. Copy the "
    "image to a gallery of your own, or choose one from the Marketplace."
)


def parse(text: str) -> ImageId:
    """The image that `text` names, and its region where `text` says it. Raises InvalidImageId with
    what is wrong. Linear in the length of `text`, which is bounded besides."""
    text = strip_pasted_text(
        text, "This is far too long for an image of Azure. Paste its id alone.", _ALSO_AROUND
    )
    if not text:
        raise InvalidImageId(f"Enter the URN of an image, such as {EXAMPLE}, or a resource id.")
    resource = _resource(text)
    if resource is not None:
        return _from_resource(resource)
    if "://" in text:
        raise InvalidImageId(
            "This address names no image of Azure. Open the image itself, or paste its URN or "
            "resource id."
        )
    return ImageId(str(_from_urn(text)))


def read(value: str) -> AnyImage:
    """The parts of a canonical id. Raises InvalidImageId for anything else."""
    resource = _resource(value)
    if resource is None:
        return _from_urn(value)
    names = dict(_pairs(resource))
    if "galleries" in names:
        return _gallery_version(names)
    return _managed(names)


def spelled(image: Image, answered: str) -> Image:
    """`image` as Azure spells it in the id that it `answered` with. Azure heeds no case, and one
    image must not have several ids here."""
    names = dict(_pairs(_resource(answered) or []))
    try:
        if isinstance(image, MarketplaceImage):
            kinds = ("publishers", "offers", "skus", "versions")
            other: Any = MarketplaceImage(*(names[each] for each in kinds))
        else:
            other = read(answered)
    except (InvalidImageId, KeyError):
        return image
    return other if str(other).lower() == str(image).lower() else image


def _in_group(subscription: str, group: str) -> str:
    return f"/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Compute"


def _resource(text: str) -> list[str] | None:
    """The segments of the resource id in `text`, from its beginning on; None where there is
    none. What follows the id in an address stays."""
    plain = unquote(text) if "%" in text else text
    lower = plain.lower()
    for begin in ("/subscriptions/", "/communitygalleries/", "/sharedgalleries/"):
        at = lower.find(begin)
        if at < 0 and lower.startswith(begin[1:]):
            plain, at = f"/{plain}", 0
        if at >= 0:
            resource = re.split("[?#]", plain[at:], maxsplit=1)[0]
            return resource.strip("/" + SURROUNDING_CHARACTERS + "[]{}").split("/")
    return None


def _from_resource(segments: list[str]) -> ImageId:
    names = dict(_pairs(segments))
    kinds = [segment.lower() for segment in segments[0::2]]
    if {"communitygalleries", "sharedgalleries"} & set(kinds):
        raise InvalidImageId(_FOREIGN_GALLERY)
    if "publishers" in names and "skus" in names:
        return _platform(names)
    if "galleries" in names:
        return ImageId(str(_gallery_version(names)))
    for kind, words in _OTHER_KINDS.items():
        if kind in names:
            raise InvalidImageId(
                f"This is the id of {words}. Make an image of it in Azure, and paste the id of "
                "that image."
            )
    return ImageId(str(_managed(names)))


def _pairs(segments: list[str]) -> list[tuple[str, str]]:
    """A resource id is made of kinds and names by turns; the first of a kind counts, since an
    address of the portal may go on with what it shows of the resource."""
    kinds = [segment.lower() for segment in segments[0::2]]
    return list(zip(kinds, segments[1::2], strict=False))[::-1]


def _managed(names: dict[str, str]) -> ManagedImage:
    subscription, group = _place(names)
    if "images" not in names:
        raise InvalidImageId(_NOT_AN_IMAGE)
    return ManagedImage(subscription, group, _word(names["images"], "image"))


def _gallery_version(names: dict[str, str]) -> GalleryVersion:
    subscription, group = _place(names)
    gallery = _word(names["galleries"], "gallery")
    if "images" not in names:
        raise InvalidImageId(
            "This is the id of a compute gallery. Open a version of one of its image definitions, "
            "and copy the id of that."
        )
    definition = _word(names["images"], "image definition")
    if "versions" not in names:
        raise InvalidImageId(
            "This is the id of an image definition, and a version is needed as well. Add "
            "/versions/latest to it, or copy the id of one of its versions."
        )
    version = names["versions"]
    if version.lower() == LATEST:
        version = LATEST
    elif not _GALLERY_VERSION.fullmatch(version):
        raise InvalidImageId(
            f"“{_short(version)}” is no version in a compute gallery: it is three numbers, such as "
            "1.0.3, or latest."
        )
    return GalleryVersion(subscription, group, gallery, definition, version)


def _platform(names: dict[str, str]) -> ImageId:
    """The resource id of a Marketplace image, which Azure's API gives."""
    parts = (names["publishers"], names.get("offers", ""), names["skus"], names.get("versions", ""))
    region = names.get("locations", "").lower()
    if not _REGION.fullmatch(region):
        region = ""
    return ImageId(str(_from_urn("/".join(parts))), region)


def _place(names: dict[str, str]) -> tuple[str, str]:
    subscription = names.get("subscriptions", "")
    if not _GUID.fullmatch(subscription):
        raise InvalidImageId(
            "The id of the subscription in this resource id is not one: it looks like "
            "01234567-89ab-cdef-0123-456789abcdef. Copy the whole resource id."
        )
    group = names.get("resourcegroups", "")
    if not _GROUP.fullmatch(group):
        raise InvalidImageId(
            "This resource id names no resource group, or none that there can be. Copy the whole "
            "resource id."
        )
    if names.get("providers", "").lower() != "microsoft.compute":
        raise InvalidImageId(_NOT_AN_IMAGE)
    return subscription.lower(), group


def _word(text: str, what: str) -> str:
    if not _WORD.fullmatch(text):
        raise InvalidImageId(
            f"“{_short(text)}” cannot be the name of {_a(what)} in Azure. Copy the whole resource "
            "id."
        )
    return text


def _from_urn(text: str) -> MarketplaceImage:
    parts = [
        part.strip(SURROUNDING_CHARACTERS + _ALSO_AROUND)
        for part in re.split("[:/]", text.strip("/" + SURROUNDING_CHARACTERS + _ALSO_AROUND))
    ]
    if parts[0].lower() == "urn" and len(parts) == 5:
        parts = parts[1:]  # out of a JSON document
    if len(parts) == 1:
        raise InvalidImageId(
            "The URN of a Marketplace image has four parts: publisher, offer, SKU and version, as "
            f"in {EXAMPLE}. For other images paste the resource id."
        )
    if len(parts) != 4:
        raise InvalidImageId(
            "A URN has four parts: publisher, offer, SKU and version, as in "
            f"{EXAMPLE}. This has {len(parts)}."
        )
    if [part.lower() for part in parts[1:3]] == ["global", "images"]:
        raise InvalidImageId("This names an image of Google Cloud. Choose that cloud for it.")
    publisher, offer, sku, version = parts
    for what, part in (("publisher", publisher), ("offer", offer), ("SKU", sku)):
        if not _WORD.fullmatch(part):
            raise InvalidImageId(_wrong_part(what, part))
    return MarketplaceImage(publisher, offer, sku, _urn_version(version))


def _wrong_part(what: str, part: str) -> str:
    if not part:
        return f"The {what} is missing. A URN looks like {EXAMPLE}."
    return (
        f"“{_short(part)}” cannot be {_a(what)}: there are only letters, digits, hyphens, dots and "
        "underscores in it. Copy the URN again."
    )


def _urn_version(text: str) -> str:
    if text.lower() == LATEST:
        return LATEST
    if not text:
        raise InvalidImageId(_wrong_part("version", text))
    if not _VERSION.fullmatch(text):
        raise InvalidImageId(
            f"“{_short(text)}” is no version of a Marketplace image: that is numbers with dots "
            "between them, such as 24.04.202610150, or latest."
        )
    return text


def _a(what: str) -> str:
    return f"an {what}" if what[0] in "aeioSu" else f"a {what}"


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}…"
