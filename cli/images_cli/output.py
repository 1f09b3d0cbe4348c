"""Print records as a table, JSON or CSV, or only their IDs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import click

from images_cli.texts import local_time, printable, scope_text, value_text, width

Record = dict[str, Any]
FORMATS = ("table", "json", "csv")


@dataclass(frozen=True)
class Column:
    """A column of a table: its title, and the function that returns the text of a record."""

    title: str
    text: Callable[[Record], str]


def value_column(title: str, field: str) -> Column:
    """Return a column with the value of a field."""
    return Column(title, lambda record: value_text(record[field]))


def time_column(title: str, field: str) -> Column:
    """Return a column with a time of the API, in the time zone of the user."""
    return Column(title, lambda record: local_time(record[field]))


def scope_column(title: str) -> Column:
    """Return a column with the path of the scope."""
    return Column(title, lambda record: scope_text(record["scope"]))


@dataclass(frozen=True)
class Output:
    """How to print records.

    If `is_quiet` is true, only the values of `id_field` are printed, without null values.
    """

    format: str
    is_quiet: bool

    def print_list(
        self,
        records: Iterable[Record],
        columns: Sequence[Column],
        csv_fields: Sequence[str],
        id_field: str = "id",
    ) -> None:
        """Print records. A table has the columns `columns`, and CSV has the fields `csv_fields`."""
        if self.is_quiet:
            for record in records:
                if record[id_field] is not None:  # A row of an import may have no image yet.
                    click.echo(_csv_text(record[id_field]))
        elif self.format == "json":
            _print_json_list(records)
        elif self.format == "csv":
            _print_csv(records, csv_fields)
        else:
            print_table(records, columns)

    def print_one(
        self,
        record: Record,
        rows: Sequence[Column],
        csv_fields: Sequence[str],
        id_field: str = "id",
    ) -> None:
        """Print one record. A table has one line for each of `rows` that is not empty."""
        if self.is_quiet or self.format == "csv":
            self.print_list([record], rows, csv_fields, id_field)
        elif self.format == "json":
            print_json(record)
        else:
            _print_rows(record, rows)


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def _print_json_list(records: Iterable[Record]) -> None:
    """Print a JSON array. Each record is one line, which is printed as soon as it arrives."""
    separator = "[\n"
    for record in records:
        click.echo(separator + json.dumps(record, ensure_ascii=False), nl=False)
        separator = ",\n"
    click.echo("[]" if separator == "[\n" else "\n]")


def _print_csv(records: Iterable[Record], fields: Sequence[str]) -> None:
    _print_csv_row(fields)
    for record in records:
        _print_csv_row([_csv_text(record.get(field)) for field in fields])


def _print_csv_row(values: Sequence[str]) -> None:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    click.echo(line.getvalue(), nl=False)


def _csv_text(value: Any) -> str:
    """Return a value for a program: booleans as in JSON, a scope as its path."""
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ",".join(value)
    if isinstance(value, dict) and "path" in value:
        return str(value["path"])
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def print_table(records: Iterable[Record], columns: Sequence[Column]) -> None:
    lines = [[column.title for column in columns]]
    lines += [[printable(column.text(record)) for column in columns] for record in records]
    widths = [max(map(width, texts)) for texts in zip(*lines, strict=True)]
    for line in lines:
        cells = (_padded(text, size) for text, size in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _print_rows(record: Record, rows: Sequence[Column]) -> None:
    texts = [(row.title, printable(row.text(record))) for row in rows]
    size = max(width(title) for title, _ in texts)
    for title, text in texts:
        if text:
            click.echo(f"{_padded(title, size)}  {text}")


def _padded(text: str, size: int) -> str:
    return text + " " * (size - width(text))
