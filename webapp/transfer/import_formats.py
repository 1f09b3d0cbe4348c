"""Parse a file of images: CSV, JSON, or a manifest that HashiCorp Packer wrote.

The result is the same for every format: one line per image, with a text for each column. This
module must not know what the texts mean or whether they are valid. The time to parse a file is
linear in its size. A file with too many columns or lines is refused: a CSV file as soon as the
parser has read too many, but a JSON file only after the parser has read the whole file.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from webapp.transfer import packer_manifest
from webapp.transfer.export import IMPORT_COLUMNS, READ_ONLY_COLUMNS, unescape_formula
from webapp.transfer.import_file import (
    MAX_TEXT,
    FileLine,
    ParsedFile,
    UnreadableFile,
    first_errors,
    json_values,
    long_text_error,
    printable,
)

MAX_BYTES = 10 * 1024 * 1024
MAX_LINES = 20_000
MAX_COLUMNS = 200
REQUIRED_COLUMNS = ("cloud", "cloud_image_id")
DELIMITERS = ",;\t"
MAX_BRACKETS = 20 * MAX_LINES
"""The maximum number of the characters [ and { in a JSON file, including those within texts.

Parsing millions of arrays and objects takes seconds.
"""
_SEPARATOR_LINE = re.compile(rf'"?sep=([{DELIMITERS}])"?[{DELIMITERS} ]*', re.IGNORECASE)
"""Matches a line that precedes the header and tells Excel the separator, such as `sep=;`."""


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


def _parsed_file(
    file_format: str,
    lines: Iterable[FileLine],
    columns: Mapping[str, str],
    notes: Sequence[str] = (),
) -> ParsedFile:
    """Return the parsed file. Raises UnreadableFile if it has no lines or too many.

    `columns` maps the normalized name of each column to its spelling in the file.
    """
    parsed_lines = list(islice(lines, MAX_LINES + 1))
    if not parsed_lines:
        raise UnreadableFile("The file contains no images. Add at least one and try again.")
    if len(parsed_lines) > MAX_LINES:
        raise UnreadableFile(
            f"The file has more than {MAX_LINES:,} images. Split it and import the parts."
        )
    known_columns = {*IMPORT_COLUMNS, *READ_ONLY_COLUMNS}
    return ParsedFile(
        format=file_format,
        lines=parsed_lines,
        unknown_columns=tuple(text for name, text in columns.items() if name not in known_columns),
        ignored_columns=tuple(name for name in columns if name in READ_ONLY_COLUMNS),
        notes=tuple(notes),
    )


def _column_name(text: str) -> str:
    """Return the normalized name of a column: 'Cloud Image ID' becomes 'cloud_image_id'."""
    return "_".join(text.lower().replace("-", " ").replace("_", " ").split())


def _too_many_columns() -> UnreadableFile:
    return UnreadableFile(
        f"The file has more than {MAX_COLUMNS} columns. Remove the columns that you don’t need."
    )


def _parse_csv(text: str) -> ParsedFile:
    first_line = text.lstrip().split("\n", 1)[0].split("\r", 1)[0]
    declaration = _SEPARATOR_LINE.fullmatch(first_line)
    delimiter = declaration[1] if declaration else max(DELIMITERS, key=first_line.count)
    rows = _csv_rows(text, delimiter)
    if declaration:
        next(rows)
    _, header_cells = next(rows, (1, []))
    while header_cells and not header_cells[-1].strip():
        header_cells.pop()
    if len(header_cells) > MAX_COLUMNS:
        raise _too_many_columns()
    columns: dict[str, str] = {}
    names = []
    for cell in header_cells:
        name = _column_name(cell)
        if name in columns:
            raise UnreadableFile(
                f"Two columns are named “{columns[name]}”. Rename or remove one of them."
            )
        if name:
            columns[name] = printable(cell)
        names.append(name)
    missing = [name for name in REQUIRED_COLUMNS if name not in columns]
    if missing:
        raise UnreadableFile(
            f"The column {missing[0]} is missing. The first line must contain the column names. "
            "Export a few images to see an example."
        )
    lines = (_csv_line(number, names, cells) for number, cells in rows)
    return _parsed_file("CSV", lines, columns)


def _csv_rows(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not blank, each with the number of its first line."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    blank_count = 0
    while True:
        number = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise UnreadableFile(
                f"The row that begins on line {number} isn’t valid CSV: {error}. Check that every "
                "quote in it is closed, and try again."
            ) from error
        if any(cell.strip() for cell in row):
            yield number, row
        elif blank_count < MAX_LINES:
            blank_count += 1
        else:
            raise UnreadableFile(
                f"The file has more than {MAX_LINES:,} empty lines. Remove them and try again."
            )


def _csv_line(number: int, names: list[str], cells: list[str]) -> FileLine:
    position = f"line {number}"
    if any(cell.strip() for cell in cells[len(names) :]):
        message = (
            f"This line has {len(cells)} cells, but the file has {len(names)} columns. Put "
            "quotes around cells that contain the separator."
        )
        return FileLine(position, errors=(message,))
    texts = {name: unescape_formula(cell) for name, cell in zip(names, cells, strict=False)}
    too_long = [name for name, text in texts.items() if len(text) > MAX_TEXT]
    values = {
        name: texts[name].strip()
        for name in IMPORT_COLUMNS
        if name not in too_long and texts.get(name, "").strip()
    }
    return FileLine(position, values, tuple(long_text_error(name) for name in too_long))


def _parse_json(text: str) -> ParsedFile:
    if text.count("[") + text.count("{") > MAX_BRACKETS:
        raise UnreadableFile(
            f"The file has more than {MAX_BRACKETS:,} opening brackets ([ or {{). Split it and "
            "import the parts."
        )
    try:
        # Numbers stay as they are written, because the versions 22.10 and 22.1 differ.
        data = json.loads(
            text,
            parse_float=str,
            parse_int=str,
            parse_constant=str,
            object_pairs_hook=_json_object,
        )
    except json.JSONDecodeError as error:
        raise UnreadableFile(
            f"This isn’t valid JSON: {error.msg} (line {error.lineno}, column {error.colno}). "
            "Correct the file and try again."
        ) from error
    except RecursionError as error:
        raise UnreadableFile("This JSON can’t be read, because it is nested too deeply.") from error
    if isinstance(data, dict) and isinstance(data.get("builds"), list):
        images, notes = packer_manifest.parse_builds(data["builds"], MAX_LINES)
        return _parsed_file("Packer manifest", images, {}, notes)
    if not isinstance(data, list):
        raise UnreadableFile(
            "This JSON isn’t a list of images. Use a Packer manifest, or an array with one object "
            "per image, as in an export."
        )
    columns: dict[str, str] = {}
    for item in data[: MAX_LINES + 1]:
        for key in item if isinstance(item, dict) else ():
            name = _column_name(key)
            if name and name not in columns:
                columns[name] = printable(key)
            if len(columns) > MAX_COLUMNS:
                raise _too_many_columns()
    lines = (_json_line(f"item {number}", item) for number, item in enumerate(data, start=1))
    return _parsed_file("JSON", lines, columns)


def _json_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object. Raises UnreadableFile if it has the same key twice."""
    item = dict(pairs)
    if len(item) < len(pairs):
        repeated_key = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise UnreadableFile(
            f"An object in this JSON has the key “{printable(repeated_key)}” twice. Remove one of "
            "them."
        )
    return item


def _json_line(position: str, item: Any) -> FileLine:
    if not isinstance(item, dict):
        return FileLine(
            position, errors=("This item isn’t a JSON object. Use one object per image.",)
        )
    values_by_column: dict[str, Any] = {}
    errors = []
    for key, value in item.items():
        name = _column_name(key)
        if name in values_by_column:
            errors.append(f"This item has the column {printable(name)} twice. Remove one of them.")
        values_by_column[name] = value
    known_values = {
        name: values_by_column[name] for name in IMPORT_COLUMNS if name in values_by_column
    }
    values, value_errors = json_values(known_values)
    return FileLine(position, values, first_errors([*errors, *value_errors]))
