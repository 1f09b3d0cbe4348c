"""Export entries of the audit log as CSV, JSON or JSON lines.

The functions that write these formats are in `webapp.transfer.export`. Images are exported only as
CSV or JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from webapp.audit.log import Entry
from webapp.transfer.export import Record, write_csv, write_json, write_json_lines

COLUMNS = (
    "id",
    "at",
    "scope",
    "person",
    "person_email",
    "token",
    "action",
    "subject",
    "record",
    "job",
    "changes",
    "changes_shortened",
)


def csv_chunks(chunks: Iterable[Iterable[Entry]]) -> Iterator[str]:
    """Yield the entries as CSV. The column `changes` contains JSON."""
    return write_csv(COLUMNS, map(_records, chunks))


def json_chunks(chunks: Iterable[Iterable[Entry]]) -> Iterator[str]:
    """Yield the entries as a JSON array of objects."""
    return write_json(COLUMNS, map(_records, chunks))


def json_line_chunks(chunks: Iterable[Iterable[Entry]]) -> Iterator[str]:
    """Yield the entries as JSON lines: one object in each line."""
    return write_json_lines(COLUMNS, map(_records, chunks))


def _records(entries: Iterable[Entry]) -> list[Record]:
    return [
        (
            entry.id,
            entry.at.isoformat(),
            entry.scope_label,
            entry.person_name,
            entry.person_email,
            entry.token_name,
            entry.action,
            entry.subject,
            entry.record,
            entry.job_id,
            {name: list(values) for name, values in entry.changes.items()},
            entry.is_shortened,
        )
        for entry in entries
    ]
