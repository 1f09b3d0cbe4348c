"""The result of every parser of import files: a file, its lines, and texts for the columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from webapp.refusals import Refusal
from webapp.values.text import character_problem, is_encodable

MAX_TEXT = 32_767
"""The most characters of one value. A cell of a spreadsheet has the same limit."""

NOUNS = {"CSV": "line", "JSON": "item", "Packer manifest": "build"}
"""The word for one image of a file, by the format of the file."""

_NOUNS_OF_TEXTS = {"os_family": "family", "os_version": "version", "status_reason": "reason"}
"""The words for columns in messages, as in the forms. Any other column is named by its key."""

Values = Mapping[str, str]
"""The texts of a line by column, without empty texts."""


class UnreadableFile(Refusal):
    """The file as a whole cannot be read."""


@dataclass(frozen=True)
class FileLine:
    """One image in the file.

    `position` is the position of the image in the file, for example 'line 3'. `errors` are messages
    about values that cannot be read. If the image of a Packer build cannot be identified without
    another value, `artifact` is the artifact ID of the build and `missing` is the name of that
    value. Otherwise, both are ''. If the ID of the image must be found in its cloud, `image_name`
    is the name of the image there. Otherwise, `image_name` is ''. If neither the line nor the cloud
    has a better name, the image gets `default_name` in the registry. If `unidentified` is true,
    `errors` say why the image cannot be identified.
    """

    position: str
    values: Values = field(default_factory=dict)
    errors: tuple[str, ...] = ()
    artifact: str = ""
    missing: str = ""
    image_name: str = ""
    default_name: str = ""
    unidentified: bool = False


@dataclass(frozen=True)
class ParsedFile:
    """A file that could be read.

    `unknown_columns` are columns that the registry doesn't have, spelled as in the file.
    `ignored_columns` are the READ_ONLY_COLUMNS that the file has. `notes` are sentences about the
    file for the person.
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
    """Return a short form of a text of the file that can be shown and stored in a message."""
    return "".join(char if char.isprintable() else " " for char in text[:60]).strip()


def json_values(item: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    """Return the values of a JSON object as text, without empty texts, and the errors in it."""
    values: dict[str, str] = {}
    errors = []
    for name, value in item.items():
        text, error = _json_text(name, value)
        if error:
            errors.append(error)
        elif text:
            values[name] = text
    return values, errors


def long_text_error(name: str) -> str:
    return f"The value of {printable(name)} is longer than {MAX_TEXT:,} characters. Shorten it."


def _json_text(name: str, value: Any) -> tuple[str, str]:
    """Return a JSON value as text, and an error or ''.

    The parser returns numbers as texts already.
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
