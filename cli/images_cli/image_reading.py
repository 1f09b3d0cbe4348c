"""The commands that only read images: list, show, lookup, deleted and history."""

from __future__ import annotations

from itertools import chain

import click

from images_cli.client import Client
from images_cli.image_output import (
    CSV_FIELDS,
    DELETED_COLUMNS,
    DELETED_FIELDS,
    HISTORY_COLUMNS,
    HISTORY_FIELDS,
    LIST_COLUMNS,
    LOOK_UP_FIELDS,
    LOOK_UP_ROWS,
    image_path,
    print_image,
    read_image,
)
from images_cli.options import limit_option, with_client, with_output
from images_cli.output import Output
from images_cli.texts import id_or_name


@click.command("list")
@click.argument("search", default="")
@click.option("--sort", help="The order, such as name. A leading minus reverses it: -created.")
@click.option("--view", type=int, help="The ID of a saved view.")
@limit_option
@with_output
@with_client
def list_images(
    client: Client,
    search: str,
    sort: str | None,
    view: int | None,
    limit: int | None,
    output: Output,
) -> None:
    """List the images of the scope.

    With SEARCH, list only the images that match. SEARCH is one argument with a search as in the
    search box: 'os:"ubuntu 24.04" agent:no'.
    """
    pages = client.pages("/images", limit or 0, q=search, sort=sort, view=view)
    output.print_list(chain.from_iterable(pages), LIST_COLUMNS, CSV_FIELDS)


@click.command()
@click.argument("image_id", type=int)
@with_output
@with_client
def show(client: Client, image_id: int, output: Output) -> None:
    """Show an image."""
    image, _ = read_image(client, image_id)
    print_image(output, image)


@click.command()
@click.argument("cloud")
@click.argument("cloud_image_id")
@click.option(
    "--location", help="For example a region. Not necessary if the ID contains the location."
)
@click.option("--credentials", help="The ID or the name of the cloud credentials.")
@with_output
@with_client
def lookup(
    client: Client,
    cloud: str,
    cloud_image_id: str,
    location: str | None,
    credentials: str | None,
    output: Output,
) -> None:
    """Read an image from its cloud, without registering it.

    With --quiet, print only the cloud image ID.
    """
    body = locator(cloud, cloud_image_id, location, credentials)
    result = client.post("/images/look-up", body).document
    output.print_one(result, LOOK_UP_ROWS, LOOK_UP_FIELDS, id_field="cloud_image_id")


def locator(
    cloud: str, cloud_image_id: str, location: str | None, credentials: str | None
) -> dict[str, str | int]:
    """Return the fields of a request that identify an image in its cloud."""
    body: dict[str, str | int] = {"cloud": cloud, "cloud_image_id": cloud_image_id}
    if location is not None:
        body["location"] = location
    if credentials is not None:
        body["credentials"] = id_or_name(credentials)
    return body


@click.command()
@click.option("--name", help="Only images whose name contains this text.")
@with_output
@with_client
def deleted(client: Client, name: str | None, output: Output) -> None:
    """List the images that can be restored, at most 100 of them."""
    found = client.get("/images/deleted", q=name).document
    output.print_list(found["items"], DELETED_COLUMNS, DELETED_FIELDS)
    if len(found["items"]) < found["total"]:
        click.echo(f"{found['total']} images can be restored. Use --name to find others.", err=True)


@click.command()
@click.argument("image_id", type=int)
@limit_option
@with_output
@with_client
def history(client: Client, image_id: int, limit: int | None, output: Output) -> None:
    """List what people and the registry did with an image, newest first."""
    pages = client.pages(f"{image_path(image_id)}/history", limit or 0)
    output.print_list(chain.from_iterable(pages), HISTORY_COLUMNS, HISTORY_FIELDS)


COMMANDS = (list_images, show, lookup, deleted, history)
