"""Parse a file of images: CSV, JSON, or a manifest that HashiCorp Packer wrote.

The result is the same for every format: one line per image, with a text for each column. This
module must not know what the texts mean or whether they are valid.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from webapp.clouds import CLOUDS
from webapp.clouds.base import InvalidImageId, Locator
from webapp.images.identity import ImageIdentity
from webapp.refusals import Refusal
from webapp.transfer.export import IMPORT_COLUMNS, READ_ONLY_COLUMNS, unescape_formula

MAX_BYTES = 10 * 1024 * 1024
MAX_LINES = 20_000
REQUIRED_COLUMNS = ("cloud", "cloud_image_id")
DELIMITERS = ",;\t"

Values = Mapping[str, str]
"""The texts of a line by column, without empty texts."""


class UnreadableFile(Refusal):
    """The file as a whole cannot be read."""


class UnreadableValue(Refusal):
    """A value in a JSON file or manifest cannot be read as text."""


@dataclass(frozen=True)
class FileLine:
    """One image in the file.

    `position` is the position of the image in the file, for example 'line 3'. `error` is a message
    if the line cannot be read, otherwise ''.
    """

    position: str
    values: Values = field(default_factory=dict)
    error: str = ""


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


def parse_file(data: bytes) -> ParsedFile:
    """Detect the format of a file from its content, and parse the file. Raises UnreadableFile."""
    text = _decode(data)
    if text.lstrip()[:1] in {"[", "{"}:
        return _parse_json(text)
    return _parse_csv(text)


def _decode(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise UnreadableFile(
            f"The file is larger than {MAX_BYTES // 1024**2} MB. Split it and import the parts."
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise UnreadableFile(
            f"The file isn’t encoded in UTF-8: line {number} has an invalid byte. Save the file as "
            "UTF-8 (“CSV UTF-8” in a spreadsheet) and try again."
        ) from error
    if "\x00" in text:
        raise UnreadableFile("This isn’t a text file. Choose a CSV or JSON file.")
    if not text.strip():
        raise UnreadableFile("There is nothing to import. Choose a file, or paste its content.")
    return text


def _parsed_file(file_format: str, lines: list[FileLine], columns: Mapping[str, str]) -> ParsedFile:
    """Return the parsed file. Raises UnreadableFile if it has no lines or too many.

    `columns` maps the normalized name of each column to its spelling in the file.
    """
    if not lines:
        raise UnreadableFile("The file contains no images. Add at least one and try again.")
    if len(lines) > MAX_LINES:
        raise UnreadableFile(
            f"The file has more than {MAX_LINES:,} images. Split it and import the parts."
        )
    known = {*IMPORT_COLUMNS, *READ_ONLY_COLUMNS}
    return ParsedFile(
        format=file_format,
        lines=lines,
        unknown_columns=tuple(text for name, text in columns.items() if name not in known),
        ignored_columns=tuple(name for name in columns if name in READ_ONLY_COLUMNS),
    )


def _column_name(text: str) -> str:
    """Return the normalized name of a column: 'Cloud Image ID' becomes 'cloud_image_id'."""
    return "_".join(text.lower().replace("-", " ").replace("_", " ").split())


def _parse_csv(text: str) -> ParsedFile:
    header = text.lstrip().split("\n", 1)[0]
    delimiter = max(DELIMITERS, key=header.count)
    rows = _csv_rows(text, delimiter)
    _, header_cells = next(rows, (1, []))
    names = [_column_name(cell) for cell in header_cells]
    for name, cell in zip(names, header_cells, strict=True):
        if name and names.count(name) > 1:
            raise UnreadableFile(
                f"Two columns are named “{cell.strip()}”. Rename or remove one of them."
            )
    columns = {name: cell.strip() for name, cell in zip(names, header_cells, strict=True) if name}
    missing = [name for name in REQUIRED_COLUMNS if name not in columns]
    if missing:
        raise UnreadableFile(
            f"The column {missing[0]} is missing. The first line must contain the column names. "
            "Export a few images to see an example."
        )
    lines = [_csv_line(number, names, cells) for number, cells in rows]
    return _parsed_file("CSV", lines, columns)


def _csv_rows(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not blank, each with the number of its first line."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        number = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise UnreadableFile(
                f"The row that begins on line {number} isn’t valid CSV: {error}. Check its quotes "
                "and try again."
            ) from error
        if any(cell.strip() for cell in row):
            yield number, row


def _csv_line(number: int, names: list[str], cells: list[str]) -> FileLine:
    position = f"line {number}"
    if any(cell.strip() for cell in cells[len(names) :]):
        return FileLine(
            position,
            error=f"This line has {len(cells)} cells, but the file has {len(names)} columns. Put "
            "quotes around cells that contain the delimiter.",
        )
    texts = (unescape_formula(cell).strip() for cell in cells)
    values = {name: text for name, text in zip(names, texts, strict=False) if name and text}
    return FileLine(position, values)


def _parse_json(text: str) -> ParsedFile:
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise UnreadableFile(
            f"This isn’t valid JSON: {error.msg} (line {error.lineno}, column {error.colno}). "
            "Correct the file and try again."
        ) from error
    except (RecursionError, ValueError) as error:
        raise UnreadableFile(
            "This JSON can’t be read. It is nested too deeply, or a number in it is too long."
        ) from error
    if isinstance(data, dict) and isinstance(data.get("builds"), list):
        return _parse_manifest(data["builds"])
    if not isinstance(data, list):
        raise UnreadableFile(
            "This JSON isn’t a list of images. Use an array with one object per image, as in an "
            "export, or a Packer manifest."
        )
    columns = {
        _column_name(name): name
        for item in data[: MAX_LINES + 1]
        if isinstance(item, dict)
        for name in item
    }
    lines = [_json_line(f"item {number}", item) for number, item in enumerate(data, start=1)]
    return _parsed_file("JSON", lines, columns)


def _json_line(position: str, item: Any) -> FileLine:
    if not isinstance(item, dict):
        return FileLine(position, error="This item isn’t a JSON object. Use one object per image.")
    try:
        return FileLine(position, _json_values(item))
    except UnreadableValue as error:
        return FileLine(position, error=error.message)


def _json_values(item: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of a JSON object as text, without empty texts. Raises UnreadableValue."""
    texts = {_column_name(name): _json_text(name, value) for name, value in item.items()}
    return {name: text for name, text in texts.items() if text}


def _json_text(name: str, value: Any) -> str:
    """Return a JSON value as text. Raises UnreadableValue."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, str | int | float):
        raise UnreadableValue(f"The value of {name} must be a string, a number, true or false.")
    text = str(value).strip()
    if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise UnreadableValue(f"The value of {name} contains an invalid character. Remove it.")
    return text


def _parse_manifest(builds: list[Any]) -> ParsedFile:
    """Parse all builds of a Packer manifest. Every run of Packer adds its builds to the manifest.

    If several builds produced the same image, only the newest build is used.
    """
    newest: dict[ImageIdentity, tuple[int | float, FileLine]] = {}
    errors: list[FileLine] = []
    older_count = 0
    for number, build in enumerate(builds, start=1):
        for line in _build_lines(number, build):
            if line.error:
                errors.append(line)
                continue
            identity, built_at = _identity(line.values), _build_time(build)
            older_count += identity in newest
            if identity not in newest or built_at >= newest[identity][0]:
                newest[identity] = (built_at, line)
    parsed = _parsed_file("Packer manifest", [*errors, *(line for _, line in newest.values())], {})
    note = f"Older builds of the same images were skipped: {older_count}."
    return ParsedFile(parsed.format, parsed.lines, notes=(note,) if older_count else ())


def _build_lines(number: int, build: Any) -> Iterator[FileLine]:
    """Yield a line for each image of a build, or one line with an error."""
    if not isinstance(build, dict):
        yield FileLine(f"build {number}", error="This build isn’t a JSON object.")
        return
    builder, name = str(build.get("builder_type") or ""), str(build.get("name") or "")
    position = f"build {number} ({name})" if name else f"build {number}"
    cloud = next((cloud for cloud in CLOUDS.values() if builder in cloud.packer_builders), None)
    if cloud is None:
        yield FileLine(
            position,
            error=f"The Packer builder “{builder}” doesn’t build images that can be imported.",
        )
        return
    try:
        custom = _custom_data(build)
        artifact = _json_text("artifact_id", build.get("artifact_id"))
        locators = cloud.packer_images(artifact, custom)
    except (InvalidImageId, UnreadableValue) as error:
        yield FileLine(position, error=str(error))
        return
    custom_values = {column: custom[column] for column in IMPORT_COLUMNS if column in custom}
    for locator in locators:
        # If a build has no name, Packer writes the name of the builder, for example `amazon-ebs`.
        # That name says nothing about the image.
        has_name = name not in {"", builder}
        image_name = name if has_name else locator.image_id.rpartition("/")[2]
        locator_values = _locator_values(cloud.key, locator)
        yield FileLine(position, {"name": image_name, **custom_values, **locator_values})


def _custom_data(build: Mapping[str, Any]) -> dict[str, str]:
    """Return the custom_data of a build, which people add to their Packer template.

    Raises UnreadableValue.
    """
    custom = build.get("custom_data") or {}
    if not isinstance(custom, dict):
        raise UnreadableValue("The custom_data of this build isn’t a JSON object.")
    return _json_values(custom)


def _locator_values(cloud: str, locator: Locator) -> dict[str, str]:
    values = {
        "cloud": cloud,
        "location": locator.location,
        "cloud_image_id": locator.image_id,
        "compute_resource": locator.compute_resource,
    }
    return {name: value for name, value in values.items() if value}


def _identity(values: Values) -> ImageIdentity:
    locator = Locator(
        values.get("location", ""), values["cloud_image_id"], values.get("compute_resource", "")
    )
    return ImageIdentity.from_locator(values["cloud"], locator)


def _build_time(build: Mapping[str, Any]) -> int | float:
    """Return when an image was built, in Unix seconds, or 0 if the build does not say."""
    built_at = build.get("build_time")
    return built_at if isinstance(built_at, int | float) else 0
