"""What a line of an imported file means: its texts as the values of an image. Knows the rules of
the columns and asks no database; whether such an image is there is not known here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from models import Image, LifeCycle
from webapp.clouds import CLOUDS
from webapp.clouds.base import Cloud, LocationRule, Locator
from webapp.images import operating_systems
from webapp.images.identity import ImageIdentity
from webapp.images.receipts import Receipt
from webapp.images.registration import (
    Choices,
    choices_of,
    require_storable,
    suggested_name,
)
from webapp.refusals import Refusal


class InvalidLine(Refusal):
    """A line of a file does not describe an image."""


YES = frozenset({"yes", "y", "true", "1"})
NO = frozenset({"no", "n", "false", "0"})
DESCRIPTION_LENGTH = 4096


@dataclass(frozen=True)
class SaidLife:
    """What a line says of an image's life; None and '' where it says nothing."""

    status: LifeCycle | None
    deprecated_on: date | None
    retired_on: date | None
    reason: str
    successor: str

    @property
    def dated(self) -> bool:
        return bool(self.deprecated_on or self.retired_on)


@dataclass(frozen=True)
class Wanted:
    """What a line says of one image. `said` has those fields of `Choices` that it says anything
    of; `credentials` is the name of some."""

    cloud: Cloud
    locator: Locator
    said: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    architecture: str = ""
    credentials: str = ""
    life: SaidLife | None = None

    @property
    def identity(self) -> ImageIdentity:
        return ImageIdentity.from_locator(self.cloud.key, self.locator)


def understand(values: Mapping[str, str], *, shareable: bool) -> Wanted:
    """`shareable`: whether there can be scopes below that an image is shared with. Raises
    Refusal and InvalidImageId."""
    cloud = _cloud(values.get("cloud", ""))
    description = values.get("description", "")
    if len(description) > DESCRIPTION_LENGTH:
        raise InvalidLine(f"The description has more than {DESCRIPTION_LENGTH} characters.")
    said: dict[str, Any] = {}
    if "name" in values:
        said["name"] = values["name"]
    said |= _operating_system(values)
    if "size_gb" in values:
        said["size_gb"] = _size(values["size_gb"])
    for column in ("agent_installed", "shared"):
        if column in values:
            said[column] = _truth(column, values[column])
    if not shareable:
        said["shared"] = False
    return Wanted(
        cloud=cloud,
        locator=_locator(cloud, values),
        said=said,
        description=description,
        architecture=values.get("architecture", ""),
        credentials=values.get("credentials", ""),
        life=_life(values),
    )


def changed(wanted: Wanted, image: Image) -> Choices:
    """What the image would be; what the line does not say stays. Raises Refusal."""
    said = wanted.said
    if said.get("os_family", image.os_family) != image.os_family and "os_version" not in said:
        raise InvalidLine("With another os_family, os_version is needed as well.")
    return replace(choices_of(image), **said)


def fresh(wanted: Wanted, receipt: Receipt | None = None) -> Choices:
    """Of an image that is not there yet. What the line does not say is told from what the cloud
    said, or from the line's own name. Raises Refusal."""
    name = wanted.said.get("name") or (suggested_name(receipt) if receipt else "")
    if not name:
        raise InvalidLine("The name is missing.")
    family, version = _guessed(wanted, [*(receipt.details.os_texts if receipt else ()), name])
    return Choices(
        name=name,
        os_family=family,
        os_version=version,
        size_gb=wanted.said.get("size_gb", receipt.details.size_gb if receipt else None),
        agent_installed=wanted.said.get("agent_installed", False),
        shared=wanted.said.get("shared", False),
    )


def _guessed(wanted: Wanted, texts: Sequence[str]) -> tuple[str, str]:
    """The family and version of the operating system. Raises Refusal."""
    guess = operating_systems.guess([*texts, wanted.description])
    family = wanted.said.get("os_family") or (guess.family if guess else "")
    if not family:
        raise InvalidLine("The os_family is missing, and the name does not tell it.")
    version = guess.version if guess and guess.family == family else ""
    version = wanted.said.get("os_version") or version
    if not version:
        raise InvalidLine("The os_version is missing, and the name does not tell it.")
    return family, version


def _cloud(text: str) -> Cloud:
    lower = text.lower()
    for cloud in CLOUDS.values():
        if lower in {cloud.key, cloud.label.lower()}:
            return cloud
    known = ", ".join(CLOUDS)
    if not text:
        raise InvalidLine(f"The cloud is missing. Write one of {known}.")
    raise InvalidLine(f"There is no cloud “{text[:40]}”. Write one of {known}.")


def _locator(cloud: Cloud, values: Mapping[str, str]) -> Locator:
    text = values.get("cloud_image_id", "")
    if not text:
        raise InvalidLine("The cloud_image_id is missing.")
    parsed = cloud.parse_image_id(text)
    location = values.get("location", "") or parsed.location
    if parsed.location and location != parsed.location:
        raise InvalidLine(
            f"The cloud_image_id says {parsed.location}, the location says {location}. Make them "
            "agree."
        )
    if cloud.location_rule is LocationRule.REGIONAL and not location:
        raise InvalidLine(f"The location is missing: images of {cloud.label} have one.")
    compute_resource = values.get("compute_resource", "")
    if compute_resource and cloud.compute_resource_field is None:
        raise InvalidLine(f"Images of {cloud.label} have no compute_resource.")
    if cloud.location_rule is LocationRule.GLOBAL:
        location = ""
    locator = Locator(location, parsed.value, compute_resource)
    require_storable(locator)
    return locator


def _operating_system(values: Mapping[str, str]) -> dict[str, str]:
    """By the keys that are stored, where it is written in the words that are shown."""
    said = {}
    if family := values.get("os_family", ""):
        said["os_family"] = _key_of(
            family, {each.key: each.label for each in operating_systems.FAMILIES.values()}
        )
    if version := values.get("os_version", ""):
        known = operating_systems.FAMILIES.get(said.get("os_family", ""))
        versions = {each.key: each.label for each in known.versions} if known else {}
        said["os_version"] = _key_of(version, versions)
    return said


def _key_of(text: str, labels: Mapping[str, str]) -> str:
    lower = text.lower()
    return next(
        (key for key, label in labels.items() if lower in {key.lower(), label.lower()}), text
    )


def _size(text: str) -> int:
    try:
        number = float(text.lower().removesuffix("gb"))
        if number == int(number):
            return int(number)
    except (ValueError, OverflowError):
        pass
    raise InvalidLine("The size_gb is a whole number of GB, at least 1.")


def _truth(column: str, text: str) -> bool:
    if text.lower() in YES | NO:
        return text.lower() in YES
    raise InvalidLine(f"Write yes or no for {column}, in place of “{text[:40]}”.")


def _life(values: Mapping[str, str]) -> SaidLife | None:
    status = _status(values.get("status", ""))
    deprecated, retired = (_day(values, name) for name in ("deprecated_on", "retired_on"))
    reason, successor = values.get("status_reason", ""), values.get("successor", "")
    ends = deprecated or retired or status in {LifeCycle.DEPRECATED, LifeCycle.RETIRED}
    if (reason or successor) and not ends:
        raise InvalidLine(
            "A status_reason or successor goes with a status of deprecated or retired, or a date."
        )
    if status is None and not ends:
        return None
    return SaidLife(status, deprecated, retired, reason, successor)


def _status(text: str) -> LifeCycle | None:
    if not text:
        return None
    try:
        return LifeCycle(text.lower())
    except ValueError as error:
        known = ", ".join(LifeCycle)
        raise InvalidLine(f"There is no status “{text[:40]}”. Write one of {known}.") from error


def _day(values: Mapping[str, str], column: str) -> date | None:
    text = values.get(column, "")
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise InvalidLine(
            f"Write {column} as a day, such as 2026-01-31, in place of “{text[:40]}”."
        ) from error
