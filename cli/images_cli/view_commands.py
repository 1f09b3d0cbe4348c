"""The commands for saved views."""

from __future__ import annotations

from typing import Any

import click

from images_cli.client import Client
from images_cli.lists import add_list
from images_cli.options import if_match, with_client, with_output
from images_cli.output import Output, value_column

PATH = "/views"
COLUMNS = (
    value_column("ID", "id"),
    value_column("NAME", "name"),
    value_column("SEARCH", "q"),
    value_column("SORT", "sort"),
    value_column("SHARED", "shared"),
    value_column("OWNER", "owner"),
)
FIELDS = ("id", "name", "q", "sort", "shared", "owner", "is_own", "revision")

view_argument = click.argument("view_id", type=int)
share_option = click.option(
    "--share/--no-share", "shared", default=None, help="Whether others can use the view."
)
revision_option = click.option(
    "--revision", type=int, help="Continue only if the view still has this revision."
)


@click.group()
def views() -> None:
    """Manage the saved views of the scope."""


add_list(views, PATH, COLUMNS, FIELDS, help_text="List the views that the token can use.")


@views.command()
@click.argument("name")
@click.argument("search", default="")
@click.option("--sort", default="", help="The order, such as name or -created.")
@share_option
@with_output
@with_client
def create(
    client: Client, name: str, search: str, sort: str, shared: bool | None, output: Output
) -> None:
    """Save a search under a name."""
    body = {"name": name, "q": search, "sort": sort, "shared": bool(shared)}
    output.print_one(client.post(PATH, body).document, COLUMNS, FIELDS)


@views.command()
@view_argument
@click.option("--name", help="The new name.")
@share_option
@revision_option
@with_output
@with_client
def edit(
    client: Client, view_id: int, revision: int | None, output: Output, **changes: Any
) -> None:
    """Rename one of your views, share it, or stop sharing it."""
    body = {name: value for name, value in changes.items() if value is not None}
    if not body:
        raise click.UsageError("Choose what to change with --name or --share.")
    response = client.send("PATCH", f"{PATH}/{view_id}", body, if_match(revision))
    output.print_one(response.document, COLUMNS, FIELDS)


@views.command()
@view_argument
@revision_option
@with_client
def delete(client: Client, view_id: int, revision: int | None) -> None:
    """Delete one of your views or, as an admin, a shared view."""
    client.send("DELETE", f"{PATH}/{view_id}", headers=if_match(revision))
    click.echo("The view was deleted.", err=True)


COMMANDS = (views,)
