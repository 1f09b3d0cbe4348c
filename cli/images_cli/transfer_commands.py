"""The commands that import and export files of images."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import click

from images_cli.client import Client
from images_cli.failures import ExitCode, Failure
from images_cli.job_commands import FIRST_PAUSE, LONGEST_PAUSE, print_job, wait_option
from images_cli.options import STANDARD_STREAM, text_of, with_client, with_output
from images_cli.output import Column, Output, Record, value_column
from images_cli.texts import id_or_name, value_text

PATH = "/images/imports"


def _changes(line: Record) -> str:
    if line["errors"]:
        return " ".join(line["errors"])
    return "; ".join(
        f"{change['field']}: {value_text(change['before'])} → {value_text(change['after'])}"
        for change in line["changes"]
    )


LINE_COLUMNS = (
    value_column("LINE", "line"),
    value_column("EFFECT", "effect"),
    value_column("IMAGE", "image"),
    value_column("NAME", "subject"),
    Column("CHANGES", _changes),
)
LINE_FIELDS = (
    *("line", "effect", "image", "subject", "cloud", "location", "cloud_image_id"),
    *("changes", "errors"),
)


class CloudValue(click.ParamType[tuple[str, str]]):
    """A value for a cloud, such as `aws=Build`."""

    name = "cloud=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        cloud, separator, text = value.partition("=")
        if not (cloud and separator and text):
            self.fail(f"“{value}” isn’t of the form CLOUD=VALUE, such as aws=Build.", param, ctx)
        return cloud, text


def _cloud_value_option(name: str, help_text: str) -> Any:
    kind = CloudValue()
    return click.option(name, type=kind, multiple=True, metavar="CLOUD=VALUE", help=help_text)


@click.command("import")
@click.argument("file")
@_cloud_value_option(
    "--credentials", "The ID or the name of the credentials for looking up images of CLOUD."
)
@_cloud_value_option(
    "--location", "The location for images of CLOUD that have no location in the file."
)
@_cloud_value_option(
    "--project", "The project for images of CLOUD that have no project in the file."
)
@click.option(
    "--os",
    "operating_system",
    help="The operating system for images whose operating system can’t be detected.",
)
@click.option("--no-look-up", is_flag=True, help="Register new images without looking them up.")
@click.option("--dry-run", is_flag=True, help="Only print what each line would change.")
@wait_option
@with_output
@with_client
def import_file(
    client: Client, file: str, *, dry_run: bool, wait: bool, output: Output, **options: Any
) -> None:
    """Import a CSV or JSON file of images, or a Packer manifest. Use - for standard input.

    A job looks up the new images in their clouds, and registers or updates the images. Lines with
    errors are refused.
    """
    body = {"content": text_of(file), "dry_run": dry_run, **_options(**options)}
    document = client.post(PATH, body).document
    for note in document["notes"]:
        click.echo(note, err=True)
    if dry_run:
        _print_plan(client, document, output)
    else:
        print_job(client, document["id"], output, wait=wait)


def _options(
    credentials: Sequence[tuple[str, str]],
    location: Sequence[tuple[str, str]],
    project: Sequence[tuple[str, str]],
    operating_system: str | None,
    no_look_up: bool,
) -> dict[str, Any]:
    """Return the fields of the request that contain the values of the command's options."""
    answers: dict[str, dict[str, str]] = {}
    for name, values in (("location", location), ("project", project)):
        for cloud, text in values:
            answers.setdefault(cloud, {})[name] = text
    return {
        "look_up": not no_look_up,
        "credentials": {cloud: id_or_name(text) for cloud, text in credentials},
        "answers": answers,
        "operating_system": operating_system or "",
    }


def _print_plan(client: Client, planned_import: Record, output: Output) -> None:
    """Print what each line would do. Raises Failure if a line has an error."""
    path, pause = f"{PATH}/{planned_import['id']}", FIRST_PAUSE
    while planned_import["state"] == "planning":
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
        planned_import = client.get(path).document
    lines = chain.from_iterable(client.pages(f"{path}/lines", 0))
    output.print_list(lines, LINE_COLUMNS, LINE_FIELDS, id_field="image")
    if count := planned_import["effects"]["error"]:
        message = f"{count} of {planned_import['total']} lines have errors. Nothing was imported."
        raise Failure(message, ExitCode.REFUSED)


def add_export(
    group: click.Group | None, path: str, formats: Sequence[str], title: str
) -> click.Command:
    """Return the command `export`. If `group` is not None, add the command to it.

    `path` is the path of the records in the API.
    """

    @click.argument("search", default="")
    @click.option(
        "--format",
        "file_format",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help="The format of the file.",
    )
    @click.option(
        "--file",
        default=STANDARD_STREAM,
        help="The file to write. By default, the output is standard output.",
    )
    @with_client
    def export(client: Client, search: str, file_format: str, file: str) -> None:
        _write(client.download(f"{path}/export.{file_format}", q=search), file)

    help_text = f"{title} as a file. With SEARCH, export only the records that match."
    command = click.command("export", help=help_text)(export)
    if group is not None:
        group.add_command(command)
    return command


def _write(parts: Iterable[bytes], path: str) -> None:
    """Write the parts to standard output or to a file.

    The file is created or replaced only when all parts have arrived.
    """
    if path == STANDARD_STREAM:
        for part in parts:
            sys.stdout.buffer.write(part)
        sys.stdout.buffer.flush()
        return
    target = Path(path)
    number, name = tempfile.mkstemp(dir=target.absolute().parent)
    try:
        with os.fdopen(number, "wb") as temporary:
            temporary.writelines(parts)
        Path(name).replace(target)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise


COMMANDS = (import_file, add_export(None, "/images", ("csv", "json"), "Export the images"))
