"""The commands for scopes and tokens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any
from urllib.parse import quote

import click

from images_cli.client import Client
from images_cli.job_commands import follow, wait_option
from images_cli.lists import add_list
from images_cli.member_commands import ROLES
from images_cli.options import with_client, with_client_without_scope, with_output
from images_cli.output import Column, Output, Record
from images_cli.texts import local_time, printable, scope_text, value_text

CURRENT = "current"
SCOPE_COLUMNS = (
    Column("SCOPE", scope_text),
    Column("NAME", itemgetter("name")),
    Column("ROLE", itemgetter("role")),
)
SCOPE_FIELDS = ("level", "path", "name", "role", "url", "web_url")
TOKEN_COLUMNS = (
    Column("ID", lambda token: value_text(token["id"])),
    Column("NAME", itemgetter("name")),
    Column("ROLE", itemgetter("role")),
    Column("SCOPE", lambda token: scope_text(token["scope"])),
    Column("EXPIRES", lambda token: local_time(token["expires_at"])),
    Column("LAST USE", lambda token: local_time(token["used_at"])),
)
TOKEN_ROWS = (
    Column("ID", lambda token: value_text(token["id"])),
    Column("Name", itemgetter("name")),
    Column("Role", itemgetter("role")),
    Column("Scope", lambda token: scope_text(token["scope"])),
    Column("Personal", lambda token: value_text(token["is_personal"])),
    Column("Networks", lambda token: value_text(token["networks"])),
    Column("Created", lambda token: local_time(token["created_at"])),
    Column("Created by", lambda token: value_text(token["created_by"])),
    Column("Rotated", lambda token: local_time(token["rotated_at"])),
    Column("Expires", lambda token: local_time(token["expires_at"])),
    Column("Last use", lambda token: local_time(token["used_at"])),
    Column("Token", lambda token: token.get("text", "")),
)
TOKEN_FIELDS = (
    *("id", "key", "name", "role", "scope", "is_personal", "networks", "created_by"),
    *("created_at", "rotated_at", "expires_at", "used_at"),
)


@click.command()
@click.option("--name", help="Only scopes whose name or path contains this text.")
@with_output
@with_client_without_scope
def scopes(client: Client, name: str | None, output: Output) -> None:
    """List the scopes that the token sees, at most 200 of them."""
    found = client.get("/scopes", q=name).document
    items = [{**each, "scope": scope_text(each)} for each in found["items"]]
    output.print_list(items, SCOPE_COLUMNS, SCOPE_FIELDS, id_field="scope")
    if len(items) < found["total"]:
        click.echo(f"The token sees {found['total']} scopes. Use --name to find others.", err=True)


@click.group()
def token() -> None:
    """Manage the tokens of the scope, and your own. The text of a token is shown only once."""


days_option = click.option(
    "--days",
    type=click.IntRange(1, 366),
    default=90,
    show_default=True,
    help="How many days the token is valid.",
)
token_argument = click.argument("token_id", metavar="TOKEN_ID")
own_option = click.option(
    "--own",
    is_flag=True,
    help="Apply the command to your personal tokens instead of the tokens of the scope. Only your "
    "personal tokens at the scope of the token that you use, and at the scopes below, are "
    "available.",
)


@token.command("list")
@own_option
@with_output
@with_client
def list_tokens(client: Client, own: bool, output: Output) -> None:
    """List the tokens of the scope or, with --own, your personal tokens."""
    document = (client.without_scope() if own else client).get("/tokens").document
    output.print_list(document["items"], TOKEN_COLUMNS, TOKEN_FIELDS)


@token.command()
@token_argument
@own_option
@with_output
@with_client
def show(client: Client, token_id: str, own: bool, output: Output) -> None:
    """Show a token of the scope. TOKEN_ID can be `current`, which is the token that you use."""
    document = _client_of(client, token_id, own=own).get(_path(token_id)).document
    output.print_one(document, TOKEN_ROWS, TOKEN_FIELDS)


@token.command()
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), required=True, help="The role of the token.")
@days_option
@click.option(
    "--network",
    "networks",
    multiple=True,
    help="An IP address or network from which the token can be used.",
)
@with_output
@with_client
def create(
    client: Client, name: str, role: str, days: int, networks: tuple[str, ...], output: Output
) -> None:
    """Create a token of the scope, and print it. With --quiet, print only its text."""
    body = {"name": name, "role": role, "expires_at": _expiry(days), "networks": networks}
    _print_text(client.post("/tokens", body).document, output)


@token.command()
@token_argument
@days_option
@with_output
@with_client
def rotate(client: Client, token_id: str, days: int, output: Output) -> None:
    """Replace the text of a token, and print it.

    The old text stops working immediately, with one exception: for five minutes, a client can use
    the old text to repeat an earlier request that had an Idempotency-Key. Such a request gets the
    stored response.
    """
    path = f"{_path(token_id)}/rotate"
    response = _client_of(client, token_id).post(path, {"expires_at": _expiry(days)})
    _print_text(response.document, output)


@token.command()
@token_argument
@own_option
@with_client
def revoke(client: Client, token_id: str, own: bool) -> None:
    """Revoke a token. The token stops working immediately."""
    _client_of(client, token_id, own=own).send("DELETE", _path(token_id))
    click.echo("The token was revoked.", err=True)


RULE_COLUMNS = (
    Column("ID", lambda rule: value_text(rule["id"])),
    Column("NAME", itemgetter("name")),
    Column("ISSUER", itemgetter("issuer")),
    Column("ROLE", itemgetter("role")),
    Column("IN FORCE", lambda rule: value_text(rule["in_force"])),
    Column("LAST USE", lambda rule: local_time(rule["used_at"])),
)
RULE_ROWS = (
    Column("ID", lambda rule: value_text(rule["id"])),
    Column("Name", itemgetter("name")),
    Column("Scope", lambda rule: scope_text(rule["scope"])),
    Column("Issuer", itemgetter("issuer")),
    Column("Audience", itemgetter("audience")),
    Column("Claims", lambda rule: value_text(_claim_texts(rule))),
    Column("Role", itemgetter("role")),
    Column("Networks", lambda rule: value_text(rule["networks"])),
    Column("In force", lambda rule: value_text(rule["in_force"])),
    Column("Created", lambda rule: local_time(rule["created_at"])),
    Column("Created by", lambda rule: value_text(rule["created_by"])),
    Column("Last use", lambda rule: local_time(rule["used_at"])),
)
RULE_FIELDS = (
    *("id", "name", "scope", "issuer", "audience", "claims", "role", "networks", "in_force"),
    *("created_by", "created_at", "used_at"),
)


@token.command("rules")
@with_output
@with_client
def list_rules(client: Client, output: Output) -> None:
    """List the rules that let pipelines exchange ID tokens for tokens of the scope."""
    output.print_list(client.get("/token-rules").document["items"], RULE_COLUMNS, RULE_FIELDS)


@token.command("show-rule")
@click.argument("rule_id", type=click.IntRange(1), metavar="RULE_ID")
@with_output
@with_client
def show_rule(client: Client, rule_id: int, output: Output) -> None:
    """Show a rule of the scope."""
    output.print_one(client.get(f"/token-rules/{rule_id}").document, RULE_ROWS, RULE_FIELDS)


@token.command("create-rule")
@click.argument("name")
@click.option("--issuer", required=True, help="The URL of the provider of the ID tokens.")
@click.option("--audience", required=True, help="The audience of the ID tokens.")
@click.option(
    "--claim",
    "claims",
    multiple=True,
    required=True,
    help="A claim and its pattern: CLAIM=PATTERN. * matches any text.",
)
@click.option("--role", type=click.Choice(ROLES), required=True, help="The role of the tokens.")
@click.option(
    "--network",
    "networks",
    multiple=True,
    help="An IP address or network from which the tokens can be used.",
)
@with_output
@with_client
def create_rule(client: Client, output: Output, claims: tuple[str, ...], **values: Any) -> None:
    """Create a rule that lets pipelines exchange ID tokens for tokens of the scope."""
    parts = [each.partition("=") for each in claims]
    if invalid := [name for name, separator, _ in parts if not separator]:
        raise click.UsageError(f"“{invalid[0]}” has no “=”. Use for example --claim ref=main.")
    body = {**values, "claims": {name: pattern for name, _, pattern in parts}}
    output.print_one(client.post("/token-rules", body).document, RULE_ROWS, RULE_FIELDS)


@token.command("delete-rule")
@click.argument("rule_id", type=click.IntRange(1), metavar="RULE_ID")
@with_client
def delete_rule(client: Client, rule_id: int) -> None:
    """Delete a rule, and revoke the tokens that pipelines got with it."""
    client.send("DELETE", f"/token-rules/{rule_id}")
    click.echo("The rule was deleted.", err=True)


def _claim_texts(rule: Record) -> list[str]:
    return [f"{name} = {pattern}" for name, pattern in rule["claims"].items()]


def _client_of(client: Client, token_id: str, *, own: bool = False) -> Client:
    return client.without_scope() if own or token_id == CURRENT else client


def _path(token_id: str) -> str:
    """Return the path of a token. Raises click.UsageError for a text that is no ID."""
    if token_id != CURRENT and not token_id.isdecimal():
        raise click.UsageError(f"“{token_id}” is neither the ID of a token nor `{CURRENT}`.")
    return f"/tokens/{token_id}"


def _expiry(days: int) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat(timespec="seconds")


def _print_text(token: Record, output: Output) -> None:
    output.print_one(token, TOKEN_ROWS, (*TOKEN_FIELDS, "text"), id_field="text")


def _children(name: str, noun: str) -> click.Group:
    """Return the group of commands for the accounts or environments directly below a scope.

    `name` is the name of the group. In the API, it is also the path of these scopes.
    """
    path = f"/{name}"
    slug_argument = click.argument("slug", metavar="SLUG")

    @click.group(name, help=f"Manage the {name} directly below the scope, as an admin.")
    def group() -> None: ...

    add_list(
        group,
        path,
        SCOPE_COLUMNS,
        SCOPE_FIELDS,
        help_text=f"List the {name}, at most 100.",
        search="A part of the name or of the path.",
        id_field="path",
    )

    @group.command(help=f"Create an {noun}.")
    @click.argument("name")
    @with_output
    @with_client
    def create(client: Client, name: str, output: Output) -> None:
        _print_scope(client.post(path, {"name": name}).document, output)

    @group.command(help=f"Rename an {noun}. Its path stays as it is.")
    @slug_argument
    @click.argument("name")
    @with_output
    @with_client
    def rename(client: Client, slug: str, name: str, output: Output) -> None:
        url_path = f"{path}/{quote(slug, safe='')}"
        _print_scope(client.send("PATCH", url_path, {"name": name}).document, output)

    @group.command(help=f"Delete an {noun} with everything in it. This can’t be undone.")
    @slug_argument
    @click.option("--confirm-name", required=True, help="The name of the scope to delete.")
    @wait_option
    @with_client
    def delete(client: Client, slug: str, confirm_name: str, wait: bool) -> None:
        response = client.post(f"{path}/{quote(slug, safe='')}/delete", {"name": confirm_name})
        follow(client, response.document["id"], f"deletes {printable(slug)}", wait=wait)

    return group


def _print_scope(scope: Record, output: Output) -> None:
    output.print_one(scope, SCOPE_COLUMNS, SCOPE_FIELDS, id_field="path")


COMMANDS = (
    scopes,
    token,
    _children("accounts", "account"),
    _children("environments", "environment"),
)
