"""The commands for members and invitations."""

from __future__ import annotations

import click

from images_cli.client import Client
from images_cli.lists import add_list
from images_cli.options import with_client, with_output
from images_cli.output import Column, Output, scope_column, time_column, value_column
from images_cli.texts import scope_text

ROLES = ("viewer", "editor", "admin")
MEMBERS, INVITATIONS, SECOND_FACTOR = "/members", "/invitations", "/second-factor"
MEMBER_COLUMNS = (
    value_column("ID", "id"),
    value_column("NAME", "name"),
    value_column("E-MAIL", "email"),
    value_column("ROLE", "role"),
    scope_column("SCOPE"),
    time_column("SINCE", "created_at"),
)
MEMBER_FIELDS = ("id", "name", "email", "role", "scope", "created_at", "lacks_second_factor")
RULE_ROWS = (
    value_column("REQUIRED", "required"),
    Column(
        "REQUIRED BY",
        lambda rule: scope_text(rule["required_by"]) if rule["required_by"] else "",
    ),
)
RULE_FIELDS = ("required", "required_by")
INVITATION_COLUMNS = (
    value_column("ID", "id"),
    value_column("E-MAIL", "email"),
    value_column("ROLE", "role"),
    value_column("INVITED BY", "invited_by"),
    time_column("EXPIRES", "expires_at"),
)
INVITATION_FIELDS = ("id", "email", "role", "invited_by", "created_at", "expires_at")

role_argument = click.argument("role", type=click.Choice(ROLES), metavar="ROLE")
member_argument = click.argument("member_id", type=int)


@click.group()
def members() -> None:
    """Manage the members of the scope. Only admins can use these commands."""


add_list(
    members,
    MEMBERS,
    MEMBER_COLUMNS,
    MEMBER_FIELDS,
    help_text="List the members of the scope and of the scopes above, at most 100.",
    search="A part of the name or of the e-mail address.",
)


@members.command()
@member_argument
@role_argument
@with_output
@with_client
def role(client: Client, member_id: int, role: str, output: Output) -> None:
    """Change the role of a member."""
    response = client.send("PUT", f"{MEMBERS}/{member_id}", {"role": role})
    output.print_one(response.document, MEMBER_COLUMNS, MEMBER_FIELDS)


@members.command("sign-out")
@member_argument
@with_client
def sign_out(client: Client, member_id: int) -> None:
    """End all browser sessions of a member. The member’s tokens keep working."""
    client.post(f"{MEMBERS}/{member_id}/sign-out", None)
    click.echo("The sessions were ended.", err=True)


@members.command()
@member_argument
@with_client
def remove(client: Client, member_id: int) -> None:
    """Remove a member from the scope."""
    client.send("DELETE", f"{MEMBERS}/{member_id}")
    click.echo("The member was removed.", err=True)


@members.command("second-factor")
@click.option(
    "--require/--no-require", default=None, help="Require a second factor, or stop requiring one."
)
@with_output
@with_client
def second_factor(client: Client, require: bool | None, output: Output) -> None:
    """Show or change whether roles at the scope and below need a second factor."""
    if require is None:
        rule = client.get(SECOND_FACTOR).document
    else:
        rule = client.send("PUT", SECOND_FACTOR, {"required": require}).document
    output.print_one(rule, RULE_ROWS, RULE_FIELDS, id_field="required")


@click.group()
def invitations() -> None:
    """Invite people to the scope. Only admins can use these commands."""


add_list(
    invitations,
    INVITATIONS,
    INVITATION_COLUMNS,
    INVITATION_FIELDS,
    help_text="List the open invitations to the scope, at most 100.",
    search="A part of the e-mail address.",
)


@invitations.command()
@click.argument("email")
@role_argument
@with_client
def create(client: Client, email: str, role: str) -> None:
    """Invite a person. Print the link if the registry doesn’t send it by mail."""
    link = client.post(INVITATIONS, {"email": email, "role": role}).document["link"]
    if link:
        click.echo(link)
    else:
        click.echo("The registry sends the link to this address.", err=True)


@invitations.command()
@click.argument("invitation_id", type=int)
@with_client
def withdraw(client: Client, invitation_id: int) -> None:
    """Withdraw an invitation. Its link stops working immediately."""
    client.send("DELETE", f"{INVITATIONS}/{invitation_id}")
    click.echo("The invitation was withdrawn.", err=True)


COMMANDS = (members, invitations)
