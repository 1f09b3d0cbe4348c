"""The command `images`: logging in and out, completion, and all other commands."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from images_cli import (
    __version__,
    audit_commands,
    credential_commands,
    image_changes,
    image_reading,
    job_commands,
    logins,
    member_commands,
    people_commands,
    role_rule_commands,
    scope_commands,
    transfer_commands,
    view_commands,
)
from images_cli.client import Client, parse_registry_url, scope_url_path
from images_cli.failures import ExitCode, Failure
from images_cli.options import (
    ca_file_option,
    parse_token,
    read_token,
    timeout_option,
    token_file_option,
)
from images_cli.texts import scope_text


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="%(prog)s %(version)s")
def images() -> None:
    """Register, search and change the images of an Image Registry."""


@images.command()
@click.argument("url")
@click.option(
    "--scope",
    envvar="IMAGES_SCOPE",
    help="scalr, ACCOUNT or ACCOUNT/ENVIRONMENT. By default, this is the scope of the token.",
)
@token_file_option
@ca_file_option
@timeout_option
@click.option("--keyring", "in_keyring", is_flag=True, help="Store the token in the keyring.")
def login(
    url: str,
    scope: str | None,
    token_file: str | None,
    ca_file: str | None,
    timeout: float,
    in_keyring: bool,
) -> None:
    """Store the address of a registry and a token for the next commands.

    The token comes from --token-file, from the variable IMAGES_TOKEN, or from a prompt.
    """
    url, ca_file = parse_registry_url(url), str(Path(ca_file).absolute()) if ca_file else ""
    token = read_token(token_file)
    if not token and sys.stdin.isatty():
        token = parse_token(click.prompt("Token", hide_input=True, err=True))
    if not token:
        message = "There is no token. Use --token-file, or set IMAGES_TOKEN."
        raise Failure(message, ExitCode.NOT_AUTHENTICATED)
    if scope:
        Client(url, scope_url_path(scope), token, ca_file, timeout).get("/images", limit=1)
    else:
        scope = _scope_of_token(Client(url, "", token, ca_file, timeout))
    logins.store(logins.Login(url, scope, ca_file, token), in_keyring=in_keyring)
    click.echo(f"Logged in to {url} at the scope {scope}.", err=True)


def _scope_of_token(client: Client) -> str:
    """Return the scope of the token: the first of the scopes that the token sees."""
    scopes = client.get("/scopes").document["items"]
    if not scopes:
        raise Failure("This token no longer has a role at any scope.", ExitCode.FORBIDDEN)
    return scope_text(scopes[0])


@images.command()
def logout() -> None:
    """Delete the stored address and token. The token stays valid."""
    was_logged_in = logins.forget()
    click.echo("Logged out." if was_logged_in else "You weren’t logged in.", err=True)


@images.command()
@click.argument("shell", metavar="SHELL", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> None:
    """Print the script that completes commands and options in a shell."""
    completion_class = get_completion_class(shell)
    assert completion_class is not None  # noqa: S101  click knows all of these shells
    click.echo(completion_class(images, {}, "images", "_IMAGES_COMPLETE").source())


for module in (
    *(image_reading, image_changes, job_commands, transfer_commands, scope_commands),
    *(credential_commands, member_commands, view_commands, audit_commands, people_commands),
    role_rule_commands,
):
    for command in module.COMMANDS:
        images.add_command(command)
