"""Add the command `list` to groups of commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from images_cli.client import Client
from images_cli.options import with_client, with_output
from images_cli.output import Column, Output


def add_list(
    group: click.Group,
    path: str,
    columns: Sequence[Column],
    csv_fields: Sequence[str],
    *,
    help_text: str,
    search: str = "",
    id_field: str = "id",
) -> None:
    """Add the command `list` to a group of commands.

    `path` is the path of the records in the API. `search` is the help text of the option
    `--search`. If `search` is empty, the command doesn't have this option.
    """

    def list_records(client: Client, output: Output, **query: Any) -> None:
        print_first(client, output, path, columns, csv_fields, id_field=id_field, **query)

    command = with_output(with_client(list_records))
    if search:
        command = click.option("--search", "q", help=search)(command)
    group.add_command(click.command("list", help=help_text)(command))


def print_first(
    client: Client,
    output: Output,
    path: str,
    columns: Sequence[Column],
    csv_fields: Sequence[str],
    *,
    id_field: str = "id",
    **query: Any,
) -> None:
    """Print the first records of a list, and say on standard error if there are more."""
    found = client.get(path, **query).document
    output.print_list(found["items"], columns, csv_fields, id_field)
    if len(found["items"]) < found.get("total", 0):
        shown = len(found["items"])
        message = f"Only {shown} of {found['total']} are listed. Use --search to find others."
        click.echo(message, err=True)
