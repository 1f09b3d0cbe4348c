"""Convert the texts in a line of an imported file to the values of an image.

This module knows the rules of the columns. It must not query the database, so it does not know
whether an image is already registered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from models import Image, LifeCycle
from webapp.clouds import CLOUDS
from webapp.clouds.base import Cloud, Locator
from webapp.images import operating_systems
from webapp.images.choices import Choices, choices_of
from webapp.images.identity import ImageIdentity, parse_locator
from webapp.images.receipts import Receipt
from webapp.images.registration import suggested_name
from webapp.refusals import Refusal

YES = frozenset({"yes", "y", "true", "1"})
NO = frozenset({"no", "n", "false", "0"})
DESCRIPTION_LENGTH = 4096


class InvalidLine(Refusal):
    """A line of a file does not describe an image."""


@dataclass(frozen=True)
class LifeCycleColumns:
    """The life-cycle columns of a line. An empty column is None or ''."""

    status: LifeCycle | None
    deprecated_on: date | None
    retired_on: date | None
    reason: str
    successor: str

    @property
    def has_date(self) -> bool:
        return bool(self.deprecated_on or self.retired_on)


@dataclass(frozen=True)
class ImportLine:
    """A valid line, with its texts converted to values.

    `choices` has values for the fields of `Choices` whose column is not empty. `credentials` is the
    name of credentials, or ''. `life_cycle` is None if the line leaves the life cycle unchanged.
    """

    cloud: Cloud
    locator: Locator
    choices: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    architecture: str = ""
    credentials: str = ""
    life_cycle: LifeCycleColumns | None = None

    @property
    def identity(self) -> ImageIdentity:
        return ImageIdentity.from_locator(self.cloud.key, self.locator)


def parse_line(values: Mapping[str, str], *, can_share: bool) -> ImportLine:
    """Convert the texts of a line, by column, to an ImportLine.

    If `can_share` is false, the result has `shared=False`, even if the line says `yes`. Raises
    Refusal and InvalidImageId.
    """
    cloud = _parse_cloud(values.get("cloud", ""))
    description = values.get("description", "")
    if len(description) > DESCRIPTION_LENGTH:
        raise InvalidLine(
            f"The description is longer than {DESCRIPTION_LENGTH:,} characters. Shorten it."
        )
    choices: dict[str, Any] = {}
    if "name" in values:
        choices["name"] = values["name"]
    choices |= _parse_operating_system(values)
    if "size_gb" in values:
        choices["size_gb"] = _parse_size(values["size_gb"])
    for column in ("agent_installed", "shared"):
        if column in values:
            choices[column] = _parse_boolean(column, values[column])
    if not can_share:
        choices["shared"] = False
    return ImportLine(
        cloud=cloud,
        locator=_parse_locator(cloud, values),
        choices=choices,
        description=description,
        architecture=values.get("architecture", ""),
        credentials=values.get("credentials", ""),
        life_cycle=_parse_life_cycle(values),
    )


def choices_for_update(line: ImportLine, image: Image) -> Choices:
    """Return the choices of a registered image after the line is imported.

    An empty column leaves the stored value unchanged. Raises InvalidLine.
    """
    family = line.choices.get("os_family", image.os_family)
    if family != image.os_family and "os_version" not in line.choices:
        raise InvalidLine("The os_family changes, but os_version is missing. Add os_version.")
    return replace(choices_of(image), **line.choices)


def choices_for_new_image(line: ImportLine, receipt: Receipt | None = None) -> Choices:
    """Return the choices of an image that is not registered yet.

    `receipt` is the record of a look-up, with the details that the cloud returned. Without a
    look-up, `receipt` is None. Empty columns get the values in the receipt. An empty operating
    system is detected from the receipt, the name and the description. Raises InvalidLine.
    """
    name = line.choices.get("name") or (suggested_name(receipt) if receipt else "")
    if not name:
        raise InvalidLine("The name is missing. Add a name, or look the image up.")
    texts = [*(receipt.details.os_texts if receipt else ()), name]
    family, version = _detect_operating_system(line, texts)
    return Choices(
        name=name,
        os_family=family,
        os_version=version,
        size_gb=line.choices.get("size_gb", receipt.details.size_gb if receipt else None),
        agent_installed=line.choices.get("agent_installed", False),
        shared=line.choices.get("shared", False),
    )


def _detect_operating_system(line: ImportLine, texts: Sequence[str]) -> tuple[str, str]:
    """Return the OS family and version of the line.

    If a column is empty, detect its value from `texts` and the description. Raises InvalidLine if
    that is impossible.
    """
    suggestion = operating_systems.suggest([*texts, line.description])
    family = line.choices.get("os_family") or (suggestion.family if suggestion else "")
    if not family:
        raise InvalidLine(
            "The os_family is missing, and it can’t be detected from the name. Add os_family."
        )
    version = suggestion.version if suggestion and suggestion.family == family else ""
    version = line.choices.get("os_version") or version
    if not version:
        raise InvalidLine(
            "The os_version is missing, and it can’t be detected from the name. Add os_version."
        )
    return family, version


def _parse_cloud(text: str) -> Cloud:
    lower = text.lower()
    for cloud in CLOUDS.values():
        if lower in {cloud.key, cloud.label.lower()}:
            return cloud
    keys = ", ".join(CLOUDS)
    if not text:
        raise InvalidLine(f"The cloud is missing. Use one of: {keys}.")
    raise InvalidLine(f"“{text[:40]}” isn’t a known cloud. Use one of: {keys}.")


def _parse_locator(cloud: Cloud, values: Mapping[str, str]) -> Locator:
    text = values.get("cloud_image_id", "")
    if not text:
        raise InvalidLine("The cloud_image_id is missing. Add the ID of the image.")
    compute_resource = values.get("compute_resource", "")
    if compute_resource and cloud.compute_resource_field is None:
        raise InvalidLine(f"{cloud.label} images don’t have a compute_resource. Remove its value.")
    location = values.get("location", "")
    return parse_locator(cloud, location=location, image_id=text, compute_resource=compute_resource)


def _parse_operating_system(values: Mapping[str, str]) -> dict[str, str]:
    """Return the OS columns. A label, such as 'Ubuntu', is converted to its key, 'ubuntu'."""
    choices = {}
    if text := values.get("os_family", ""):
        families = {key: family.label for key, family in operating_systems.FAMILIES.items()}
        choices["os_family"] = _key_for(text, families)
    if text := values.get("os_version", ""):
        family = operating_systems.FAMILIES.get(choices.get("os_family", ""))
        versions = {version.key: version.label for version in family.versions} if family else {}
        choices["os_version"] = _key_for(text, versions)
    return choices


def _key_for(text: str, labels: Mapping[str, str]) -> str:
    """Return the key that equals `text` or whose label equals `text`, ignoring case.

    If there is no such key, return `text`.
    """
    lower = text.lower()
    return next(
        (key for key, label in labels.items() if lower in {key.lower(), label.lower()}), text
    )


def _parse_size(text: str) -> int:
    try:
        number = float(text.lower().removesuffix("gb"))
        if number == int(number):
            return int(number)
    except (ValueError, OverflowError):
        pass
    raise InvalidLine("The size_gb must be a whole number of GB, at least 1.")


def _parse_boolean(column: str, text: str) -> bool:
    if text.lower() in YES | NO:
        return text.lower() in YES
    raise InvalidLine(f"The value of {column} must be yes or no, not “{text[:40]}”.")


def _parse_life_cycle(values: Mapping[str, str]) -> LifeCycleColumns | None:
    """Return the life-cycle columns, or None if all of them are empty. Raises InvalidLine."""
    status = _parse_status(values.get("status", ""))
    deprecated, retired = (_parse_date(values, name) for name in ("deprecated_on", "retired_on"))
    reason, successor = values.get("status_reason", ""), values.get("successor", "")
    is_inactive = status in {LifeCycle.DEPRECATED, LifeCycle.RETIRED}
    if (reason or successor) and not (is_inactive or deprecated or retired):
        raise InvalidLine(
            "A status_reason or successor requires the status deprecated or retired, or a date."
        )
    if status is None and not (deprecated or retired):
        return None
    return LifeCycleColumns(status, deprecated, retired, reason, successor)


def _parse_status(text: str) -> LifeCycle | None:
    if not text:
        return None
    try:
        return LifeCycle(text.lower())
    except ValueError as error:
        known = ", ".join(LifeCycle)
        raise InvalidLine(f"“{text[:40]}” isn’t a status. Use one of: {known}.") from error


def _parse_date(values: Mapping[str, str], column: str) -> date | None:
    text = values.get(column, "")
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise InvalidLine(
            f"The value of {column} must be a date such as 2026-01-31, not “{text[:40]}”."
        ) from error
