"""The commands for jobs and bulk actions, and the functions that wait for a job."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from itertools import chain
from operator import itemgetter
from typing import Any

import click

from images_cli.client import Client
from images_cli.failures import ExitCode, Failure
from images_cli.options import with_client, with_output
from images_cli.output import Column, Output, Record
from images_cli.texts import local_time, printable, value_text


def _outcomes(job: Record) -> str:
    return ", ".join(f"{count} {outcome}" for outcome, count in job["outcomes"].items())


FIRST_PAUSE = 0.5
"""The time in seconds before a running job is read for the second time."""
LONGEST_PAUSE = 5.0
"""The longest time in seconds before a running job is read again."""
JOB_FIELDS = (
    *("id", "action", "title", "state", "total", "outcomes", "stop_reason"),
    *("created_at", "finished_at", "url", "web_url"),
)
JOB_ROWS = (
    Column("ID", lambda job: value_text(job["id"])),
    Column("Title", itemgetter("title")),
    Column("State", itemgetter("state")),
    Column("Stop reason", itemgetter("stop_reason")),
    Column("Images", lambda job: value_text(job["total"])),
    Column("Outcomes", _outcomes),
    Column("Created", lambda job: local_time(job["created_at"])),
    Column("Finished", lambda job: local_time(job["finished_at"])),
    Column("Page", itemgetter("web_url")),
)
ROW_COLUMNS = (
    Column("IMAGE", lambda row: value_text(row["image"])),
    Column("NAME", itemgetter("subject")),
    Column("OUTCOME", itemgetter("outcome")),
    Column("MESSAGE", itemgetter("message")),
)
ROW_FIELDS = ("image", "subject", "outcome", "message")
EFFECT_ROWS = (
    Column("Would change", lambda effect: value_text(effect["changed"])),
    Column("Unchanged", lambda effect: value_text(effect["unchanged"])),
    Column("Inherited", lambda effect: value_text(effect["inherited"])),
    Column("In scopes below", lambda effect: value_text(effect["below"])),
    Column("Scopes losing access", lambda effect: value_text(effect["scopes_losing_access"])),
    Column("First images", lambda effect: value_text(effect["names"])),
)
EFFECT_FIELDS = ("changed", "unchanged", "inherited", "below", "scopes_losing_access", "names")

wait_option = click.option("--wait", is_flag=True, help="Wait until the job has ended.")


def print_job(client: Client, job_id: int, output: Output, *, wait: bool) -> None:
    """Print a job.

    If `wait` is true, wait until the job has ended. Then raise Failure if the job was stopped, if
    an image was refused, or if an import waits for a review.
    """
    job = _wait_until_ended(client, job_id) if wait else _read(client, job_id)
    output.print_one(job, JOB_ROWS, JOB_FIELDS)
    if wait:
        _require_success(job)


def follow(client: Client, job_id: int, action: str, *, wait: bool) -> None:
    """Wait for a job if `wait` is true. Otherwise, print that it runs in the background."""
    if wait:
        _require_success(_wait_until_ended(client, job_id))
    else:
        click.echo(f"Job {job_id} {action} in the background.", err=True)


def _read(client: Client, job_id: int) -> Record:
    job: Record = client.get(f"/jobs/{job_id}").document
    return job


def _wait_until_ended(client: Client, job_id: int) -> Record:
    """Wait until a job has ended, and return it. Shows the progress on standard error."""
    job, pause = _read(client, job_id), FIRST_PAUSE
    label = f"Job {job_id}: {printable(job['title'])}"
    with click.progressbar(length=max(job["total"], 1), label=label, file=sys.stderr) as bar:
        while job["state"] == "running":
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            job = _read(client, job_id)
            bar.update(job["total"] - job["outcomes"].get("pending", 0) - bar.pos)
    return job


def _require_success(job: Record) -> None:
    if job["state"] == "stopped":
        reason = printable(job["stop_reason"])
        raise Failure(f"Job {job['id']} was stopped. {reason}".strip(), ExitCode.REFUSED)
    if job["state"] == "planned":
        page = printable(job["web_url"])
        raise Failure(f"Job {job['id']} waits for a review: {page}", ExitCode.REFUSED)
    if refused := job["outcomes"].get("refused", 0):
        advice = f"To list them, run `images jobs rows {job['id']} --outcome refused`."
        message = f"The registry refused {refused} of {job['total']} images. {advice}"
        raise Failure(message, ExitCode.REFUSED)


@click.group()
def jobs() -> None:
    """Show and stop the jobs that run in the background."""


@jobs.command()
@click.argument("job_id", type=int)
@wait_option
@with_output
@with_client
def show(client: Client, job_id: int, wait: bool, output: Output) -> None:
    """Show a job."""
    print_job(client, job_id, output, wait=wait)


@jobs.command()
@click.argument("job_id", type=int)
@click.option("--outcome", help="Only images with this outcome, such as refused or pending.")
@with_output
@with_client
def rows(client: Client, job_id: int, outcome: str | None, output: Output) -> None:
    """List the images of a job with their outcomes."""
    pages = client.pages(f"/jobs/{job_id}/rows", 0, outcome=outcome)
    output.print_list(chain.from_iterable(pages), ROW_COLUMNS, ROW_FIELDS, id_field="image")


@jobs.command()
@click.argument("job_id", type=int)
@with_output
@with_client
def stop(client: Client, job_id: int, output: Output) -> None:
    """Stop a job. Images that were not processed yet stay as they are."""
    output.print_one(client.post(f"/jobs/{job_id}/stop", None).document, JOB_ROWS, JOB_FIELDS)


def _with_bulk_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the argument ACTION, the options that select images, and the options of the actions."""
    options = (
        click.argument("action"),
        click.option("--search", "q", help="A search for the images. '' selects all images."),
        click.option("--image", "images", type=int, multiple=True, help="The ID of an image."),
        click.option("--tag", "tags", multiple=True, help="A tag to add or to remove."),
        click.option("--os-family", help="The operating system, such as ubuntu."),
        click.option("--os-version", help="The version of the operating system."),
        click.option(
            "--on",
            type=click.DateTime(["%Y-%m-%d"]),
            metavar="YYYY-MM-DD",
            help="The first day of the status, in UTC. By default, this is today.",
        ),
        click.option("--reason", help="One line for people who use the images."),
        click.option("--successor", help="The image to use instead."),
        click.option("--dry-run", is_flag=True, help="Only print what the action would change."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@_with_bulk_options
@wait_option
@with_output
@with_client
def bulk(client: Client, output: Output, wait: bool, dry_run: bool, **options: Any) -> None:
    """Change many images in the background.

    ACTION is share, unshare, agent, no-agent, os, tag, untag, deprecate, retire, restore (make the
    images active again), check or delete.

    Select images with --search, or repeat --image for each image.
    """
    body = {name: value for name, value in options.items() if value not in {None, ()}}
    if ("q" in body) == ("images" in body):
        raise click.UsageError("Select images either with --search or with --image.")
    if "on" in body:
        body["on"] = body["on"].date().isoformat()
    result = client.post("/images/bulk", body | {"dry_run": dry_run}).document
    if dry_run:
        output.print_one(result["effect"], EFFECT_ROWS, EFFECT_FIELDS, id_field="changed")
    else:
        print_job(client, result["job"]["id"], output, wait=wait)


COMMANDS = (jobs, bulk)
