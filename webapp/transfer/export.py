"""Export images as CSV or JSON.

The text is produced in chunks, so an export can have any number of images. This module must not
know who requests the export or how it is sent.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import islice
from typing import Any

from models import Image, Scope, today
from webapp.clouds.details import ImageState
from webapp.clouds.locators import Locator
from webapp.images.identity import ImageIdentity, reference_to_image
from webapp.values.tags import join_tags

COLUMNS = (
    "id",
    "scope",
    "cloud",
    "location",
    "cloud_image_id",
    "compute_resource",
    "name",
    "os_family",
    "os_version",
    "size_gb",
    "agent_installed",
    "shared",
    "tags",
    "notes",
    "description",
    "architecture",
    "state",
    "status",
    "deprecated_on",
    "retired_on",
    "status_reason",
    "successor",
    "verified",
    "credentials",
    "registered_by",
    "registered_at",
    "checked_at",
)
READ_ONLY_COLUMNS = (
    "id",
    "scope",
    "state",
    "verified",
    "registered_by",
    "registered_at",
    "checked_at",
)
"""The columns that only the registry itself fills. An import ignores them."""
IMPORT_COLUMNS = tuple(name for name in COLUMNS if name not in READ_ONLY_COLUMNS)
"""The columns that an import reads."""
SAMPLE_FILE = """\
cloud,location,cloud_image_id,name,os_family,os_version,size_gb,agent_installed,shared,status
aws,us-east-1,ami-0123456789abcdef0,web-2026-11,ubuntu,24.04,8,yes,yes,active
gce,,my-project/global/images/database-v7,database-v7,debian,13,20,yes,yes,active
openstack,RegionOne,6f2b8c1e-1a3d-4e5f-8a9b-0c1d2e3f4a5b,build-agent,rocky,9,10,no,no,active
azure,,Canonical:ubuntu-24_04-lts:server:24.04.202610150,ubuntu-24.04,ubuntu,24.04,30,no,yes,active
vmware,Datacenter1,501e5a2b-8c9d-0e1f-2a3b-4c5d6e7f8091,windows-2025,windows-server,2025,60,yes,yes,active
"""
"""An example of a file to import."""
CHUNK_SIZE = 1_000
"""The number of images in each chunk of text."""
BYTE_ORDER_MARK = "\ufeff"
"""The start of a CSV file. Excel recognizes UTF-8 by this character."""
ESCAPE = "'"
_BEFORE_FORMULA = (
    # Spreadsheets ignore spaces and quotes before a formula. Some also accept full-width signs.
    r"(?:\A(?=[ \"']*[=+\-@＝＋－＠\t\r\n])|(?<=[;\t\r\n])(?=[ \"']*[=+\-@＝＋－＠]))"
)
"""Matches the positions in a cell at which a spreadsheet could find a formula.

A formula can begin at the start of the cell. It can also begin after a semicolon, tab or line break
in the cell, because a spreadsheet may ignore the quotes around the cell and split it there.
"""
_ESCAPE_POSITION = re.compile(_BEFORE_FORMULA)
_ESCAPED_POSITION = re.compile(_BEFORE_FORMULA.replace("(?=", f"{ESCAPE}(?="))

Record = tuple[Any, ...]
"""The values of one image or of another record, in the order of the columns."""


def csv_chunks(
    images: Iterable[Image], scope: Scope, *, show_credentials: bool = True
) -> Iterator[str]:
    """Yield the images as CSV with a byte order mark and a header. See `write_csv`.

    Without `show_credentials`, the column `credentials` is empty.
    """
    return write_csv(COLUMNS, _record_chunks(images, scope, show_credentials))


def json_chunks(
    images: Iterable[Image], scope: Scope, *, show_credentials: bool = True
) -> Iterator[str]:
    """Yield the images as a JSON array of objects.

    Without `show_credentials`, the value of `credentials` is ''.
    """
    return write_json(COLUMNS, _record_chunks(images, scope, show_credentials))


def write_csv(columns: Sequence[str], chunks: Iterable[Sequence[Record]]) -> Iterator[str]:
    """Yield the records of the chunks as CSV with a byte order mark and a header.

    Booleans are `yes` and `no`, unknown values are empty, and formulas are escaped.
    """
    yield BYTE_ORDER_MARK + _csv_text([columns])
    for records in chunks:
        yield _csv_text([[_csv_cell(value) for value in record] for record in records])


def write_json(columns: Sequence[str], chunks: Iterable[Sequence[Record]]) -> Iterator[str]:
    """Yield the records of the chunks as a JSON array of objects."""
    separator = "[\n"
    for records in chunks:
        yield separator + ",\n".join(_json_objects(columns, records))
        separator = ",\n"
    yield "[]\n" if separator == "[\n" else "\n]\n"


def write_json_lines(columns: Sequence[str], chunks: Iterable[Sequence[Record]]) -> Iterator[str]:
    """Yield the records of the chunks as JSON lines: one object in each line."""
    for records in chunks:
        yield "".join(f"{each}\n" for each in _json_objects(columns, records))


def _json_objects(columns: Sequence[str], records: Sequence[Record]) -> Iterator[str]:
    for record in records:
        yield json.dumps(dict(zip(columns, record, strict=True)), ensure_ascii=False)


def file_name(scope: Scope, extension: str, subject: str = "images") -> str:
    """Return the file name of an export: 'images-acme-production-2026-11-24.csv'."""
    path = scope.path.replace("/", "-") or "scalr"
    return f"{subject}-{path}-{today().isoformat()}.{extension}"


def escape_formula(text: str) -> str:
    """Return `text` as a cell that a spreadsheet doesn't run as a formula.

    For example, `=1` becomes `'=1`, and `x;=1` becomes `x;'=1`. Text that already looks escaped is
    escaped once more: `'=1` becomes `''=1`. So `unescape_formula` always returns the original text.
    """
    return _ESCAPE_POSITION.sub(ESCAPE, text)


def unescape_formula(cell: str) -> str:
    """Return the text that `escape_formula` converted to `cell`."""
    return _ESCAPED_POSITION.sub("", cell)


def _record_chunks(
    images: Iterable[Image], scope: Scope, show_credentials: bool
) -> Iterator[list[Record]]:
    remaining = iter(images)
    while chunk := list(islice(remaining, CHUNK_SIZE)):
        successors = _successors(chunk, scope)
        yield [_record(image, successors, show_credentials) for image in chunk]


def _successors(images: Sequence[Image], scope: Scope) -> Mapping[int, Image]:
    """Return the successors that an export of `images` may name, by ID.

    These are the successors that `scope` can see, and the successors in the scopes below it,
    because a search can include the images of those scopes.
    """
    ids = {image.successor_id for image in images if image.successor_id is not None}
    if not ids:
        return {}
    columns = (
        *(Image.id, Image.cloud, Image.location, Image.cloud_image_id),
        Image.compute_resource,
    )
    visible = Image.visible_from(scope) | Image.in_subtree(scope)
    query = Image.select(*columns).where(Image.id.in_(ids) & visible)
    return {image.id: image for image in query}


def _reference_to(successor: Image | None, image: Image) -> str:
    """Return the text by which an import finds the successor of `image`, or ''."""
    if successor is None:
        return ""
    return reference_to_image(
        ImageIdentity.from_image(successor),
        Locator(successor.location, successor.cloud_image_id, successor.compute_resource),
        ImageIdentity.from_image(image),
    )


def _record(image: Image, successors: Mapping[int, Image], show_credentials: bool) -> Record:
    return (
        image.id,
        f"{image.scope.level}/{image.scope.path}".rstrip("/"),
        image.cloud,
        image.location,
        image.cloud_image_id,
        image.compute_resource,
        image.name,
        image.os_family,
        image.os_version,
        image.size_gb,
        image.agent_installed,
        image.shared,
        image.tags,
        image.notes,
        image.description,
        image.architecture,
        ImageState(image.state).token,
        image.status.value,
        _iso_date(image.deprecated_on),
        _iso_date(image.retired_on),
        image.status_reason,
        _reference_to(successors.get(image.successor_id or 0), image),
        image.verified,
        image.credentials_name if show_credentials else "",
        image.registered_by_name,
        image.registered_at.isoformat(),
        image.checked_at.isoformat() if image.verified else None,
    )


def _iso_date(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _csv_cell(value: Any) -> Any:
    if isinstance(value, dict):
        value = json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        value = join_tags(value)
    if isinstance(value, str):
        return escape_formula(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value


def _csv_text(rows: Iterable[Sequence[Any]]) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()
