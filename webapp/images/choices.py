"""The values that people enter for an image, such as its operating system, and the rules for them.

A check of the image in its cloud does not change these values.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from models import Image, Level
from webapp.images import operating_systems
from webapp.refusals import Refusal
from webapp.values.tags import parse_tags
from webapp.values.text import InvalidText, LineRule, parse_lines

NAME_LENGTH = (2, 255)
"""The minimum and the maximum length of a name, in characters."""
OS_LENGTH = 64
"""The maximum length of a family or version of an operating system, in characters."""
NOTES_LENGTH = 10_000
"""The maximum length of the notes, in characters."""
LARGEST_SIZE = 2**31 - 1
"""The largest size in GB that the column `size_gb` can store."""
SIZE_MESSAGE = "Enter the size as a whole number of GB, at least 1."


class InvalidChoices(Refusal):
    """A value that a person entered breaks a rule."""


NAME = LineRule("name", NAME_LENGTH[1], NAME_LENGTH[0], "name", InvalidChoices)
_SIZE = re.compile(r"([0-9]{1,19})(?:\.0+)?\s*(?:gb)?", re.IGNORECASE)
"""A size such as '8', '8 GB' or '8.0'. A spreadsheet may write 8 as 8.0."""
OS_FAMILY = LineRule("family", OS_LENGTH, 0, "os_family", InvalidChoices)
OS_VERSION = LineRule("version", OS_LENGTH, 0, "os_version", InvalidChoices)


@dataclass(frozen=True)
class ImageChoices:
    """The values that a person entered for an image, named like the columns of `Image`."""

    name: str
    os_family: str
    os_version: str
    size_gb: int | None
    agent_installed: bool
    shared: bool
    tags: list[str] = field(default_factory=list)
    notes: str = ""

    def __post_init__(self) -> None:
        """Normalize the texts. Raises InvalidChoices for the first field that breaks a rule."""
        for name, value in list(vars(self).items()):
            object.__setattr__(self, name, parse_choice(name, value))


_RULES = {rule.field: rule for rule in (NAME, OS_FAMILY, OS_VERSION)}
_TEXT_PARSERS: dict[str, Callable[[Any], Any]] = {
    "tags": parse_tags,
    "notes": lambda text: parse_lines(text.replace("\r\n", "\n"), "note", NOTES_LENGTH),
}
_REQUIRED = {
    "os_family": "Choose the family of the operating system.",
    "os_version": "Choose the version of the operating system.",
}


def parse_choice(name: str, value: Any) -> Any:
    """Return the normalized value of a field of `ImageChoices`. Raises InvalidChoices."""
    if name in _RULES:
        value = _RULES[name].parse(value)
    if name in _REQUIRED and not value:
        raise InvalidChoices(_REQUIRED[name], name)
    if name == "size_gb" and value is not None and not 1 <= value <= LARGEST_SIZE:
        raise InvalidChoices(SIZE_MESSAGE, name)
    if name in _TEXT_PARSERS:
        try:
            return _TEXT_PARSERS[name](value)
        except InvalidText as error:
            raise InvalidChoices(error.message, name) from error
    return value


def parse_size(text: str) -> int:
    """Return the size in GB in a text such as '8' or '8 GB'. Raises InvalidChoices."""
    found = _SIZE.fullmatch(text.strip())
    if found is None or not 1 <= int(found[1]) <= LARGEST_SIZE:
        raise InvalidChoices(SIZE_MESSAGE, "size_gb")
    return int(found[1])


def is_valid_name(name: str) -> bool:
    """Return whether an image can have this name."""
    try:
        ImageChoices(name, "any family", "any version", None, agent_installed=False, shared=False)
    except InvalidChoices:
        return False
    return True


CHOICE_COLUMNS = (
    *ImageChoices.__dataclass_fields__,
    "os_version_key",
    "name_key",
    "size_key",
    "search_text",
    "tag_index",
)
"""The columns that `apply_choices` sets, and the columns that `Image.save` derives from them."""


def choices_of(image: Image) -> ImageChoices:
    """Return the values that people entered for `image`."""
    return ImageChoices(
        name=image.name,
        os_family=image.os_family,
        os_version=image.os_version,
        size_gb=image.size_gb,
        agent_installed=image.agent_installed,
        shared=image.shared,
        tags=image.tags,
        notes=image.notes,
    )


def filled_choices(choices: ImageChoices) -> dict[str, Any]:
    """Return the values of `choices` for the audit log of a new or deleted image.

    A list or a text that is empty is left out.
    """
    return {name: value for name, value in asdict(choices).items() if value not in ([], "")}


def apply_choices(image: Image, choices: ImageChoices) -> None:
    """Copy `choices` to the columns of `image`. An image of an environment is never shared."""
    for name, value in asdict(choices).items():
        setattr(image, name, value)
    image.os_version_key = operating_systems.version_key(choices.os_version)
    if image.scope.level is Level.ENVIRONMENT:
        image.shared = False
