"""The details of an image that an adapter reads from its cloud: state, facts and volumes."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from webapp.clouds.limits import (
    DESCRIPTION_LENGTH,
    MAX_FACTS,
    MAX_ITEMS,
    MAX_LISTED,
    NAME_LENGTH,
    TEXT_LENGTH,
    bound_texts,
    replace_fields,
)
from webapp.clouds.messages import bounded


class ImageState(enum.StrEnum):
    """Whether an image can be used. Adapters translate the states of their clouds."""

    AVAILABLE = "available"
    DEPRECATED = "deprecated"
    PENDING = "pending"
    DISABLED = "disabled"
    FAILED = "failed"
    GONE = "gone"
    """The image no longer exists in the cloud, is marked as deleted, or is being deleted there."""
    UNKNOWN = "unknown"
    """The image was never read from the cloud. No adapter returns this state."""

    @property
    def label(self) -> str:
        """The name of the state for people."""
        return "Not checked" if self is ImageState.UNKNOWN else self.capitalize()

    @property
    def token(self) -> str:
        """The label in lower case and without spaces, for searches and exports."""
        return self.label.lower().replace(" ", "-")


REPLACEMENT = "replacement"
"""The key of the fact that contains the ID of the image's replacement."""
OWNER = "owner"
"""The key of the fact whose value begins with the ID of the image's owner (account or project)."""


@dataclass(frozen=True)
class Fact:
    """A detail for which `ImageDetails` has no field. `label` and `value` are for people."""

    key: str
    label: str
    value: str

    def __post_init__(self) -> None:
        bound_texts(self, NAME_LENGTH, "key", "label")
        bound_texts(self, TEXT_LENGTH, "value")


@dataclass(frozen=True)
class Volume:
    """A disk of the image. `size_gb` is in GB (2**30 bytes), or None if unknown."""

    device: str
    kind: str
    size_gb: int | None
    snapshot: str
    encrypted: bool | None
    root: bool = False

    def __post_init__(self) -> None:
        bound_texts(self, NAME_LENGTH, "device", "kind")
        bound_texts(self, TEXT_LENGTH, "snapshot")


@dataclass(frozen=True)
class ImageDetails:
    """The details of one image as the cloud reports them.

    Values that only the registry suggests, such as the operating system, are not included.
    """

    name: str
    """The name of the image in the cloud, or '' if the cloud has none."""
    description: str
    architecture: str
    """x86_64, arm64, i386, or the cloud's own word; '' if unknown."""
    size_gb: int | None
    """The size of the root disk in GB (2**30 bytes), or None if unknown."""
    state: ImageState
    state_note: str
    """One or more sentences that explain the state, or ''."""
    created_at: datetime | None
    deprecated_at: datetime | None
    """When the image was deprecated or, if it is available, when it will be deprecated."""
    facts: tuple[Fact, ...]
    volumes: tuple[Volume, ...]
    os_texts: tuple[str, ...]
    """Texts from the cloud that may name the operating system, the most reliable first."""
    warnings: tuple[str, ...] = ()
    """The problems to know about before using the image, each in one or two sentences."""
    image_id: str = ""
    """The canonical ID of the image that was found, or '' if it equals the requested ID.

    The two IDs differ if the requested ID is an alias, such as `latest` or the name of a family, or
    if the cloud spells the ID differently.
    """
    compute_resources: tuple[str, ...] = ()
    """The compute resources for which the image can be registered, in clouds that have a
    `compute_resource_field`."""
    location: str = ""
    """The location of the image as the cloud spells it, or '' if it equals the requested location.

    If the image has moved, this is its new location. See `describe_again`.
    """
    lookup_location: str = ""
    """The location where the adapter found the image.

    If the image was imported and has not been checked yet, this is the location in the import file.
    Only images of clouds with the location rule LOOKUP_ONLY can have a `lookup_location`. In these
    clouds, the location is not part of an image's identity. The next check of the image tries
    `lookup_location` first.
    """
    ends_at: datetime | None = None
    """When the image will become obsolete or will be deleted, as its owner announced."""

    @property
    def deprecation_announced_for(self) -> datetime | None:
        """The announced time from which a look-up will return the state DEPRECATED.

        This is None if no such time was announced, or if the image is not available now.
        """
        if self.state is not ImageState.AVAILABLE:
            return None
        return min(filter(None, (self.deprecated_at, self.ends_at)), default=None)

    def __post_init__(self) -> None:
        bound_texts(self, NAME_LENGTH, "architecture")
        bound_texts(self, TEXT_LENGTH, "name", "state_note")
        bound_texts(self, DESCRIPTION_LENGTH, "description")
        replace_fields(
            self,
            facts=_first_facts(self.facts),
            volumes=self.volumes[:MAX_ITEMS],
            os_texts=tuple(bounded(each, TEXT_LENGTH) for each in self.os_texts[:MAX_ITEMS]),
            warnings=tuple(bounded(each, TEXT_LENGTH) for each in self.warnings[:MAX_ITEMS]),
            compute_resources=self.compute_resources[:MAX_LISTED],
        )

    @property
    def replacement(self) -> str:
        """The ID of the replacement that the image's owner recommends, or ''."""
        return next((fact.value for fact in self.facts if fact.key == REPLACEMENT), "")

    @property
    def owner(self) -> str:
        """The ID of the account or project that owns the image, or '' if it is unknown."""
        fact = next((fact.value for fact in self.facts if fact.key == OWNER), "")
        return fact.partition(" ")[0]


def _first_facts(facts: tuple[Fact, ...]) -> tuple[Fact, ...]:
    """Return at most MAX_FACTS facts, including all facts that the registry itself uses."""
    if len(facts) <= MAX_FACTS:
        return facts
    used = [fact for fact in facts if fact.key in {REPLACEMENT, OWNER}]
    others = [fact for fact in facts if fact.key not in {REPLACEMENT, OWNER}]
    shown = (used + others)[: MAX_FACTS - 1]
    count_of_others = Fact("more", "More details", f"{len(facts) - len(shown):,} more (shortened)")
    return (*shown, count_of_others)


@dataclass(frozen=True)
class ImageCopy:
    """An image with the same name and owner as another image, in another location."""

    location: str
    image_id: str
    details: ImageDetails
