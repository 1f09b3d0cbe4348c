"""Convert the texts in a line of an imported file to the values of an image.

This module knows the rules of the columns. It must not query the database, so it does not know
whether an image is already registered. If several values of a line are invalid, all of their errors
are reported together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache, lru_cache
from typing import Any, TypeVar

from models import Image, LifeCycle
from webapp.clouds import CLOUDS
from webapp.clouds.base import Cloud
from webapp.clouds.errors import CloudError
from webapp.clouds.locators import LocationRule, Locator
from webapp.images import operating_systems
from webapp.images.choices import ImageChoices, choices_of, parse_choice, parse_size
from webapp.images.identity import ImageIdentity, locator_of, require_storable
from webapp.images.life_cycle import LifeCyclePlan
from webapp.images.receipts import Receipt
from webapp.images.registration import name_or_id, suggested_name
from webapp.refusals import Refusal
from webapp.transfer import packer_manifest
from webapp.transfer.import_file import FileLine
from webapp.values.days import InvalidDay, parse_day
from webapp.values.tags import split_tags
from webapp.values.text import LineRule, normalized, parse_lines

YES = frozenset({"yes", "y", "true", "1"})
NO = frozenset({"no", "n", "false", "0"})
DESCRIPTION_LENGTH = 4096
ARCHITECTURE = LineRule("architecture", Image.architecture.max_length)

T = TypeVar("T")


class InvalidLine(Refusal):
    """A value in a line, or a value that the person entered for several lines, is not valid."""


@dataclass(frozen=True)
class Answers:
    """The values that the person entered because the file leaves them out.

    `by_cloud` has the values for the lines of each cloud, for example `{"aws": {"location":
    "us-east-1"}}`. The possible names of values are `location` and `project`. `operating_system` is
    the family and version for lines whose operating system is unknown, or None.
    """

    by_cloud: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    operating_system: tuple[str, str] | None = None


@dataclass(frozen=True)
class LifeCycleColumns:
    """The life-cycle columns of a line. An empty column is None or ''."""

    status: LifeCycle | None
    deprecated_on: date | None
    retired_on: date | None
    reason: str
    successor: str


@dataclass(frozen=True)
class ImportLine:
    """The valid values of a line."""

    cloud: Cloud
    locator: Locator | None
    """None if the image can't be identified. If the image must be found by `image_name`, the image
    ID of the locator is ''."""
    choices: Mapping[str, Any] = field(default_factory=dict)
    """The valid values of the fields of `ImageChoices`."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """The texts of the columns for `ImageChoices`, as they are in the file."""
    description: str = ""
    architecture: str = ""
    credentials: str = ""
    """The name of credentials, or ''."""
    life_cycle: LifeCycleColumns | None = None
    """None if the line does not change the life cycle."""
    image_name: str = ""
    default_name: str = ""
    """`FileLine` explains `image_name` and `default_name`."""

    @property
    def identity(self) -> ImageIdentity | None:
        """The identity, or None if it is not known."""
        if self.locator is None or not self.locator.image_id:
            return None
        return ImageIdentity.from_locator(self.cloud.key, self.locator)


@dataclass
class ParsedLine:
    """A line of a file after parsing."""

    values: ImportLine | None = None
    """None if the cloud is not known."""
    errors: list[str] = field(default_factory=list)
    missing: str = ""
    """The name of a value that the line lacks and that the person can enter, or ''.

    For example, it is 'location'. The person enters the value once for all lines of the cloud.
    """

    def collect(self, parse: Callable[..., T], *args: Any) -> T | None:
        """Return the result of `parse`. If it raises an error, add the error and return None."""
        try:
            return parse(*args)
        except (Refusal, CloudError) as error:
            self.errors.append(str(error))
            return None


def parse_line(line: FileLine, answers: Answers, *, can_share: bool) -> ParsedLine:
    """Convert the texts of a line to values.

    If `can_share` is false, the result has `shared=False`, even if the line says `yes`.
    """
    parsed = ParsedLine(errors=list(line.errors))
    if line.errors and not line.values:
        return parsed
    cloud = parsed.collect(_parse_cloud, line.values.get("cloud", ""))
    cloud_answers = answers.by_cloud.get(cloud.key, {}) if cloud else {}
    line = parsed.collect(packer_manifest.complete, line, cloud_answers) or line
    # A text that contains only spaces and invisible characters is empty, as in a form.
    values = {name: text for name, text in line.values.items() if normalized(text)}
    choices = _parse_choices(parsed, values)
    if not can_share:
        choices["shared"] = False
    description = parsed.collect(
        parse_lines, values.get("description", ""), "description", DESCRIPTION_LENGTH
    )
    architecture = parsed.collect(ARCHITECTURE.parse, values.get("architecture", ""))
    columns = _parse_life_cycle(parsed, values)
    if cloud is None:
        return parsed
    parsed.values = ImportLine(
        cloud=cloud,
        locator=_parse_locator(parsed, cloud, line, cloud_answers),
        choices=choices,
        texts={name: values[name] for name in ImageChoices.__dataclass_fields__ if name in values},
        description=description or "",
        architecture=architecture or "",
        credentials=normalized(values.get("credentials", "")),
        life_cycle=columns,
        image_name=line.image_name,
        default_name=line.default_name,
    )
    return parsed


def parse_operating_system(text: str) -> tuple[str, str]:
    """Return the family and the version in a text that a person enters, such as 'Ubuntu 24.04'.

    A family or version in the list of operating systems is returned as its key, and any other as
    the person typed it. Raises InvalidLine if the family or the version is missing, and
    InvalidChoices if one of them is too long.
    """
    text = " ".join(text.split())
    for key, family in operating_systems.FAMILIES.items():
        for version in family.versions:
            if text.lower() == operating_systems.label(key, version.key).lower():
                return key, version.key
    suggestion = operating_systems.suggest([text])
    if suggestion and suggestion.version:
        return suggestion.family, suggestion.version
    name, _, version_text = text.rpartition(" ")
    if not name or not any(character.isdigit() for character in version_text):
        raise InvalidLine("Enter a family and a version, for example Ubuntu 24.04.")
    family_key = suggestion.family if suggestion else name
    parse_choice("os_family", family_key)
    parse_choice("os_version", version_text)
    return family_key, version_text


def choices_for_update(line: ImportLine, image: Image) -> tuple[ImageChoices | None, list[str]]:
    """Return the choices of a registered image after the line is imported, and the errors.

    An empty cell leaves the stored value unchanged. So does a cell that contains exactly the stored
    text, as in an export. For example, if the stored family is the text “Ubuntu”, which somebody
    entered, the import does not replace it with the key `ubuntu`.
    """
    stored = choices_of(image)
    unchanged_names = {name for name, text in line.texts.items() if getattr(stored, name) == text}
    changed = {name: value for name, value in line.choices.items() if name not in unchanged_names}
    family = changed.get("os_family", stored.os_family)
    if family != stored.os_family and "os_version" not in line.choices:
        return None, ["The os_family changes, but os_version is missing. Add os_version."]
    if family != stored.os_family and (errors := _family_errors(family)):
        return None, errors
    return replace(stored, **changed), []


@dataclass(frozen=True)
class NewChoices:
    """The choices of a new image. `choices` is None if there are errors.

    If `lacks_operating_system` is true, the operating system is unknown, and one of the errors says
    that the person must enter it.
    """

    choices: ImageChoices | None
    errors: list[str] = field(default_factory=list)
    lacks_operating_system: bool = False


def choices_for_new_image(
    line: ImportLine, answers: Answers, receipt: Receipt | None = None
) -> NewChoices:
    """Return the choices of an image that is not registered yet.

    `receipt` is the record of a look-up, with the details that the cloud returned. Without a
    look-up, `receipt` is None. An empty name or size gets the value in the receipt. An empty
    operating system is detected from the receipt, the name and the description. If the family or
    the version can't be detected, the operating system from `answers` is used, unless it
    contradicts the family or the version that is known.
    """
    errors = []
    name = line.choices.get("name") or _default_name(line, receipt)
    if not name and "name" not in line.texts:
        errors.append("The name is missing. Add a name, or look the image up.")
    texts = [*(receipt.details.os_texts if receipt else ()), name, line.description]
    family, version = _detect_operating_system(line, texts, answers.operating_system)
    lacks_operating_system = False
    unknown = {"os_family": not family, "os_version": not version}
    missing = [column for column in unknown if unknown[column] and column not in line.texts]
    if missing:
        # If an operating system was entered, it contradicts the known family or version. So the
        # person must correct the line instead of entering an operating system again.
        lacks_operating_system = answers.operating_system is None
        errors.append(
            _missing_operating_system(missing, family or version, answers.operating_system)
        )
    errors += _family_errors(family)
    if errors or not (name and family and version):
        return NewChoices(None, errors, lacks_operating_system)
    size_gb = line.choices.get("size_gb", receipt.details.size_gb if receipt else None)
    choices = ImageChoices(
        name=name,
        os_family=family,
        os_version=version,
        size_gb=size_gb,
        agent_installed=line.choices.get("agent_installed", False),
        shared=line.choices.get("shared", False),
        tags=line.choices.get("tags", []),
        notes=line.choices.get("notes", ""),
    )
    return NewChoices(choices, errors)


def _missing_operating_system(
    missing: Sequence[str], known: str, answer: tuple[str, str] | None
) -> str:
    """Return the error message for an image whose OS family or version is unknown.

    `missing` are the columns whose values are unknown, and `known` is the known family or version.
    `answer` is the operating system that the person entered for all such images, or None.
    """
    message = f"The {missing[0]} is missing, and it can’t be detected."
    if answer is None:
        return f"{message} Enter the operating system above, or add {' and '.join(missing)}."
    part = "family" if missing[0] == "os_version" else "version"
    return (
        f"{message} The operating system above, {operating_systems.label(*answer)}, doesn’t apply, "
        f"because the {part} of this image is {known}. Add {missing[0]}, or register this image "
        "separately."
    )


def _family_errors(family: str) -> list[str]:
    """Return the errors of a new family. A version in its name, as in “Debian 12”, is an error."""
    listed_family = operating_systems.family_with_version(family)
    if listed_family is None:
        return []
    message = f"The os_family “{family}” contains a version. Use {listed_family.key} as os_family"
    return [f"{message}, and put the version into os_version."]


def unusable_compute_resource(name: str) -> str:
    """Return the error message for a compute resource on which the image can't be used."""
    return (
        f"The image can’t be used on the compute_resource “{name[:80]}”. Correct it, or leave it "
        "empty."
    )


def _default_name(line: ImportLine, receipt: Receipt | None) -> str:
    """Return the name of a new image whose line has no name, or ''."""
    if receipt:
        return suggested_name(receipt)
    if not line.default_name:
        return ""
    return name_or_id(line.default_name, line.locator.image_id if line.locator else "")


def _detect_operating_system(
    line: ImportLine, texts: Sequence[str], answer: tuple[str, str] | None
) -> tuple[str, str]:
    """Return the OS family and version. Each is '' if it is unknown.

    If a column is empty, its value is detected from `texts`. If the family or the version is still
    unknown after that, return `answer`, unless it contradicts the known family or version.
    """
    family, version = line.choices.get("os_family", ""), line.choices.get("os_version", "")
    if family and version:
        return family, version
    suggestion = operating_systems.suggest(texts)
    if suggestion and not version and family in {"", suggestion.family}:
        version = suggestion.version
    if suggestion and not family:
        family = suggestion.family
    if answer and family in {"", answer[0]} and version in {"", answer[1]}:
        return answer
    return family, version


def _parse_choices(parsed: ParsedLine, values: Mapping[str, str]) -> dict[str, Any]:
    """Return the valid values in the line for the fields of `ImageChoices`."""
    choices: dict[str, Any] = {name: values[name] for name in ("name", "notes") if name in values}
    choices |= _operating_system_columns(values)
    if "size_gb" in values:
        choices["size_gb"] = parsed.collect(parse_size, values["size_gb"])
    if "tags" in values:
        choices["tags"] = split_tags(values["tags"])
    for column in ("agent_installed", "shared"):
        if column in values:
            choices[column] = parsed.collect(_parse_boolean, column, values[column])
    valid = {
        name: parsed.collect(parse_choice, name, value)
        for name, value in choices.items()
        if value is not None
    }
    return {name: value for name, value in valid.items() if value is not None}


def _parse_cloud(text: str) -> Cloud:
    lower = text.lower()
    for cloud in CLOUDS.values():
        if lower in {cloud.key, cloud.label.lower()}:
            return cloud
    keys = ", ".join(CLOUDS)
    if not text:
        raise InvalidLine(f"The cloud is missing. Use one of: {keys}.")
    raise InvalidLine(f"“{text[:40]}” isn’t a known cloud. Use one of: {keys}.")


def _parse_locator(
    parsed: ParsedLine, cloud: Cloud, line: FileLine, cloud_answers: Mapping[str, str]
) -> Locator | None:
    """Return the locator. If an error prevents this, add the error to `parsed` and return None."""
    count = len(parsed.errors)
    values = line.values
    resource = values.get("compute_resource", "")
    if resource and cloud.compute_resource_field is None:
        parsed.errors.append(
            f"{cloud.label} images don’t have a compute_resource. Remove its value."
        )
    if line.missing:
        parsed.missing = line.missing
        parsed.errors.append(
            f"The manifest doesn’t contain the {line.missing} of this image. Enter it above, or add"
            f" it to custom_data as “{line.missing}”."
        )
        return None
    text = values.get("cloud_image_id", "")
    found = parsed.collect(cloud.parse_image_id, text) if text else None
    if line.unidentified:
        return None
    if not text and not line.image_name:
        parsed.errors.append("The cloud_image_id is missing. Add the ID of the image.")
    location = values.get("location", "")
    if cloud.location_rule is LocationRule.REGIONAL and not (
        location or (found and found.location)
    ):
        location = cloud_answers.get("location", "")
        if not location:
            parsed.missing = "location"
            parsed.errors.append(
                f"The location is missing. It is required for {cloud.label}. Enter it above, or "
                "add it to the file."
            )
    if found and len(parsed.errors) == count:
        return parsed.collect(locator_of, cloud, found, location, resource)
    locator = Locator(parsed.collect(cloud.parse_location, location) or "", "", resource)
    parsed.collect(require_storable, locator)
    return locator if len(parsed.errors) == count else None


def _operating_system_columns(values: Mapping[str, str]) -> dict[str, str]:
    """Return the OS columns. A label, such as 'Ubuntu', is converted to its key, 'ubuntu'."""
    choices = {}
    if text := values.get("os_family", ""):
        choices["os_family"] = _family_keys().get(text.lower(), text)
    if text := values.get("os_version", ""):
        versions = _version_keys(choices.get("os_family", ""))
        choices["os_version"] = versions.get(text.lower(), text)
    return choices


@cache
def _family_keys() -> dict[str, str]:
    """Return a mapping from each family's key and label, in lower case, to the key."""
    return _keys_by_name((key, each.label) for key, each in operating_systems.FAMILIES.items())


@lru_cache(maxsize=256)
def _version_keys(family_key: str) -> dict[str, str]:
    """Return a mapping from each version's key and label, in lower case, to the key."""
    family = operating_systems.FAMILIES.get(family_key)
    return _keys_by_name((each.key, each.label) for each in (family.versions if family else ()))


def _keys_by_name(labels: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return a mapping from each key and each label, in lower case, to the key.

    If the same text belongs to several keys, it maps to the first of them.
    """
    keys: dict[str, str] = {}
    for key, label in labels:
        for name in (key, label):
            keys.setdefault(name.lower(), key)
    return keys


def _parse_boolean(column: str, text: str) -> bool:
    if text.lower() in YES | NO:
        return text.lower() in YES
    raise InvalidLine(f"The value of {column} must be yes or no, not “{text[:40]}”.")


def _parse_life_cycle(parsed: ParsedLine, values: Mapping[str, str]) -> LifeCycleColumns | None:
    """Return the life-cycle columns, or None if all of them are empty or one is invalid."""
    count = len(parsed.errors)
    status = parsed.collect(_parse_status, values.get("status", ""))
    deprecated = parsed.collect(_parse_date, values, "deprecated_on")
    retired = parsed.collect(_parse_date, values, "retired_on")
    reason, successor = values.get("status_reason", ""), values.get("successor", "")
    # LifeCyclePlan checks the reason. It accepts a reason only with a date, so pass any date.
    parsed.collect(LifeCyclePlan, date.max, None, reason)
    if len(parsed.errors) > count:
        return None
    is_inactive = status in {LifeCycle.DEPRECATED, LifeCycle.RETIRED}
    if (reason or successor) and not (is_inactive or deprecated or retired):
        parsed.errors.append(
            "A status_reason or successor requires the status deprecated or retired, or a date."
        )
        return None
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
        return parse_day(text) if text else None
    except InvalidDay as error:
        raise InvalidLine(f"The value of {column} isn’t valid. {error.message}") from error
