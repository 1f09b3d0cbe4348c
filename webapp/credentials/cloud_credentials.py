"""Cloud credentials: owned by a scope, usable there and below, checked against the cloud when
they are saved."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

from peewee import IntegrityError

from models import CloudCredentials, Image, Scope, now, transaction
from webapp import audit
from webapp.access import Actor, Right
from webapp.clouds import CLOUDS
from webapp.clouds.base import Cloud, CredentialValues, Identity, InvalidCredentials
from webapp.credentials.vault import Vault

NAME_LENGTH = 64


class CredentialsError(Exception):
    """A refusal, worded for the person; `field` names the input it is about, '' for none."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


def usable_at(scope: Scope, cloud: str = "") -> list[CloudCredentials]:
    """Those that `scope` owns or inherits, its own first."""
    query = CloudCredentials.select().where(CloudCredentials.usable_at(scope))
    if cloud:
        query = query.where(CloudCredentials.cloud == cloud)
    nearest = [each.id for each in scope.lineage]
    return sorted(query, key=lambda row: (nearest.index(row.scope_id), row.name.lower()))


def owned(actor: Actor, scope: Scope, credentials_id: int) -> CloudCredentials | None:
    """Credentials that `scope` itself owns, for someone who manages them. Raises Forbidden."""
    actor.require(Right.MANAGE_CREDENTIALS, scope)
    row: CloudCredentials | None = CloudCredentials.get_or_none(id=credentials_id, scope=scope)
    return row


def images_of(credentials: CloudCredentials) -> list[Image]:
    """What was registered with them; it stays when they go."""
    return list(Image.select().where(Image.credentials == credentials).order_by(Image.name))


def add(
    actor: Actor,
    scope: Scope,
    vault: Vault,
    cloud_key: str,
    name: str,
    values: Mapping[str, str],
    *,
    checked: bool = True,
) -> CloudCredentials:
    """Raises Forbidden, CredentialsError and, when `checked`, CloudError."""
    actor.require(Right.MANAGE_CREDENTIALS, scope)
    cloud = CLOUDS[cloud_key]
    values = _valid(cloud, values)
    row = CloudCredentials(scope=scope, cloud=cloud.key, name=_valid_name(name))
    vault.store(row, cloud.credential_fields, values)
    if checked:
        _take_identity(row, cloud.check(CredentialValues(values)))
    with _unique_name(scope, row.name), transaction():
        row.save(force_insert=True)
        changes = {field: (None, value) for field, value in row.settings.items() if value}
        audit.record(actor, scope, "credentials.add", row.name, changes=changes)
    return row


def edit(
    actor: Actor,
    row: CloudCredentials,
    vault: Vault,
    name: str,
    values: Mapping[str, str],
    *,
    cleared: Collection[str] = (),
    checked: bool = True,
) -> None:
    """A secret field left empty keeps its value unless it is named in `cleared`. Raises
    Forbidden, CredentialsError, VaultError and, when `checked`, CloudError."""
    actor.require(Right.MANAGE_CREDENTIALS, row.scope)
    cloud = CLOUDS[row.cloud]
    before = vault.reveal(row)
    secret = {field.name for field in cloud.credential_fields if field.secret}
    kept = {
        field: before.get(field, "")
        for field in secret
        if not values.get(field) and field not in cleared
    }
    values = _valid(cloud, {**values, **kept})
    _keep_secrets_home(cloud, before, values, kept)
    changes = audit.difference({"name": row.name, **before}, {"name": _valid_name(name), **values})
    row.name = _valid_name(name)
    vault.store(row, cloud.credential_fields, values)
    if checked:
        _take_identity(row, cloud.check(CredentialValues(values)))
    elif changes.keys() - {"name"}:
        row.account, row.checked_at = "", None
    for field in changes.keys() & secret:
        changes[field] = (audit.SECRET, audit.SECRET)
    with _unique_name(row.scope, row.name), transaction():
        row.save()
        if changes:
            audit.record(actor, row.scope, "credentials.edit", row.name, changes=changes)


def check(actor: Actor, row: CloudCredentials, vault: Vault) -> Identity:
    """Log in with them and remember as whom. Raises Forbidden, VaultError and CloudError."""
    actor.require(Right.MANAGE_CREDENTIALS, row.scope)
    identity = CLOUDS[row.cloud].check(vault.reveal(row))
    _take_identity(row, identity)
    row.save(only=[CloudCredentials.account, CloudCredentials.checked_at])
    return identity


def delete(actor: Actor, row: CloudCredentials) -> None:
    """What was registered with them stays. Raises Forbidden."""
    actor.require(Right.MANAGE_CREDENTIALS, row.scope)
    with transaction():
        audit.record(actor, row.scope, "credentials.delete", row.name)
        row.delete_instance()


def _take_identity(row: CloudCredentials, identity: Identity) -> None:
    row.account = identity.account[: CloudCredentials.account.max_length]
    row.checked_at = now()


def _valid_name(name: str) -> str:
    name = " ".join(name.split())
    if not 1 <= len(name) <= NAME_LENGTH:
        raise CredentialsError(f"Give them a name of 1 to {NAME_LENGTH} characters.", "name")
    return name


def _valid(cloud: Cloud, values: Mapping[str, str]) -> dict[str, str]:
    """The cloud's own fields, blanks cut off, '' where one is not asked for with what the others
    say. Raises CredentialsError for the first wrong one."""
    valid: dict[str, str] = {}
    for field in cloud.credential_fields:
        value = values.get(field.name, "").strip()
        if field.when and valid[field.when[0]] != field.when[1]:
            valid[field.name] = ""
            continue
        if field.options and not value:
            value = field.options[0][0]
        if field.required and not value:
            raise CredentialsError(f"{field.label} is needed.", field.name)
        if value and field.pattern and not re.fullmatch(field.pattern, value):
            message = f"{field.label} is not of the expected form. {field.hint}"
            raise CredentialsError(message.strip(), field.name)
        if field.options and value not in dict(field.options):
            raise CredentialsError(
                f"Choose one of the offered values of {field.label}.", field.name
            )
        if field.name.endswith("_url") and value and not _is_http_url(value):
            raise CredentialsError(f"{field.label} must be an http or https address.", field.name)
        valid[field.name] = value
    try:
        cloud.validate(valid)
    except InvalidCredentials as error:
        raise CredentialsError(str(error), error.field) from error
    return valid


def _keep_secrets_home(
    cloud: Cloud, before: Mapping[str, str], after: Mapping[str, str], kept: Mapping[str, str]
) -> None:
    """Whoever changes the address that secrets are sent to must know them: else an admin could
    have the stored ones sent to a server of their own."""
    for field in cloud.credential_fields:
        moved = field.name.endswith("_url") and before.get(field.name) != after[field.name]
        if moved and after[field.name] and any(kept.values()):
            raise CredentialsError(
                f"Enter the secrets again: {field.label} changed, and they would be sent there.",
                next(name for name, value in kept.items() if value),
            )


def _is_http_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and not parts.username


@contextmanager
def _unique_name(scope: Scope, name: str) -> Iterator[None]:
    """Turns the database's refusal of a second such name in a scope into words."""
    try:
        yield
    except IntegrityError as error:
        message = f"{scope.label} already has credentials named “{name}”."
        raise CredentialsError(message, "name") from error
