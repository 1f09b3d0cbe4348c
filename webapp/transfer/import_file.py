"""The data that every parser of import files returns: a file, its lines, and their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from webapp.refusals import Refusal
from webapp.values.tags import join_tags
from webapp.values.text import character_problem, is_encodable

MAX_TEXT = 32_767
"""The maximum length of a value, in characters. A cell of a spreadsheet has the same limit."""

MAX_ERRORS = 20
"""The maximum number of errors that are reported one by one for an item or build."""

IDS = "IDs"
"""The format of an import without a file: the person pasted image IDs."""
SELECTION = "selection"
"""The format of an import without a file: the person selected images."""
NOUNS = {"CSV": "line", "JSON": "item", "Packer manifest": "build", IDS: "line", SELECTION: "image"}
"""The word for one line of an import in messages, by the format of the import."""

_NOUNS_OF_TEXTS = {"os_family": "family", "os_version": "version", "status_reason": "reason"}
"""The names of these columns in messages about invalid characters. The forms use the same names.

For any other column, such a message contains the name of the column.
"""

Values = Mapping[str, str]
"""The texts of a line by column, without empty texts."""


class UnreadableFile(Refusal):
    """The file as a whole cannot be read, or it has no images or too many."""


@dataclass(frozen=True)
class FileLine:
    """One image in the file."""

    position: str
    """The position of the image in the file, for example 'line 3'."""
    values: Values = field(default_factory=dict)
    errors: tuple[str, ...] = ()
    """Messages about values that cannot be read."""
    artifact: str = ""
    """The artifact ID of a Packer build, if `missing` is not ''. If a pasted line does not identify
    an image, this is the text of the line."""
    missing: str = ""
    """The name of the missing value, if the image of a Packer build can't be identified without it.
    Otherwise ''."""
    image_name: str = ""
    """The name of the image in its cloud, if the ID must be found by this name. Otherwise ''."""
    default_name: str = ""
    """The name that the registry gives to the image if the line has no name and the image is not
    looked up."""
    unidentified: bool = False
    """Whether `errors` prevented the identification of a Packer build's image."""


@dataclass(frozen=True)
class ParsedFile:
    """A file that could be read.

    `unknown_columns` are columns that the registry doesn't have, spelled as in the file.
    `ignored_columns` are the columns of the file that are in `export.READ_ONLY_COLUMNS`. `notes`
    are sentences about the file for the person.
    """

    format: str
    lines: list[FileLine]
    unknown_columns: tuple[str, ...] = ()
    ignored_columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def noun(self) -> str:
        """The word for one line in messages.

        If one Packer build has several images, a line is not a build, so the word is 'image'.
        """
        positions = {line.position for line in self.lines}
        return NOUNS[self.format] if len(positions) == len(self.lines) else "image"


def printable(text: str) -> str:
    """Return the first 60 characters of a text, with a space for each unprintable character."""
    return "".join(char if char.isprintable() else " " for char in text[:60]).strip()


def json_values(item: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    """Return the values of a JSON object as text, without empty texts, and the errors in it."""
    values: dict[str, str] = {}
    errors = []
    for name, value in item.items():
        is_array = name == "tags" and isinstance(value, list)
        text, error = _tags_text(value) if is_array else _json_text(name, value)
        if error:
            errors.append(error)
        elif text:
            values[name] = text
    return values, errors


def first_errors(errors: Sequence[str]) -> tuple[str, ...]:
    """Return the first MAX_ERRORS errors, and a sentence that says how many more there are.

    An object in a JSON file can have hundreds of thousands of keys, and each can be an error.
    """
    more = len(errors) - MAX_ERRORS
    if more <= 0:
        return tuple(errors)
    noun = "error" if more == 1 else "errors"
    return (
        *errors[:MAX_ERRORS],
        f"And {more:,} more {noun}. Correct the errors listed here first.",
    )


def long_text_error(name: str) -> str:
    return f"The value of {printable(name)} is longer than {MAX_TEXT:,} characters. Shorten it."


def _tags_text(tags: Sequence[Any]) -> tuple[str, str]:
    """Return an array of tags as the text that a CSV file would contain, and an error or ''."""
    if any(not isinstance(tag, str) or "," in tag for tag in tags):
        return "", "The array of tags must contain only strings without commas."
    return _json_text("tags", join_tags(tags))


def _json_text(name: str, value: Any) -> tuple[str, str]:
    """Return a JSON value as text, and an error or ''.

    A number is already a text, because the JSON parser is configured to return numbers as texts.
    """
    if value is None:
        return "", ""
    if isinstance(value, bool):
        return ("yes" if value else "no"), ""
    if not isinstance(value, str):
        return "", f"The value of {printable(name)} must be a string, a number, true or false."
    text = value.strip()
    if len(text) > MAX_TEXT:
        return "", long_text_error(name)
    if not is_encodable(text):
        noun = _NOUNS_OF_TEXTS.get(name, printable(name))
        return "", character_problem(text, noun)
    return text, ""
