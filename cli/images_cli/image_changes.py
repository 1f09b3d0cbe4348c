"""The commands that register and change images."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from images_cli.client import Client
from images_cli.image_output import image_path, print_image, read_image
from images_cli.image_reading import locator
from images_cli.job_commands import follow, wait_option
from images_cli.options import confirm, if_match, text_of, with_client, with_output, yes_option
from images_cli.output import Column, Output, print_json, print_table
from images_cli.texts import printable, value_text

UNKNOWN = "unknown"


class Size(click.ParamType[Any]):
    """A number of gigabytes, or the word `unknown`."""

    name = "number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        if value == UNKNOWN:
            return UNKNOWN
        if not str(value).isdecimal():
            self.fail(f"“{value}” is neither a number nor `{UNKNOWN}`.", param, ctx)
        return int(value)


def with_values(command: Callable[..., None]) -> Callable[..., None]:
    """Add options for the values of an image. The command gets the entered values as `values`."""

    @click.option("--name", help="The name in the registry.")
    @click.option("--os-family", help="The operating system, such as ubuntu.")
    @click.option("--os-version", help="The version of the operating system, such as 24.04.")
    @click.option("--size-gb", type=Size(), help=f"The size in GB, or {UNKNOWN}.")
    @click.option("--agent/--no-agent", default=None, help="Whether the Scalr agent is installed.")
    @click.option("--notes", help="Notes in Markdown.")
    @click.option("--notes-file", help="A file that contains the notes, or - for standard input.")
    @wraps(command)
    def with_options(*arguments: Any, **options: Any) -> None:
        names = ("name", "os_family", "os_version", "size_gb", "notes")
        values = {name: options.pop(name) for name in names}
        values["agent_installed"] = options.pop("agent")
        if (notes_file := options.pop("notes_file")) is not None:
            values["notes"] = text_of(notes_file)
        values = {name: value for name, value in values.items() if value is not None}
        if values.get("size_gb") == UNKNOWN:
            values["size_gb"] = None
        command(*arguments, values=values, **options)

    return with_options


revision_option = click.option(
    "--revision",
    type=int,
    help="Continue only if the image still has this revision, which `images show` prints.",
)


@click.command()
@click.argument("cloud")
@click.argument("cloud_image_id")
@click.option(
    "--location", help="For example a region. Not necessary if the ID contains the location."
)
@click.option("--credentials", help="The ID or the name of the cloud credentials.")
@click.option("--compute-resource", help="For VMware vSphere: a cluster or host of the template.")
@click.option(
    "--if-exists",
    type=click.Choice(("fail", "return")),
    default="fail",
    show_default=True,
    help="What to do if the image is registered already: fail, or print the registered image.",
)
@with_values
@click.option(
    "--share/--no-share", "shared", default=None, help="Whether scopes below can use the image."
)
@click.option("--tag", "tags", multiple=True, help="A tag. Use the option once for each tag.")
@with_output
@with_client
def register(
    client: Client,
    cloud: str,
    cloud_image_id: str,
    *,
    if_exists: str,
    values: dict[str, Any],
    output: Output,
    location: str | None,
    credentials: str | None,
    **other_fields: Any,
) -> None:
    """Look up an image in its cloud, and register it.

    The name, the size and the operating system come from the cloud if you leave them out.
    """
    body = locator(cloud, cloud_image_id, location, credentials) | values
    body |= {name: value for name, value in other_fields.items() if value not in {None, ()}}
    print_image(output, client.post("/images", body, if_exists=if_exists).document)


@click.command()
@click.argument("image_id", type=int)
@with_values
@revision_option
@with_output
@with_client
def edit(
    client: Client, image_id: int, values: dict[str, Any], revision: int | None, output: Output
) -> None:
    """Change an image. Enter each new value as an option. All other values stay."""
    if not values:
        raise click.UsageError("Choose at least one value to change, for example with --name.")
    headers = if_match(revision) or {"If-Match": read_image(client, image_id)[1]}
    print_image(output, client.send("PATCH", image_path(image_id), values, headers).document)


def _life_cycle_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(
        (
            click.argument("image_id", type=int),
            click.option(
                "--on",
                type=click.DateTime(["%Y-%m-%d"]),
                metavar="YYYY-MM-DD",
                help="The first day of the status, in UTC. By default, this is today.",
            ),
            click.option("--reason", default="", help="One line for people who use the image."),
            click.option(
                "--successor",
                help="The ID, cloud image ID or name of the image to use instead.",
            ),
            revision_option,
        )
    ):
        command = option(command)
    return command


@click.command()
@_life_cycle_options
@with_output
@with_client
def deprecate(client: Client, image_id: int, output: Output, **options: Any) -> None:
    """Deprecate an image.

    If you leave out --reason, the stored reason is removed. If you leave out --successor, the
    stored successor is removed.
    """
    _set_life_cycle(client, image_id, "deprecated", output, **options)


@click.command()
@_life_cycle_options
@with_output
@with_client
def retire(client: Client, image_id: int, output: Output, **options: Any) -> None:
    """Retire an image.

    If you leave out --reason, the stored reason is removed. If you leave out --successor, the
    stored successor is removed.
    """
    _set_life_cycle(client, image_id, "retired", output, **options)


@click.command()
@click.argument("image_id", type=int)
@revision_option
@with_output
@with_client
def activate(client: Client, image_id: int, revision: int | None, output: Output) -> None:
    """Make a deprecated or retired image active again."""
    _set_life_cycle(client, image_id, "active", output, revision=revision)


def _set_life_cycle(
    client: Client,
    image_id: int,
    status: str,
    output: Output,
    *,
    revision: int | None,
    **fields: Any,
) -> None:
    body = {"status": status, **{name: value for name, value in fields.items() if value}}
    if on := body.get("on"):
        body["on"] = on.date().isoformat()
    if str(body.get("successor", "")).isdecimal():
        body["successor"] = int(body["successor"])
    path = f"{image_path(image_id)}/life-cycle"
    print_image(output, client.send("PUT", path, body, if_match(revision)).document)


def _post_action(
    client: Client, image_id: int, action: str, body: Any, revision: int | None, output: Output
) -> None:
    response = client.post(f"{image_path(image_id)}/{action}", body, if_match(revision))
    print_image(output, response.document)


@click.command()
@click.argument("image_id", type=int)
@revision_option
@with_output
@with_client
def share(client: Client, image_id: int, revision: int | None, output: Output) -> None:
    """Share an image with the scopes below."""
    _post_action(client, image_id, "share", {"shared": True}, revision, output)


@click.command()
@click.argument("image_id", type=int)
@revision_option
@with_output
@with_client
def unshare(client: Client, image_id: int, revision: int | None, output: Output) -> None:
    """Stop sharing an image with the scopes below."""
    _post_action(client, image_id, "share", {"shared": False}, revision, output)


@click.command()
@click.argument("image_id", type=int)
@revision_option
@with_output
@with_client
def promote(client: Client, image_id: int, revision: int | None, output: Output) -> None:
    """Move an image to the scope above, and share it there."""
    _post_action(client, image_id, "promote", None, revision, output)


@click.command()
@click.argument("image_id", type=int)
@click.option("--add", multiple=True, help="A tag to add.")
@click.option("--remove", multiple=True, help="A tag to remove.")
@revision_option
@with_output
@with_client
def tag(
    client: Client,
    image_id: int,
    add: tuple[str, ...],
    remove: tuple[str, ...],
    revision: int | None,
    output: Output,
) -> None:
    """Add tags to an image, and remove tags. Repeat --add and --remove for each tag."""
    if not (add or remove):
        raise click.UsageError("Choose tags with --add or --remove.")
    _post_action(client, image_id, "tags", {"add": add, "remove": remove}, revision, output)


CHANGE_COLUMNS = (
    Column("FIELD", lambda change: change["field"]),
    Column("BEFORE", lambda change: value_text(change["before"])),
    Column("AFTER", lambda change: value_text(change["after"])),
)


@click.command()
@click.argument("image_id", type=int)
@click.option("--credentials", type=int, help="The ID of other credentials, to use from now on.")
@with_output
@with_client
def check(client: Client, image_id: int, credentials: int | None, output: Output) -> None:
    """Read an image from its cloud again, and print what has changed there.

    With --output csv, the output is the image. With --output json, it is the image and the changes.
    """
    body = {} if credentials is None else {"credentials": credentials}
    result = client.post(f"{image_path(image_id)}/check", body).document
    if output.is_quiet or output.format == "csv":
        print_image(output, result["image"])
    elif output.format == "json":
        print_json(result)
    elif result["changes"]:
        print_table(result["changes"], CHANGE_COLUMNS)
    else:
        click.echo("The image is unchanged.")


@click.command()
@click.argument("image_id", type=int)
@yes_option
@revision_option
@wait_option
@with_client
def delete(client: Client, image_id: int, yes: bool, revision: int | None, wait: bool) -> None:
    """Delete an image from the registry. The image in the cloud isn’t affected.

    If the image is the successor of many others, a job deletes it.
    """
    image, etag = read_image(client, image_id)
    name = printable(image["name"])
    confirm(f"Delete “{name}” from the registry?", yes=yes)
    headers = if_match(revision) or {"If-Match": etag}
    response = client.send("DELETE", image_path(image_id), headers=headers)
    if response.status == 202:
        follow(client, response.document["id"], f"deletes “{name}”", wait=wait)
    else:
        text = f"“{name}” was deleted. Within 24 hours, `images restore {image_id}` restores it."
        click.echo(text, err=True)


@click.command()
@click.argument("image_id", type=int)
@wait_option
@with_output
@with_client
def restore(client: Client, image_id: int, wait: bool, output: Output) -> None:
    """Restore an image that was deleted in the last 24 hours.

    If the image was the successor of many others, a job restores it.
    """
    response = client.post(f"{image_path(image_id)}/restore", None)
    if response.status == 202:
        follow(client, response.document["id"], f"restores image {image_id}", wait=wait)
    else:
        print_image(output, response.document)


COMMANDS = (
    *(register, edit, deprecate, retire, activate, share, unshare, promote, tag, check),
    *(delete, restore),
)
