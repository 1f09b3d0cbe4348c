"""Reading a file of images: CSV, JSON, or the manifest that HashiCorp Packer writes. Yields lines
of plain text by column; what the texts mean, and whether they are right, is not known here."""

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
from webapp.transfer.export import GIVEN, KNOWN, unprotected

MAX_BYTES = 10 * 1024 * 1024
MAX_LINES = 20_000
NEEDED = ("cloud", "cloud_image_id")
"""Without these columns a file is no list of images."""
DELIMITERS = ",;\t"
Values = Mapping[str, str]


class UnreadableFile(Exception):
    """The file as a whole cannot be read; the text says why, and what to do."""


@dataclass(frozen=True)
class Line:
    """What the file says of one image. `place` is where, in words for people; `values` are by
    column, without those that are empty; `error` says why the line cannot be read, '' if it can."""

    place: str
    values: Values = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class Content:
    """A file that could be read. `unknown` are columns that mean nothing here, `left_alone` those
    that only the registry itself fills, `notes` sentences on the file as a whole."""

    format: str
    lines: list[Line]
    unknown: tuple[str, ...] = ()
    left_alone: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read(data: bytes) -> Content:
    """The format is told from the content. Raises UnreadableFile."""
    text = _text(data)
    if text.lstrip()[:1] in {"[", "{"}:
        return _from_json(text)
    return _from_csv(text)


def _text(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise UnreadableFile(
            f"The file has more than {MAX_BYTES // 1024**2} MB. Split it, and import the parts."
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise UnreadableFile(
            f"The file is not in UTF-8: line {number} has a byte that is no part of it. Save it as "
            "UTF-8, which spreadsheets call “CSV UTF-8”, and try again."
        ) from error
    if "\x00" in text:
        raise UnreadableFile("This is no text file. Choose a file in CSV or JSON.")
    if not text.strip():
        raise UnreadableFile("There is nothing in it. Choose a file, or paste what it holds.")
    return text


def _content(kind: str, lines: list[Line], columns: Mapping[str, str]) -> Content:
    """`columns` are those of the file: as it writes them, by what they are called here."""
    if not lines:
        raise UnreadableFile("There are no images in it: nothing follows the names of the columns.")
    if len(lines) > MAX_LINES:
        raise UnreadableFile(
            f"There are more than {MAX_LINES:,} images in it. Split it, and import the parts."
        )
    unknown = [text for name, text in columns.items() if name not in {*GIVEN, *KNOWN}]
    left_alone = [name for name in columns if name in KNOWN]
    return Content(kind, lines, tuple(unknown), tuple(left_alone))


def _column(text: str) -> str:
    """'Cloud Image ID' is cloud_image_id."""
    return "_".join(text.lower().replace("-", " ").replace("_", " ").split())


def _from_csv(text: str) -> Content:
    header = text.lstrip().split("\n", 1)[0]
    delimiter = max(DELIMITERS, key=header.count)
    rows = _rows(text, delimiter)
    _, names = next(rows, (1, []))
    keys = [_column(name) for name in names]
    for key, name in zip(keys, names, strict=True):
        if key and keys.count(key) > 1:
            raise UnreadableFile(f"Two columns are named “{name.strip()}”. Rename or remove one.")
    columns = {key: name.strip() for key, name in zip(keys, names, strict=True) if key}
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        raise UnreadableFile(
            f"The first line must name the columns, and there is none named {missing[0]}. An "
            "export shows how they are named."
        )
    lines = [_csv_line(number, keys, cells) for number, cells in rows]
    return _content("CSV", lines, columns)


def _rows(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, each with the number of the line that it begins in."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        number = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise UnreadableFile(
                f"The row that begins in line {number} cannot be read as CSV: {error}. See to its "
                "quotes, and try again."
            ) from error
        if any(cell.strip() for cell in row):
            yield number, row


def _csv_line(number: int, keys: list[str], cells: list[str]) -> Line:
    place = f"line {number}"
    if any(cell.strip() for cell in cells[len(keys) :]):
        return Line(
            place,
            error=f"It has {len(cells)} cells, and there are {len(keys)} columns. Put a cell that "
            "holds the delimiter into quotes.",
        )
    texts = (unprotected(cell).strip() for cell in cells)
    return Line(place, {key: text for key, text in zip(keys, texts, strict=False) if key and text})


def _from_json(text: str) -> Content:
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise UnreadableFile(
            f"This is not valid JSON: {error.msg}, in line {error.lineno}, column {error.colno}."
        ) from error
    except (RecursionError, ValueError) as error:
        raise UnreadableFile(
            "This JSON cannot be read: it is nested far too deep, or has a number far too long."
        ) from error
    if isinstance(data, dict) and isinstance(data.get("builds"), list):
        return _from_manifest(data["builds"])
    if not isinstance(data, list):
        raise UnreadableFile(
            "This JSON is no list of images: an array with an object for each is needed, as an "
            "export has it, or a manifest of Packer."
        )
    columns = {
        _column(name): name
        for item in data[: MAX_LINES + 1]
        if isinstance(item, dict)
        for name in item
    }
    lines = [_json_line(f"item {number}", item) for number, item in enumerate(data, start=1)]
    return _content("JSON", lines, columns)


def _json_line(place: str, item: Any) -> Line:
    if not isinstance(item, dict):
        return Line(place, error="It is no object with columns and values.")
    try:
        return Line(place, _texts(item))
    except ValueError as error:
        return Line(place, error=str(error))


def _texts(item: Mapping[str, Any]) -> dict[str, str]:
    """Raises ValueError for a value that is no single text, number or truth."""
    texts = {_column(name): _scalar(name, value) for name, value in item.items()}
    return {name: text for name, text in texts.items() if text}


def _scalar(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, str | int | float):
        raise ValueError(f"{name} must be one text, number, true or false.")  # noqa: TRY004
    text = str(value).strip()
    if "\x00" in text or any("\ud800" <= each <= "\udfff" for each in text):
        raise ValueError(f"{name} holds a character that is no part of any text.")
    return text


def _from_manifest(builds: list[Any]) -> Content:
    """All builds, not only those of the last run: a manifest gathers them. Of several of the same
    image the newest one counts."""
    found: dict[ImageIdentity, tuple[int | float, Line]] = {}
    wrong: list[Line] = []
    older = 0
    for number, build in enumerate(builds, start=1):
        for line in _build_lines(number, build):
            if line.error:
                wrong.append(line)
                continue
            identity, at = _identity(line.values), _built_at(build)
            older += identity in found
            if identity not in found or at >= found[identity][0]:
                found[identity] = (at, line)
    content = _content("Packer manifest", [*wrong, *(line for _, line in found.values())], {})
    note = f"Older builds of the same images, left out: {older}."
    return Content(content.format, content.lines, notes=(note,) if older else ())


def _build_lines(number: int, build: Any) -> Iterator[Line]:
    if not isinstance(build, dict):
        yield Line(f"build {number}", error="It is no object, as Packer writes them.")
        return
    kind, name = str(build.get("builder_type") or ""), str(build.get("name") or "")
    place = f"build {number} ({name})" if name else f"build {number}"
    cloud = next((each for each in CLOUDS.values() if kind in each.packer_builders), None)
    if cloud is None:
        yield Line(place, error=f"Packer's builder “{kind}” makes no image of a cloud known here.")
        return
    try:
        custom = _custom(build)
        artifact = _scalar("artifact_id", build.get("artifact_id"))
        images = cloud.packer_images(artifact, custom)
    except (InvalidImageId, ValueError) as error:
        yield Line(place, error=str(error))
        return
    said = {key: custom[key] for key in GIVEN if key in custom}
    for each in images:
        # Packer calls a build that was given no name after its builder, which tells nothing.
        called = name if name not in {"", kind} else each.image_id.rpartition("/")[2]
        yield Line(place, {"name": called, **said, **_located(cloud.key, each)})


def _custom(build: Mapping[str, Any]) -> dict[str, str]:
    """What people had Packer add. Raises ValueError."""
    custom = build.get("custom_data") or {}
    if not isinstance(custom, dict):
        raise ValueError("Its custom_data is no object, as Packer writes it.")  # noqa: TRY004
    return _texts(custom)


def _located(cloud: str, locator: Locator) -> dict[str, str]:
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


def _built_at(build: Mapping[str, Any]) -> int | float:
    at = build.get("build_time")
    return at if isinstance(at, int | float) else 0
