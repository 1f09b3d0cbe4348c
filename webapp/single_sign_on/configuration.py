"""Read the identity providers from the file that the setting OIDC_PROVIDERS_FILE names."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from models import Role
from webapp.settings import SettingsError

KEY = re.compile("[a-z0-9][a-z0-9-]{0,31}", re.ASCII)
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
AUTHENTICATIONS = ("client_secret_basic", "client_secret_post")
"""The supported ways to send the client secret to the provider."""
LONGEST_ISSUER = 255
LONGEST_TEXT = 200
MAX_PROVIDERS = 20
TOP_KEYS = frozenset({"contact", "providers"})
PROVIDER_KEYS = frozenset(
    {
        *("label", "issuer", "client_id", "client_secret_file", "client_secret_env", "scopes"),
        *("client_authentication", "ca_file", "second_factor", "roles"),
    }
)
ROLE_KEYS = frozenset({"claim", "value", "scope", "role"})
MAX_RULES = 200
ANY_VALUE = "*"
"""In a rule, this value matches every value of the claim."""
SCOPE = re.compile(
    r"/scalr|/account/(?P<account>[^/]{1,64})|/environment/(?P<environment>[^/]{1,64}/[^/]{1,64})"
)
"""Matches a scope that is written as in the URL of its pages, such as /account/acme."""


@dataclass(frozen=True)
class SecondFactor:
    """The claim values with which an ID token says that the person used a second factor."""

    amr: frozenset[str] = frozenset()
    acr: frozenset[str] = frozenset()


@dataclass(frozen=True)
class RoleRule:
    """A rule that gives a role at a scope to the people whose claim has a certain value."""

    claim: str
    """The name of the claim. For a claim inside other claims, the names with dots between them."""
    value: str
    """The value of the claim or, if the claim is a list, one of its values.

    ANY_VALUE matches every value.
    """
    scope: str
    """The path of the scope; '' for the Scalr scope."""
    role: Role


@dataclass(frozen=True)
class Provider:
    """An identity provider that the operator has configured."""

    key: str
    """The name of the provider in URLs and in the file."""
    label: str
    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    """'' for a public client."""
    scopes: tuple[str, ...]
    client_authentication: str
    """An item of AUTHENTICATIONS, or '' to use what the provider supports."""
    ca_file: str
    """The file with the CA certificates of the provider, or '' for the public CA certificates."""
    second_factor: SecondFactor
    roles: tuple[RoleRule, ...] = ()
    """The role rules in the file. Admins can add further rules on the Role rules page."""


@dataclass(frozen=True)
class Configuration:
    """The identity providers by key, in the order of the file."""

    providers: Mapping[str, Provider] = field(default_factory=dict)
    contact: str = ""
    """The person or team that helps if a sign-in is refused, such as “the platform team”, or ''."""
    secret_files: tuple[Path, ...] = ()
    """The files with client secrets. Other users of the machine should not be able to read them."""


def read_configuration(path: Path | None, environ: Mapping[str, str]) -> Configuration:
    """Return the configuration in a TOML file, or no providers if `path` is None.

    Raises SettingsError. Its message contains the names in the file, but no client secrets.
    """
    if path is None:
        return Configuration()
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _file_error(f"cannot be read: {error}") from error
    except ValueError as error:
        # The text of a TOMLDecodeError says where the error is, but contains no values from the
        # file. The text of a UnicodeDecodeError would show a part of the file.
        reason = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "not UTF-8 text"
        raise _file_error(f"is not valid TOML: {reason}") from None
    _refuse_unknown("has an error at the top", values, TOP_KEYS)
    sections = values.get("providers", {})
    if not isinstance(sections, dict) or not 0 < len(sections) <= MAX_PROVIDERS:
        raise _file_error(f"must have 1 to {MAX_PROVIDERS} sections such as [providers.example]")
    providers = {key: _provider(key, section, environ) for key, section in sections.items()}
    for name in ("issuer", "label"):
        if len({getattr(each, name) for each in providers.values()}) < len(providers):
            raise _file_error(f"has two providers with the same {name}")
    files = [each.get("client_secret_file") for each in sections.values()]
    return Configuration(
        providers,
        _text("has an error at the top", values, "contact", default=""),
        tuple(Path(file) for file in files if file),
    )


def is_safe_url(url: str) -> bool:
    """Return whether `url` uses HTTPS and has no user or fragment.

    If the host is this machine, HTTP is accepted too.
    """
    if not url.isascii() or not url.isprintable() or " " in url or "#" in url:
        return False
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    is_encrypted = parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK_NAMES)
    return bool(host) and "@" not in parts.netloc and is_encrypted


def _provider(key: str, section: Any, environ: Mapping[str, str]) -> Provider:
    where = f"has an error in [providers.{key[:40]}]"
    if not KEY.fullmatch(key):
        raise _file_error(
            f"{where}: the name of a provider has 1 to 32 lower-case letters, digits and hyphens, "
            "and begins with a letter or digit"
        )
    if not isinstance(section, dict):
        raise _file_error(f"{where}: this must be a section")
    _refuse_unknown(where, section, PROVIDER_KEYS)
    issuer = _text(where, section, "issuer", limit=LONGEST_ISSUER)
    if not is_safe_url(issuer) or "?" in issuer:
        raise _file_error(
            f"{where}: issuer must be a URL such as https://login.example.com. Only a provider on "
            "this machine may use http"
        )
    scopes = _texts(where, section, "scopes", default=("openid", "profile", "email"))
    if "openid" not in scopes or any(not re.fullmatch(r"[!#-\[\]-~]+", each) for each in scopes):
        raise _file_error(f"{where}: scopes must be a list of valid scopes, one of which is openid")
    authentication = _text(where, section, "client_authentication", default="")
    if authentication not in {"", *AUTHENTICATIONS}:
        raise _file_error(f"{where}: client_authentication must be {' or '.join(AUTHENTICATIONS)}")
    ca_file = _text(where, section, "ca_file", default="", limit=4096)
    if ca_file and not Path(ca_file).is_file():
        raise _file_error(f"{where}: the file named by ca_file does not exist")
    return Provider(
        key=key,
        label=_text(where, section, "label", limit=64),
        issuer=issuer,
        client_id=_text(where, section, "client_id"),
        client_secret=_client_secret(where, section, environ),
        scopes=scopes,
        client_authentication=authentication,
        ca_file=ca_file,
        second_factor=_second_factor(where, section.get("second_factor", {})),
        roles=_rules(key, section.get("roles", [])),
    )


def _client_secret(where: str, section: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    """Return the secret from a file or an environment variable, or '' for a public client."""
    file = _text(where, section, "client_secret_file", default="", limit=4096)
    name = _text(where, section, "client_secret_env", default="")
    if file and name:
        raise _file_error(f"{where}: set client_secret_file or client_secret_env, not both")
    if name:
        secret = environ.get(name, "").strip()
        if not secret:
            raise _file_error(f"{where}: the environment variable {name} is not set")
    elif file:
        try:
            secret = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise _file_error(f"{where}: client_secret_file cannot be read: {reason}") from None
        if not secret:
            raise _file_error(f"{where}: the file named by client_secret_file is empty")
    else:
        return ""
    if not secret.isprintable():
        raise _file_error(f"{where}: the client secret must be one line of text")
    return secret


def _second_factor(where: str, section: Any) -> SecondFactor:
    if not isinstance(section, dict):
        raise _file_error(f"{where}: second_factor must be a table with amr or acr")
    _refuse_unknown(f"{where}, second_factor", section, frozenset({"amr", "acr"}))
    return SecondFactor(
        amr=frozenset(_texts(where, section, "amr")), acr=frozenset(_texts(where, section, "acr"))
    )


def _rules(key: str, sections: Any) -> tuple[RoleRule, ...]:
    where = f"has an error in [[providers.{key}.roles]]"
    if not isinstance(sections, list) or len(sections) > MAX_RULES:
        raise _file_error(f"{where}: roles must be a list of at most {MAX_RULES} rules")
    return tuple(_rule(f"{where}, rule {n}", each) for n, each in enumerate(sections, start=1))


def _rule(where: str, section: Any) -> RoleRule:
    if not isinstance(section, dict):
        raise _file_error(f"{where}: this must be a section")
    _refuse_unknown(where, section, ROLE_KEYS)
    scope = SCOPE.fullmatch(_text(where, section, "scope"))
    if not scope:
        raise _file_error(
            f"{where}: scope must be /scalr, /account/ACCOUNT or /environment/ACCOUNT/ENVIRONMENT, "
            "as in the URLs of the scope’s pages"
        )
    role = _text(where, section, "role")
    if role not in set(Role):
        raise _file_error(f"{where}: role must be {', '.join(Role)}")
    return RoleRule(
        claim=_text(where, section, "claim"),
        value=_text(where, section, "value"),
        scope=scope["account"] or scope["environment"] or "",
        role=Role(role),
    )


def _text(
    where: str,
    section: Mapping[str, Any],
    name: str,
    *,
    default: str | None = None,
    limit: int = LONGEST_TEXT,
) -> str:
    """Return the setting `name`, a text of one line. Without a default, it is required."""
    value = section.get(name, default)
    if value is None:
        raise _file_error(f"{where}: {name} is missing")
    is_text = isinstance(value, str) and value == value.strip() and value.isprintable()
    if not is_text or len(value) > limit or (not value and default is None):
        raise _file_error(f"{where}: {name} must be a text of 1 to {limit} characters in one line")
    return str(value)


def _texts(
    where: str, section: Mapping[str, Any], name: str, *, default: tuple[str, ...] = ()
) -> tuple[str, ...]:
    value = section.get(name, default)
    is_list = isinstance(value, list | tuple) and len(value) <= 50
    if not is_list or any(not isinstance(each, str) or not each for each in value):
        raise _file_error(f"{where}: {name} must be a list of at most 50 texts")
    return tuple(value)


def _refuse_unknown(where: str, section: Mapping[str, Any], known: frozenset[str]) -> None:
    unknown = sorted(section.keys() - known)
    if unknown:
        raise _file_error(f"{where}: {unknown[0][:40]} is not a setting")


def _file_error(text: str) -> SettingsError:
    return SettingsError(f"The file named by OIDC_PROVIDERS_FILE {text}.")
