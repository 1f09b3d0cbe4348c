"""The commands for the rules that give roles to people who sign in at identity providers."""

from __future__ import annotations

from typing import Any

import click

from images_cli.client import Client
from images_cli.member_commands import ROLES
from images_cli.options import if_match, with_client, with_output
from images_cli.output import Output, scope_column, time_column, value_column

PATH = "/role-rules"
COLUMNS = (
    value_column("ID", "id"),
    value_column("PROVIDER", "provider"),
    value_column("CLAIM", "claim"),
    value_column("VALUE", "value"),
    scope_column("SCOPE"),
    value_column("ROLE", "role"),
    time_column("SINCE", "created_at"),
)
FIELDS = (
    *("id", "provider", "issuer", "claim", "value", "scope", "role", "created_by", "created_at"),
    "revision",
)

rule_argument = click.argument("rule_id", type=click.IntRange(1), metavar="RULE_ID")
role_type = click.Choice(ROLES)
accept_option = click.option(
    "--accept-losses", is_flag=True, help="Save the rule even if members lose roles."
)
revision_option = click.option(
    "--revision", type=int, help="Continue only if the rule still has this revision."
)


@click.group("role-rules")
def role_rules() -> None:
    """Manage the rules that give roles to people who sign in at identity providers."""


@role_rules.command("list")
@with_output
@with_client
def list_rules(client: Client, output: Output) -> None:
    """List the rules of the scope and of the scopes below.

    Rules from the server's configuration have no ID.
    """
    found = client.get(PATH).document
    output.print_list(found["items"], COLUMNS, FIELDS)
    if len(found["items"]) < found["total"]:
        message = f"Only {len(found['items'])} of {found['total']} rules are listed. "
        click.echo(f"{message}To see the others, list the rules of the scopes below.", err=True)


@role_rules.command()
@rule_argument
@with_output
@with_client
def show(client: Client, rule_id: int, output: Output) -> None:
    """Show a rule."""
    output.print_one(client.get(f"{PATH}/{rule_id}").document, COLUMNS, FIELDS)


@role_rules.command()
@click.argument("provider")
@click.argument("claim")
@click.argument("value")
@click.argument("role", type=role_type, metavar="ROLE")
@accept_option
@with_output
@with_client
def create(client: Client, output: Output, **values: Any) -> None:
    """Give the ROLE at the scope to people whose CLAIM at the PROVIDER has the VALUE."""
    output.print_one(client.post(PATH, values).document, COLUMNS, FIELDS)


@role_rules.command()
@rule_argument
@click.option("--claim", help="The new claim.")
@click.option("--value", help="The new value.")
@click.option("--role", type=role_type, help="The new role.")
@accept_option
@revision_option
@with_output
@with_client
def edit(
    client: Client,
    rule_id: int,
    accept_losses: bool,
    revision: int | None,
    output: Output,
    **changes: Any,
) -> None:
    """Change the claim, the value or the role of a rule."""
    body = {name: value for name, value in changes.items() if value is not None}
    if not body:
        raise click.UsageError("Choose what to change with --claim, --value or --role.")
    body["accept_losses"] = accept_losses
    response = client.send("PATCH", f"{PATH}/{rule_id}", body, if_match(revision))
    output.print_one(response.document, COLUMNS, FIELDS)


@role_rules.command()
@rule_argument
@revision_option
@with_client
def delete(client: Client, rule_id: int, revision: int | None) -> None:
    """Remove a rule.

    At their next sign-in at the rule’s provider, members lose the roles at the rule’s scope that no
    other rule of the provider grants. This also applies to roles that members got from an admin,
    not from a rule. But if this is the provider’s last rule for the scope, members keep their
    roles.
    """
    client.send("DELETE", f"{PATH}/{rule_id}", headers=if_match(revision))
    click.echo("The rule was removed.", err=True)


COMMANDS = (role_rules,)
