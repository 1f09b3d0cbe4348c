"""The options that many commands have, and the client that these options configure."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

import click

from images_cli import logins
from images_cli.client import Client, parse_registry_url, scope_url_path
from images_cli.failures import ExitCode, Failure
from images_cli.output import FORMATS, Output

CONNECTION = ("url", "scope", "token_file", "ca_file", "timeout")
STANDARD_STREAM = "-"
"""The file name that means standard input or, for a file to write, standard output."""

url_option = click.option(
    "--url", envvar="IMAGES_URL", help="The address of the registry, instead of the stored address."
)
scope_option = click.option(
    "--scope",
    envvar="IMAGES_SCOPE",
    help="scalr, ACCOUNT or ACCOUNT/ENVIRONMENT, instead of the stored scope.",
)
token_file_option = click.option(
    "--token-file",
    envvar="IMAGES_TOKEN_FILE",
    help="A file that contains the token, or - for standard input.",
)
ca_file_option = click.option(
    "--ca-file",
    envvar="IMAGES_CA_FILE",
    help="The certificates of a private certificate authority, in PEM format.",
)
timeout_option = click.option(
    "--timeout",
    envvar="IMAGES_TIMEOUT",
    type=click.FloatRange(min=1),
    default=60,
    show_default=True,
    help="How many seconds to wait for a response.",
)
limit_option = click.option(
    "--limit",
    type=click.IntRange(min=1),
    help="The maximum number of records. By default, all records are listed.",
)
yes_option = click.option("--yes", is_flag=True, help="Don’t ask for confirmation.")


def confirm(question: str, *, yes: bool) -> None:
    """Ask a question unless `yes` is true.

    Raises click.Abort if the person declines, and click.UsageError if there is no terminal.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        message = "Without a terminal, this command can’t ask for confirmation. Use --yes."
        raise click.UsageError(message)
    click.confirm(question, abort=True, err=True)


def if_match(revision: int | None) -> Mapping[str, str]:
    """Return the header that allows a change only at `revision`, or none if `revision` is None."""
    return {} if revision is None else {"If-Match": f'"{revision}"'}


def text_of(path: str) -> str:
    """Return the text of a file, or of standard input for `-`. Raises click.UsageError."""
    try:
        data = sys.stdin.buffer.read() if path == STANDARD_STREAM else Path(path).read_bytes()
        return data.decode("utf-8")
    except (OSError, ValueError) as error:
        raise click.UsageError(f"“{path}” can’t be read as text in UTF-8.") from error


def with_client(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of the connection. The command gets a Client as its first argument."""

    @url_option
    @scope_option
    @token_file_option
    @ca_file_option
    @timeout_option
    @wraps(command)
    def with_options(**values: Any) -> None:
        connection = {name: values.pop(name) for name in CONNECTION}
        command(client_for(**connection), **values)

    return with_options


def with_client_without_scope(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of the connection to a command that belongs to no scope."""

    @url_option
    @token_file_option
    @ca_file_option
    @timeout_option
    @wraps(command)
    def with_options(**values: Any) -> None:
        connection = {name: values.pop(name) for name in CONNECTION if name in values}
        command(client_for(scope="scalr", **connection).without_scope(), **values)

    return with_options


def with_output(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of the output. The command gets an Output as `output`."""

    @click.option(
        *("-o", "--output", "output_format"),
        type=click.Choice(FORMATS),
        default="table",
        show_default=True,
        help="The format of the output.",
    )
    @click.option("-q", "--quiet", is_flag=True, help="Print only IDs.")
    @wraps(command)
    def with_options(*arguments: Any, output_format: str, quiet: bool, **values: Any) -> None:
        command(*arguments, output=Output(output_format, quiet), **values)

    return with_options


def client_for(
    url: str | None, scope: str | None, token_file: str | None, ca_file: str | None, timeout: float
) -> Client:
    """Return a client for the options and the stored login. Raises Failure without a token."""
    login = logins.stored()
    if url is None and login is None:
        message = "You aren’t logged in. Run `images login`, or set IMAGES_URL and IMAGES_TOKEN."
        raise Failure(message, ExitCode.NOT_AUTHENTICATED)
    if url is not None and (login is None or parse_registry_url(url) != login.url):
        login = None  # The stored token must not be sent to another registry.
    if login is not None:
        url, scope, ca_file = login.url, scope or login.scope, ca_file or login.ca_file
    if not scope:
        raise click.UsageError("Choose a scope with --scope or IMAGES_SCOPE.")
    token = read_token(token_file)
    if not token and login is not None:
        token = logins.token_of(login)
    if not token:
        message = "There is no token. Run `images login`, or set IMAGES_TOKEN."
        raise Failure(message, ExitCode.NOT_AUTHENTICATED)
    return Client(str(url), scope_url_path(scope), token, ca_file or "", timeout)


def read_token(token_file: str | None) -> str:
    """Return the token in `token_file` or, without a file, in IMAGES_TOKEN. '' if there is none."""
    if token_file is None:
        text = os.environ.get("IMAGES_TOKEN", "")
    elif token_file == STANDARD_STREAM:
        text = sys.stdin.readline()
    else:
        try:
            text = Path(token_file).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise click.UsageError(f"“{token_file}” can’t be read as a token.") from error
    return parse_token(text)


def parse_token(text: str) -> str:
    """Return the token in a text. Raises Failure if the text can't be a token."""
    token = text.strip()
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        raise Failure("This isn’t a token. A token begins with imr_.", ExitCode.NOT_AUTHENTICATED)
    return token
