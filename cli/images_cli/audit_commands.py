"""The commands for the audit log, and the command for the numbers on the Overview page."""

from __future__ import annotations

from itertools import chain

import click

from images_cli.client import Client
from images_cli.image_output import HISTORY_COLUMNS, HISTORY_FIELDS
from images_cli.options import limit_option, with_client, with_output
from images_cli.output import Column, Output, print_json, value_column
from images_cli.transfer_commands import add_export

PATH = "/audit"
SUBJECT = value_column("SUBJECT", "subject")
SCOPE = value_column("SCOPE", "scope")
TOKEN = value_column("TOKEN", "token")
TIME, PERSON, ACTION, CHANGES = HISTORY_COLUMNS
COLUMNS = (value_column("ID", "id"), TIME, PERSON, ACTION, SUBJECT, SCOPE)
ROWS = (
    value_column("ID", "id"),
    *(Column(each.title.capitalize(), each.text) for each in (*COLUMNS[1:], TOKEN, CHANGES)),
)
FIELDS = (*HISTORY_FIELDS, "subject", "record", "token")
BAR_COLUMNS = (
    value_column("CHART", "chart"),
    value_column("VALUE", "label"),
    value_column("IMAGES", "images"),
    value_column("SEARCH", "q"),
)
BAR_FIELDS = ("chart", "label", "images", "is_exact", "q")


@click.group()
def audit() -> None:
    """Read the audit log of the scope. Only admins can use these commands."""


@audit.command("list")
@click.argument("search", default="")
@limit_option
@with_output
@with_client
def list_entries(client: Client, search: str, limit: int | None, output: Output) -> None:
    """List the entries, newest first.

    With SEARCH, list only the entries that match. Days in SEARCH are in UTC.
    """
    pages = client.pages(PATH, limit or 0, q=search)
    output.print_list(chain.from_iterable(pages), COLUMNS, FIELDS)


@audit.command()
@click.argument("entry_id", type=int)
@with_output
@with_client
def show(client: Client, entry_id: int, output: Output) -> None:
    """Show an entry with its changes in full."""
    output.print_one(client.get(f"{PATH}/{entry_id}").document, ROWS, FIELDS)


add_export(audit, PATH, ("csv", "json", "jsonl"), "Export the entries of the audit log")


@click.command()
@with_output
@with_client
def overview(client: Client, output: Output) -> None:
    """Print the number of images by cloud, operating system, age, status and so on.

    With --quiet, print only the number of all images.
    """
    document = client.get("/overview").document
    if output.is_quiet:
        click.echo(document["total"])
    elif output.format == "json":
        print_json(document)
    else:
        bars = [
            {"chart": chart["title"], **bar}
            for chart in document["charts"]
            for bar in chart["bars"]
        ]
        output.print_list(bars, BAR_COLUMNS, BAR_FIELDS)


COMMANDS = (audit, overview)
