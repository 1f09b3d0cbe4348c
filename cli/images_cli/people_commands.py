"""The commands for people, which only admins of the Scalr scope can use."""

from __future__ import annotations

from operator import itemgetter

import click

from images_cli.client import Client
from images_cli.options import with_client, with_output
from images_cli.output import Column, Output, Record
from images_cli.texts import local_time, scope_text, value_text

PERSON_COLUMNS = (
    Column("ID", lambda person: value_text(person["id"])),
    Column("NAME", itemgetter("name")),
    Column("E-MAIL", itemgetter("email")),
    Column("ROLES", lambda person: value_text(_role_texts(person))),
    Column("DISABLED", lambda person: value_text(person["is_disabled"])),
    Column("LAST SIGN-IN", lambda person: local_time(person["last_sign_in"])),
)
PERSON_ROWS = (
    Column("ID", lambda person: value_text(person["id"])),
    Column("Name", itemgetter("name")),
    Column("E-mail", itemgetter("email")),
    Column("Roles", lambda person: value_text(_role_texts(person))),
    Column("Disabled", lambda person: value_text(person["is_disabled"])),
    Column("Created", lambda person: local_time(person["created_at"])),
    Column("Last sign-in", lambda person: local_time(person["last_sign_in"])),
)
PERSON_FIELDS = (
    *("id", "name", "email", "is_disabled", "roles", "role_count", "created_at", "last_sign_in"),
)
person_argument = click.argument("person_id", type=click.IntRange(1), metavar="PERSON_ID")


@click.group()
def people() -> None:
    """Manage people. These commands work only at the scope `scalr`, and only for its admins."""


@people.command("list")
@click.option("--name", help="Only people whose name or e-mail address contains this text.")
@with_output
@with_client
def list_people(client: Client, name: str | None, output: Output) -> None:
    """List everybody with a user account, at most 100 of them."""
    found = client.get("/people", q=name).document
    output.print_list(found["items"], PERSON_COLUMNS, PERSON_FIELDS)
    if len(found["items"]) < found["total"]:
        click.echo(f"There are {found['total']} people. Use --name to find others.", err=True)


@people.command()
@person_argument
@with_output
@with_client
def show(client: Client, person_id: int, output: Output) -> None:
    """Show a person."""
    output.print_one(client.get(f"/people/{person_id}").document, PERSON_ROWS, PERSON_FIELDS)


@people.command()
@person_argument
@with_client
def disable(client: Client, person_id: int) -> None:
    """Disable the user account of a person.

    This ends the person's sessions and revokes their personal tokens. Their roles stay.

    Within a few seconds, the person's running jobs lose all rights. Images in progress are
    finished, and all other changes fail. If a job has begun to delete an account, an environment or
    credentials, it completes the deletion.
    """
    person = client.post(f"/people/{person_id}/disable", None).document
    click.echo(f"{person['name']} was disabled.", err=True)


@people.command()
@person_argument
@with_client
def enable(client: Client, person_id: int) -> None:
    """Enable the user account of a person, so that the person can sign in again."""
    person = client.post(f"/people/{person_id}/enable", None).document
    click.echo(f"{person['name']} was enabled.", err=True)


@people.command()
@person_argument
@click.confirmation_option(
    prompt="Remove this person for good?", help="Don’t ask for confirmation."
)
@with_client
def remove(client: Client, person_id: int) -> None:
    """Remove a person for good. Their images and audit log entries stay, with their name."""
    client.send("DELETE", f"/people/{person_id}")
    click.echo("The person was removed.", err=True)


def _role_texts(person: Record) -> list[str]:
    texts = [f"{each['role']} at {scope_text(each['scope'])}" for each in person["roles"]]
    more = person["role_count"] - len(texts)
    return [*texts, f"{more} more"] if more else texts


COMMANDS = (people,)
