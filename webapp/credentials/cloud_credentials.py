"""Store, edit, check and delete cloud credentials.

A scope owns credentials. This scope and the scopes below it can use the credentials.

When a person saves credentials, the registry logs in to the cloud with the credentials. The person
can skip this check.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from peewee import Case, IntegrityError, fn

from models import CloudCredentials, Image, Scope, load_scopes, now, transaction
from webapp import audit
from webapp.access import Actor, Right
from webapp.clouds import CLOUDS
from webapp.clouds.base import Cloud
from webapp.clouds.credentials import CredentialValues, Field, Identity
from webapp.clouds.errors import InvalidCredentials
from webapp.credentials.vault import Vault
from webapp.people import scopes
from webapp.refusals import Refusal
from webapp.revisions.conflicts import (
    RecordDeleted,
    lock,
    require_no_conflict,
    require_unchanged,
)
from webapp.values.lists import FirstRows, find
from webapp.values.text import LineRule, character_problem
from webapp.values.urls import InvalidUrl, parse_server_url

NAME_LENGTH = 64
EDIT_ATTEMPTS = 3
"""The maximum number of attempts to save an edit.

An attempt fails if somebody saves another change while the registry waits for the cloud.
"""


class CredentialsError(Refusal):
    """The credentials cannot be saved or checked.

    `field` is the name of the field with the error, or ''.
    """


NAME = LineRule("name", NAME_LENGTH, 1, "name", CredentialsError)


def usable_at(scope: Scope, cloud: str = "") -> list[CloudCredentials]:
    """Return the credentials that `scope` can use.

    If `cloud` is not '', return only the credentials for this cloud.

    The credentials that `scope` owns come first, then the inherited credentials, from the nearest
    scope to the highest. The credentials of each scope are sorted by name.
    """
    query = CloudCredentials.select().where(CloudCredentials.usable_at(scope))
    if cloud:
        query = query.where(CloudCredentials.cloud == cloud)
    lineage = [each.id for each in scope.lineage]
    return sorted(query, key=lambda row: (lineage.index(row.scope_id), row.name.lower()))


def find_usable_at(scope: Scope, text: str = "") -> FirstRows[CloudCredentials]:
    """Return the first credentials that `scope` can use, in the order of `usable_at`.

    If `text` is not empty, return only credentials whose name or cloud account contains `text`.
    """
    distance = Case(CloudCredentials.scope, [(each.id, n) for n, each in enumerate(scope.lineage)])
    query = CloudCredentials.select().where(CloudCredentials.usable_at(scope))
    query = query.order_by(distance, fn.LOWER(CloudCredentials.name), CloudCredentials.id)
    found = find(query, text, CloudCredentials.name, CloudCredentials.account)
    load_scopes(found.rows)
    return found


def find_owned(actor: Actor, scope: Scope, credentials_id: int) -> CloudCredentials | None:
    """Return the credentials with this ID if `scope` itself owns them, or else None.

    Raises Forbidden unless the actor may manage credentials at `scope`.
    """
    actor.require(Right.MANAGE_CREDENTIALS, scope)
    row: CloudCredentials | None = CloudCredentials.get_or_none(id=credentials_id, scope=scope)
    return row


def images_using(credentials: CloudCredentials, size: int = 20) -> FirstRows[Image]:
    """Return the first images that refer to these credentials."""
    query = Image.select(Image.id, Image.name, Image.scope)
    found = find(query.where(Image.credentials == credentials).order_by(Image.id), size=size)
    load_scopes(found.rows)
    return found


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
    row = prepare(actor, scope, vault, cloud_key, name, values, checked=checked)
    save_prepared(actor, row, vault)
    return row


def prepare(
    actor: Actor,
    scope: Scope,
    vault: Vault,
    cloud_key: str,
    name: str,
    values: Mapping[str, str],
    *,
    checked: bool,
) -> CloudCredentials:
    """Return new credentials for `save_prepared`. If `checked`, log in to the cloud first.

    Raises Forbidden, CredentialsError and, if `checked`, CloudError.
    """
    actor.require(Right.MANAGE_CREDENTIALS, scope)
    cloud = CLOUDS[cloud_key]
    values = _valid_values(cloud, values)
    row = CloudCredentials(scope=scope, cloud=cloud.key, name=NAME.parse(name))
    vault.store(row, cloud.credential_fields, values)
    if checked:
        _set_identity(row, cloud.check(CredentialValues(values, scope.account_path)))
    return row


def save_prepared(actor: Actor, row: CloudCredentials, vault: Vault) -> None:
    """Store the new credentials `row` from `prepare`. Raises CredentialsError."""
    with _unique_name(row.scope, row.name), transaction():
        row.save(force_insert=True)
        vault.bind(row)
        changes = {field: (None, value) for field, value in row.settings.items() if value}
        audit.record(actor, row.scope, "credentials.add", row.name, record=row, changes=changes)


def edit(
    actor: Actor,
    row: CloudCredentials,
    vault: Vault,
    name: str,
    values: Mapping[str, str],
    *,
    cleared: Collection[str] = (),
    checked: bool = True,
    based_on: int | None = None,
) -> None:
    """Change stored credentials. If `checked`, log in to the cloud first.

    If a secret field is empty in `values`, its stored secret does not change. But if `cleared`
    contains the name of the field, the stored secret is removed. If the vault cannot use the stored
    secrets, all of them are removed, so the required secrets must be in `values`. `based_on` is the
    revision that the person saw. If it is None, the revision of `row` is used. Raises Forbidden,
    CredentialsError, RecordDeleted, EditConflict and, if `checked`, CloudError.
    """
    actor.require(Right.MANAGE_CREDENTIALS, row.scope)
    based_on = row.revision if based_on is None else based_on
    cloud = CLOUDS[row.cloud]
    for _ in range(EDIT_ATTEMPTS):
        if not row.reload():
            raise RecordDeleted(row)
        edited = _prepare_edit(cloud, row, vault, NAME.parse(name), values, cleared)
        require_no_conflict(row, based_on, edited.theirs, edited.yours)
        sent_values = CredentialValues(edited.values, row.scope.account_path)
        identity = cloud.check(sent_values) if checked else None
        if _save_edit(actor, row, vault, edited, identity):
            return
        # Somebody saved a change while the registry waited for the cloud. Compare the edit with
        # this change.
    raise CredentialsError("These credentials are being changed. Try again in a moment.")


@dataclass(frozen=True)
class _Edited:
    """The effect of an edit on the credentials at `revision`.

    `values` contains all fields after the edit. `theirs` contains the stored values and `yours` the
    new values, which `webapp.revisions` compares. In `theirs`, each secret is ''. In `yours`, a
    secret is '' if it does not change, None if it is removed, or else the new secret.
    """

    revision: int
    name: str
    values: Mapping[str, str]
    changes: audit.Changes
    theirs: Mapping[str, str | None]
    yours: Mapping[str, str | None]


def _prepare_edit(
    cloud: Cloud,
    row: CloudCredentials,
    vault: Vault,
    name: str,
    entered: Mapping[str, str],
    cleared: Collection[str],
) -> _Edited:
    """Return the effect of an edit, without saving it. Raises CredentialsError."""
    before: Mapping[str, str] = row.settings if vault.problem_of(row) else vault.reveal(row)
    secret_names = [field.name for field in cloud.credential_fields if field.secret]
    reused_secrets = {
        name: before.get(name, "")
        for name in secret_names
        if not entered.get(name) and name not in cleared
    }
    values = _valid_values(cloud, {**entered, **reused_secrets})
    _require_secrets_for_new_server(cloud, before, values, reused_secrets)
    changes = audit.difference({"name": row.name, **before}, {"name": name, **values})
    for secret_name in changes.keys() & set(secret_names):
        changes[secret_name] = (audit.SECRET, audit.SECRET)
    new_secrets = {
        name: None if name in cleared else entered.get(name, "") for name in secret_names
    }
    return _Edited(
        row.revision,
        name,
        values,
        changes,
        theirs={
            "name": row.name,
            **{field: before.get(field, "") for field in values},
            **dict.fromkeys(secret_names, ""),
        },
        yours={"name": name, **values, **new_secrets},
    )


def _save_edit(
    actor: Actor, row: CloudCredentials, vault: Vault, edited: _Edited, identity: Identity | None
) -> bool:
    """Save an edit. Return False if the row no longer has the revision `edited.revision`."""
    with _unique_name(row.scope, edited.name), transaction():
        lock(row)
        if row.revision != edited.revision:
            return False
        row.name = edited.name
        vault.store(row, CLOUDS[row.cloud].credential_fields, edited.values)
        if identity is not None:
            _set_identity(row, identity)
        elif edited.changes.keys() - {"name"}:
            # The last check was made with other values.
            row.account, row.checked_at = "", None
        row.save()
        if edited.changes:
            audit.record(
                actor,
                row.scope,
                "credentials.edit",
                row.name,
                record=row,
                changes=edited.changes,
            )
    return True


def check(actor: Actor, row: CloudCredentials, vault: Vault) -> Identity:
    """Log in to the cloud with stored credentials. Save the cloud account and return the identity.

    Raises Forbidden, CredentialsError, RecordDeleted, VaultError and CloudError.
    """
    login = log_in(actor, row, vault)
    save_login(row, login)
    return login.identity


@dataclass(frozen=True)
class Login:
    """A successful login to a cloud, with the values of the credentials at that time."""

    identity: Identity
    settings: Mapping[str, str]
    secrets: str


def log_in(actor: Actor, row: CloudCredentials, vault: Vault) -> Login:
    """Log in to the cloud with stored credentials. Raises Forbidden, VaultError and CloudError."""
    actor.require(Right.MANAGE_CREDENTIALS, row.scope)
    settings, secrets = row.settings, row.secrets
    return Login(CLOUDS[row.cloud].check(vault.reveal(row)), settings, secrets)


def save_login(row: CloudCredentials, login: Login) -> None:
    """Save the cloud account of a login. Raises CredentialsError and RecordDeleted."""
    with transaction():
        lock(row)
        if (row.settings, row.secrets) != (login.settings, login.secrets):
            raise CredentialsError(
                "The credentials were changed during the check. Check them again."
            )
        _set_identity(row, login.identity)
        row.save(only=[CloudCredentials.account, CloudCredentials.checked_at])


def start_deletion(actor: Actor, row: CloudCredentials, based_on: int | None = None) -> Scope:
    """Hide credentials from everybody. Return the hidden scope to pass to `scopes.delete_chunk`.

    Images that were registered with the credentials are not deleted, but their references to the
    credentials must be removed. There may be many references, so the credentials move to a hidden
    scope, which is then deleted in chunks like any other scope.

    `based_on` is the revision that the person saw. If it is None, the revision of `row` is used.
    Raises Forbidden, RecordDeleted and EditConflict.
    """
    actor.require(Right.MANAGE_CREDENTIALS, row.scope)
    based_on = row.revision if based_on is None else based_on
    with transaction():
        lock(row)
        require_unchanged(row, based_on)
        audit.record(actor, row.scope, "credentials.delete", row.name, record=row)
        row.scope = scopes.create_hidden(row.scope, f"credentials-{row.id}")
        row.save(only=[CloudCredentials.scope])
    return row.scope


def _set_identity(row: CloudCredentials, identity: Identity) -> None:
    row.account = identity.account[: CloudCredentials.account.max_length]
    row.checked_at = now()


def _valid_values(cloud: Cloud, values: Mapping[str, str]) -> dict[str, str]:
    """Return a value for each credential field of the cloud, without surrounding whitespace.

    Some fields apply only if another field has a certain value (`Field.when`). If a field does not
    apply, its value is ''. Raises CredentialsError for the first invalid value.
    """
    valid: dict[str, str] = {}
    for field in cloud.credential_fields:
        value = values.get(field.name, "").strip()
        if field.when and valid[field.when[0]] != field.when[1]:
            valid[field.name] = ""
            continue
        if field.options and not value:
            value = field.options[0][0]
        valid[field.name] = _valid_value(field, value)
    try:
        cloud.validate(valid)
        cloud.require_encryption(valid)
    except InvalidCredentials as error:
        raise CredentialsError(str(error), error.field) from error
    return valid


def _valid_value(field: Field, value: str) -> str:
    """Return the value as it is stored. Raises CredentialsError."""
    if field.required and not value:
        raise CredentialsError(f"{field.label} is required.", field.name)
    if value and field.pattern and not re.fullmatch(field.pattern, value):
        message = f"{field.label} doesn’t have the expected format. {field.hint}"
        raise CredentialsError(message.strip(), field.name)
    if field.options and value not in dict(field.options):
        message = f"Choose one of the listed values for {field.label}."
        raise CredentialsError(message, field.name)
    if problem := character_problem(value, field.label):
        raise CredentialsError(problem, field.name)
    if not field.multiline and len(value.splitlines()) > 1:
        raise CredentialsError(f"Enter the {field.label} as one line of text.", field.name)
    if field.name.endswith("_url") and value:
        try:
            return parse_server_url(value, field.label)
        except InvalidUrl as error:
            raise CredentialsError(error.message, field.name) from error
    return value


def _require_secrets_for_new_server(
    cloud: Cloud,
    before: Mapping[str, str],
    after: Mapping[str, str],
    reused_secrets: Mapping[str, str],
) -> None:
    """Raise CredentialsError if stored secrets might be sent to a different server.

    A new URL names another server. If somebody changes a field that identifies the server, such as
    the CA certificate, another server can pretend to be the same server. Without this check, an
    admin could make the registry send secrets, which the admin does not know, to a server that the
    admin controls. The check ignores a URL that is removed, because the secrets are then sent to
    the cloud itself.
    """
    for field in cloud.credential_fields:
        changed = before.get(field.name, "") != after[field.name]
        is_new_url = field.name.endswith("_url") and bool(after[field.name])
        if changed and (is_new_url or field.identifies_server) and any(reused_secrets.values()):
            raise CredentialsError(
                f"Enter the secrets again. You changed “{field.label}”, which determines the "
                "server that receives them.",
                next(name for name, value in reused_secrets.items() if value),
            )


@contextmanager
def _unique_name(scope: Scope, name: str) -> Iterator[None]:
    """Raise CredentialsError if the database refuses the name as a duplicate."""
    try:
        yield
    except IntegrityError as error:
        message = f"{scope.label} already has credentials named “{name}”. Choose another name."
        raise CredentialsError(message, "name") from error
