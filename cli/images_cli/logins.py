"""Store the login in a file of the user. The token can be in the keyring instead of the file."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from images_cli.failures import ExitCode, Failure

KEYRING_SERVICE = "image-registry"


@dataclass(frozen=True)
class Login:
    """The values that `images login` stores. `token` is '' if the keyring has the token."""

    url: str
    scope: str
    ca_file: str = ""
    token: str = ""


def login_path() -> Path:
    """Return the path of the file, below XDG_CONFIG_HOME or, by default, below `~/.config`."""
    folder = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(folder) / "images" / "login.json"


def store(login: Login, *, in_keyring: bool) -> None:
    """Store a login in place of the former login.

    If `in_keyring` is true, the keyring stores the token. Raises Failure if the keyring can't be
    used, and click.UsageError if its package isn't installed. In both cases, the former login stays
    as it is.
    """
    if in_keyring:
        _call_keyring("set_password", login.url, login.token)
        login = Login(login.url, login.scope, login.ca_file)
    former = _stored_or_none()
    if former is not None and (former.url, former.token) != (login.url, login.token):
        _forget_token(former)
    path = login_path()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Only the user may read a file that mkstemp creates.
    number, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(number, "w", encoding="utf-8") as file:
        json.dump(asdict(login), file, indent=2)
    Path(name).replace(path)


def stored() -> Login | None:
    """Return the stored login, or None.

    Raises Failure if the file can't be used, or if it contains a token and others may access it.
    """
    path = login_path()
    try:
        mode = path.stat().st_mode
        content = json.loads(path.read_text(encoding="utf-8"))
        login = Login(**content)
    except FileNotFoundError:
        return None
    except (OSError, TypeError, ValueError) as error:
        message = f"{path} can’t be used. Run `images login` again. ({error})"
        raise Failure(message, ExitCode.NOT_AUTHENTICATED) from error
    if login.token and os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        message = f"Other users can read the token in {path}. Run `chmod 600 {path}`."
        raise Failure(message, ExitCode.NOT_AUTHENTICATED)
    return login


def token_of(login: Login) -> str:
    """Return the token of a stored login, or '' if the keyring has no token."""
    return login.token or _call_keyring("get_password", login.url) or ""


def forget() -> bool:
    """Delete the stored login. Return false if there is none."""
    login = _stored_or_none()
    if login is not None:
        _forget_token(login)
    try:
        login_path().unlink()
    except FileNotFoundError:
        return False
    return True


def _stored_or_none() -> Login | None:
    """Return the stored login, or None if there is none or if it can't be used."""
    with suppress(Failure):
        return stored()
    return None


def _forget_token(login: Login) -> None:
    """Delete the token of a stored login from the keyring, if the keyring has it."""
    if not login.token:
        with suppress(Failure, click.UsageError):
            _call_keyring("delete_password", login.url)


def _call_keyring(function: str, *arguments: str) -> Any:
    """Call a function of the package keyring, which is an optional dependency."""
    try:
        import keyring  # noqa: PLC0415
        from keyring.errors import KeyringError  # noqa: PLC0415
    except ImportError as error:
        message = (
            "The package keyring isn’t installed. Install `image-registry-cli[keyring]`, or log "
            "in without --keyring."
        )
        raise click.UsageError(message) from error
    try:
        return getattr(keyring, function)(KEYRING_SERVICE, *arguments)
    except KeyringError as error:
        message = f"The keyring can’t be used: {error}"
        raise Failure(message, ExitCode.NOT_AUTHENTICATED) from error
