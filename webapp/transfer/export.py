"""Images as a file: which columns there are, and writing them as CSV and as JSON, piece by piece,
so that the number of images does not matter. Knows nothing of who reads it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import islice
from typing import Any

from models import Image, Scope, today

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
KNOWN = ("id", "scope", "state", "verified", "registered_by", "registered_at", "checked_at")
"""The columns that only the registry itself fills."""
GIVEN = tuple(name for name in COLUMNS if name not in KNOWN)
"""Those that an import takes."""
CHUNK = 1_000
"""Images that are written at once."""
FORMULA = frozenset("=+-@\t\r\n")
"""What begins a formula to a spreadsheet, which would then run what somebody typed as a name."""
SUSPECT = FORMULA | {"'"}
"""What begins a cell that may need protection."""

Record = tuple[Any, ...]
"""The values of one image, in the order of COLUMNS."""


def as_csv(images: Iterable[Image], scope: Scope) -> Iterator[str]:
    """With a header. Booleans are yes and no, what is not known is empty, and a cell that a
    spreadsheet would take for a formula has an apostrophe before it."""
    yield _csv_text([COLUMNS])
    for records in _records(images, scope):
        yield _csv_text([[_cell(value) for value in record] for record in records])


def as_json(images: Iterable[Image], scope: Scope) -> Iterator[str]:
    """One array of objects."""
    between = "[\n"
    for records in _records(images, scope):
        lines = (
            json.dumps(dict(zip(COLUMNS, record, strict=True)), ensure_ascii=False)
            for record in records
        )
        yield between + ",\n".join(lines)
        between = ",\n"
    yield "[]\n" if between == "[\n" else "\n]\n"


def file_name(scope: Scope, ending: str) -> str:
    """images-acme-production-2026-11-24.csv"""
    return f"images-{scope.path.replace('/', '-') or 'scalr'}-{today().isoformat()}.{ending}"


def protected(text: str) -> str:
    """What a spreadsheet shows as text. One that looks protected already is protected once more,
    so that `unprotected` gives back what was there."""
    return f"'{text}" if text.lstrip("'")[:1] in FORMULA else text


def unprotected(cell: str) -> str:
    return cell[1:] if cell[:1] == "'" and cell.lstrip("'")[:1] in FORMULA else cell


def _records(images: Iterable[Image], scope: Scope) -> Iterator[list[Record]]:
    rest = iter(images)
    while chunk := list(islice(rest, CHUNK)):
        successors = _successors(chunk, scope)
        yield [_record(image, successors) for image in chunk]


def _successors(images: Sequence[Image], scope: Scope) -> Mapping[int, str]:
    """The cloud image ids of those that `scope` sees; the others are not hinted at."""
    ids = {image.successor_id for image in images if image.successor_id is not None}
    if not ids:
        return {}
    columns = Image.id, Image.cloud_image_id
    query = Image.select(*columns).where(Image.id.in_(ids) & Image.seen_from(scope))
    return {image.id: image.cloud_image_id for image in query}


def _record(image: Image, successors: Mapping[int, str]) -> Record:
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
        image.description,
        image.architecture,
        image.state,
        image.status.value,
        _day(image.deprecated_on),
        _day(image.retired_on),
        image.status_reason,
        successors.get(image.successor_id or 0, ""),
        image.verified,
        image.credentials_name,
        image.registered_by_name,
        image.registered_at.isoformat(),
        image.checked_at.isoformat(),
    )


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return protected(value) if value[:1] in SUSPECT else value
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value


def _csv_text(rows: Iterable[Sequence[Any]]) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()
