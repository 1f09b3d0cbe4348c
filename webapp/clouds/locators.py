"""The values that identify a cloud image: its location, its ID, or its name."""

from __future__ import annotations

import dataclasses
import enum
from dataclasses import dataclass
from datetime import datetime

from webapp.clouds.limits import NAME_LENGTH, TEXT_LENGTH, bound_texts


class LocationRule(enum.Enum):
    """The meaning of a location for the images of one cloud."""

    REGIONAL = "regional"
    """The location is part of the image's identity: AWS, OpenStack, VMware."""
    LOOKUP_ONLY = "lookup-only"
    """The image has the same ID in all regions. The location is used only for look-ups: Azure."""
    GLOBAL = "global"
    """The cloud's images have no location: Google Compute Engine."""


@dataclass(frozen=True)
class Location:
    """A location that people can choose, such as an AWS region.

    `key` is the cloud's name for the location, for example `us-east-1`. `label` is for people.
    """

    key: str
    label: str
    enabled: bool = True
    """Whether the account of the credentials can use the location."""

    def __post_init__(self) -> None:
        bound_texts(self, TEXT_LENGTH, "label")


@dataclass(frozen=True)
class ImageId:
    """A parsed image ID: its canonical form, and the location if the text contained one."""

    value: str
    location: str = ""
    is_alias: bool = dataclasses.field(default=False, compare=False)
    """Whether the ID can refer to another image later, as `latest` or an image family can."""


@dataclass(frozen=True)
class Locator:
    """Identifies a cloud image within one cloud."""

    location: str
    image_id: str
    compute_resource: str = ""


@dataclass(frozen=True)
class NamedImage:
    """Identifies a cloud image by its name. `Cloud.find_image_id` finds its ID."""

    location: str
    name: str
    compute_resource: str = ""


@dataclass(frozen=True)
class ListedImage:
    """An image in a list from which people choose: its canonical ID, and its name for people."""

    image_id: str
    name: str
    origin: str = ""
    """A text for people, such as the owner of the image or the gallery that contains it.

    This is '' in clouds whose `lists_origins` is false.
    """
    created: datetime | None = None

    def __post_init__(self) -> None:
        bound_texts(self, NAME_LENGTH, "name", "origin")
