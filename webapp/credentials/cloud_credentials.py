"""Cloud credentials. A scope owns them; this scope and the scopes below it can use them.

Credentials are checked when they are saved, unless the person skips the check: the registry logs
in to the cloud with them.
"""

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
from webapp.refusals import Refusal

NAME_LENGTH = 64


class CredentialsError(Refusal):
    """The credentials cannot be saved like this.

    `field` is 'name' or the name of a credential field.
    """


def usable_at(scope: Scope, cloud: str = "") -> list[CloudCredentials]:
    """Return the credentials that `scope` owns, then those that it inherits, nearest first."""
    query = CloudCredentials.select().where(CloudCredentials.usable_at(scope))
    if cloud:
        query = query.where(CloudCredentials.cloud == cloud)
    lineage = [each.id for each in scope.lineage]
    return sorted(query, key=lambda row: (lineage.index(row.scope_id), row.name.lower()))


def find_owned(actor: Actor, scope: Scope, credentials_id: int) -> CloudCredentials | None:
    """Return credentials that `scope` itself owns, or None if it owns none with this ID.

    Raises Forbidden unless the actor may manage them.
    """
    actor.require(Right.MANAGE_CREDENTIALS, scope)
    row: CloudCredentials | None = CloudCredentials.get_or_none(id=credentials_id, scope=scope)
    return row


def images_using(credentials: CloudCredentials) -> list[Image]:
    """Return the images that were registered with these credentials, by name."""
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
    """Add credentials to `scope` and return them. If `checked`, log in to the cloud first.

    Raises Forbidden, CredentialsError and, if `checked`, CloudError.
    """
    actor.require(Right.MANAGE_CREDENTIALS, scope)
    cloud = CLOUDS[cloud_key]
    values = _valid_values(cloud, values)
    row = CloudCredentials(scope=scope, cloud=cloud.key, name=_valid_name(name))
    vault.store(row, cloud.credential_fields, values)
    if checked:
        _set_identity(row, cloud.check(CredentialValues(values)))
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
    """Change stored credentials. If `checked`, log in to the cloud first.

    If a secret field is empty in `values`, its stored secret does not change, unless `cleared` has
    the name of the field. Raises Forbidden, CredentialsError, VaultError and, if `checked`,
    CloudError.
    """
    actor.require(Right.MANAGE_CREDENTIALS, row.scope)
    cloud = CLOUDS[row.cloud]
    before = vault.reveal(row)
    secret_names = {field.name for field in cloud.credential_fields if field.secret}
    reused_secrets = {
        name: before.get(name, "")
        for name in secret_names
        if not values.get(name) and name not in cleared
    }
    values = _valid_values(cloud, {**values, **reused_secrets})
    _require_secrets_for_new_url(cloud, before, values, reused_secrets)
    changes = audit.difference({"name": row.name, **before}, {"name": _valid_name(name), **values})
    row.name = _valid_name(name)
    vault.store(row, cloud.credential_fields, values)
    if checked:
        _set_identity(row, cloud.check(CredentialValues(values)))
    elif changes.keys() - {"name"}:
        # The result of the last check does not apply to the new values.
        row.account, row.checked_at = "", None
    for secret_name in changes.keys() & secret_names:
        changes[secret_name] = (audit.SECRET, audit.SECRET)
    with _unique_name(row.scope, row.name), transaction():
        row.save()
        if changes:
            audit.record(actor, row.scope, "credentials.edit", row.name, changes=changes)


def check(actor: Actor, row: CloudCredentials, vault: Vault) -> Identity:
    """Log in to the cloud with stored credentials, and save the account to which they belong.

    Raises Forbidden, VaultError and CloudError.
    """
    actor.require(Right.MANAGE_CREDENTIALS, row.scope)
    identity = CLOUDS[row.cloud].check(vault.reveal(row))
    _set_identity(row, identity)
    row.save(only=[CloudCredentials.account, CloudCredentials.checked_at])
    return identity


def delete(actor: Actor, row: CloudCredentials) -> None:
    """Delete credentials. Images that were registered with them stay. Raises Forbidden."""
    actor.require(Right.MANAGE_CREDENTIALS, row.scope)
    with transaction():
        audit.record(actor, row.scope, "credentials.delete", row.name, record=row)
        # The database would also remove the references, but it would not increment the revisions.
        Image.update_all(credentials=None).where(Image.credentials == row).execute()
        row.delete_instance()


def _set_identity(row: CloudCredentials, identity: Identity) -> None:
    row.account = identity.account[: CloudCredentials.account.max_length]
    row.checked_at = now()


def _valid_name(name: str) -> str:
    name = " ".join(name.split())
    if not 1 <= len(name) <= NAME_LENGTH:
        raise CredentialsError(f"Enter a name with 1 to {NAME_LENGTH} characters.", "name")
    return name


def _valid_values(cloud: Cloud, values: Mapping[str, str]) -> dict[str, str]:
    """Return a value for each credential field of the cloud, without surrounding whitespace.

    A field can apply only while another field has a certain value (`Field.when`). If the field
    does not apply, its value is ''. Raises CredentialsError for the first invalid value.
    """
    valid: dict[str, str] = {}
    for field in cloud.credential_fields:
        value = values.get(field.name, "").strip()
        if field.when and valid[field.when[0]] != field.when[1]:
            valid[field.name] = ""
            continue
        if field.options and not value:
            value = field.options[0][0]
        if field.required and not value:
            raise CredentialsError(f"{field.label} is required.", field.name)
        if value and field.pattern and not re.fullmatch(field.pattern, value):
            message = f"{field.label} doesn’t have the expected format. {field.hint}"
            raise CredentialsError(message.strip(), field.name)
        if field.options and value not in dict(field.options):
            message = f"Choose one of the listed values for {field.label}."
            raise CredentialsError(message, field.name)
        if field.name.endswith("_url") and value and not _is_http_url(value):
            raise CredentialsError(f"{field.label} must be an http:// or https:// URL.", field.name)
        valid[field.name] = value
    try:
        cloud.validate(valid)
    except InvalidCredentials as error:
        raise CredentialsError(str(error), error.field) from error
    return valid


def _require_secrets_for_new_url(
    cloud: Cloud,
    before: Mapping[str, str],
    after: Mapping[str, str],
    reused_secrets: Mapping[str, str],
) -> None:
    """Raise CredentialsError if stored secrets would be sent to a new URL.

    Without this check, an admin could enter the URL of their own server and so receive secrets
    that they do not know.
    """
    for field in cloud.credential_fields:
        changed = field.name.endswith("_url") and before.get(field.name) != after[field.name]
        if changed and after[field.name] and any(reused_secrets.values()):
            raise CredentialsError(
                f"Enter the secrets again, because they will be sent to the new {field.label}.",
                next(name for name, value in reused_secrets.items() if value),
            )


def _is_http_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and not parts.username


@contextmanager
def _unique_name(scope: Scope, name: str) -> Iterator[None]:
    """Raise CredentialsError if the database refuses the name as a duplicate."""
    try:
        yield
    except IntegrityError as error:
        message = f"{scope.label} already has credentials named “{name}”. Choose another name."
        raise CredentialsError(message, "name") from error
