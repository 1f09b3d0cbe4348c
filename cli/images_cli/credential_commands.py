"""The commands for cloud credentials and clouds. Secrets are read from a file, not from options."""

from __future__ import annotations

import json
from itertools import chain
from typing import Any
from urllib.parse import quote

import click

from images_cli.client import Client
from images_cli.job_commands import follow, wait_option
from images_cli.lists import add_list, print_first
from images_cli.options import (
    confirm,
    text_of,
    with_client,
    with_client_without_scope,
    with_output,
    yes_option,
)
from images_cli.output import (
    Column,
    Output,
    Record,
    scope_column,
    time_column,
    value_column,
)
from images_cli.texts import printable, value_text

PATH = "/credentials"
COLUMNS = (
    value_column("ID", "id"),
    value_column("NAME", "name"),
    value_column("CLOUD", "cloud"),
    value_column("ACCOUNT", "account"),
    scope_column("SCOPE"),
    time_column("CHECKED", "checked_at"),
    value_column("PROBLEM", "problem"),
)
FIELDS = ("id", "name", "cloud", "account", "scope", "checked_at", "values", "revision")
ROWS = (
    value_column("ID", "id"),
    value_column("Name", "name"),
    value_column("Cloud", "cloud"),
    value_column("Account", "account"),
    scope_column("Scope"),
    time_column("Checked", "checked_at"),
    Column("Values", lambda record: _values_text(record["values"] or {})),
    value_column("Revision", "revision"),
)
LOCATION_COLUMNS = (
    value_column("KEY", "key"),
    value_column("NAME", "label"),
    value_column("ENABLED", "enabled"),
)
IMAGE_COLUMNS = (
    value_column("CLOUD IMAGE ID", "cloud_image_id"),
    value_column("NAME", "name"),
    value_column("SOURCE", "origin"),
    time_column("CREATED", "created_at"),
    Column("REGISTERED", lambda image: value_text((image["registered"] or {}).get("id"))),
)
IMAGE_FIELDS = ("cloud_image_id", "name", "origin", "created_at", "registered")
CLOUD_COLUMNS = (
    value_column("KEY", "key"),
    value_column("NAME", "label"),
    Column("CREDENTIALS", lambda cloud: ", ".join(map(_field_text, cloud["credential_fields"]))),
)


def _values_text(values: dict[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items() if value)


def _field_text(field: Record) -> str:
    return f"{field['name']}{'' if field['required'] else '?'}"


credentials_argument = click.argument("credentials_id", type=int)
no_check_option = click.option(
    "--no-check", is_flag=True, help="Don’t log in to the cloud with the new values."
)


@click.group()
def credentials() -> None:
    """Manage the cloud credentials of the scope. No command prints a secret."""


add_list(
    credentials,
    PATH,
    COLUMNS,
    FIELDS,
    help_text="List the credentials that the scope can use, at most 100.",
    search="A part of the name or of the account in the cloud.",
)


@credentials.command()
@credentials_argument
@with_output
@with_client
def show(client: Client, credentials_id: int, output: Output) -> None:
    """Show credentials without their secrets."""
    output.print_one(client.get(f"{PATH}/{credentials_id}").document, ROWS, FIELDS)


@credentials.command()
@click.argument("cloud")
@click.argument("name")
@click.option(
    "--values-file",
    required=True,
    help="A file with the values as a JSON object, or - for standard input.",
)
@no_check_option
@with_output
@with_client
def add(
    client: Client, cloud: str, name: str, values_file: str, no_check: bool, output: Output
) -> None:
    """Add credentials for a cloud. `images clouds list` prints the names of the values."""
    body = {"cloud": cloud, "name": name, "values": _values_in(values_file), "check": not no_check}
    output.print_one(client.post(PATH, body).document, ROWS, FIELDS)


@credentials.command()
@credentials_argument
@click.option("--name", help="The new name.")
@click.option(
    "--values-file",
    help="A file with the values to change, as a JSON object, or - for standard input. A value "
    "that is null is removed.",
)
@no_check_option
@with_output
@with_client
def edit(
    client: Client,
    credentials_id: int,
    name: str | None,
    values_file: str | None,
    no_check: bool,
    output: Output,
) -> None:
    """Change the name or the values of credentials. All other values stay."""
    body: dict[str, Any] = {} if name is None else {"name": name}
    if values_file is not None:
        body["values"] = _values_in(values_file)
    if not body:
        raise click.UsageError("Choose what to change with --name or --values-file.")
    path = f"{PATH}/{credentials_id}"
    headers = {"If-Match": client.get(path).headers["ETag"]}
    response = client.send("PATCH", path, body | {"check": not no_check}, headers)
    output.print_one(response.document, ROWS, FIELDS)


@credentials.command()
@credentials_argument
@with_output
@with_client
def check(client: Client, credentials_id: int, output: Output) -> None:
    """Log in to the cloud with stored credentials."""
    output.print_one(client.post(f"{PATH}/{credentials_id}/check", None).document, ROWS, FIELDS)


@credentials.command()
@credentials_argument
@yes_option
@wait_option
@with_client
def delete(client: Client, credentials_id: int, yes: bool, wait: bool) -> None:
    """Delete credentials. Images that use them stay."""
    current = client.get(f"{PATH}/{credentials_id}")
    name = printable(current.document["name"])
    confirm(f"Delete the credentials “{name}”?", yes=yes)
    headers = {"If-Match": current.headers["ETag"]}
    response = client.send("DELETE", f"{PATH}/{credentials_id}", headers=headers)
    follow(client, response.document["id"], f"deletes “{name}”", wait=wait)


def _values_in(path: str) -> dict[str, Any]:
    """Return the JSON object in a file, or raise click.UsageError if the file contains none.

    The message doesn't quote the file, because the file can contain secrets.
    """
    try:
        values = json.loads(text_of(path))
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise click.UsageError(f"“{path}” doesn’t contain a JSON object.")
    return values


@click.group()
def clouds() -> None:
    """List clouds, their locations, and the images in them."""


@clouds.command("list")
@with_output
@with_client_without_scope
def list_clouds(client: Client, output: Output) -> None:
    """List the clouds, with the names of the values that their credentials contain.

    A value with a question mark is optional.
    """
    fields = ("key", "label", "location_rule", "credential_fields")
    print_first(client, output, "/clouds", CLOUD_COLUMNS, fields, id_field="key")


@clouds.command()
@click.argument("cloud")
@click.argument("credentials_id", type=int)
@with_output
@with_client
def locations(client: Client, cloud: str, credentials_id: int, output: Output) -> None:
    """List the locations of a cloud, as the cloud returns them for the credentials."""
    print_first(
        client,
        output,
        f"/clouds/{quote(cloud, safe='')}/locations",
        LOCATION_COLUMNS,
        ("key", "label", "enabled"),
        id_field="key",
        credentials=credentials_id,
    )


@clouds.command("images")
@click.argument("cloud")
@click.argument("credentials_id", type=int)
@click.option("--location", help="For example a region.")
@click.option("--search", "q", help="A part of the name or of the cloud image ID.")
@with_output
@with_client
def list_images(
    client: Client, cloud: str, credentials_id: int, output: Output, **query: str | None
) -> None:
    """List the images that credentials own in a cloud, or that are shared with the credentials.

    With --quiet, print only the cloud image IDs.
    """
    path = f"/clouds/{quote(cloud, safe='')}/images"
    images = chain.from_iterable(client.pages(path, None, credentials=credentials_id, **query))
    output.print_list(images, IMAGE_COLUMNS, IMAGE_FIELDS, id_field="cloud_image_id")


COMMANDS = (credentials, clouds)
