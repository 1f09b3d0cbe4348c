"""Cloud credentials. The API accepts their secrets, and never returns them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from flask import g
from msgspec import UNSET, Meta, Struct, UnsetType

from models import CloudCredentials
from webapp.access import Forbidden, Right
from webapp.api.credentials_choice import require_cloud
from webapp.api.image_documents import ScopeReference
from webapp.api.job_documents import JobReference, accepted
from webapp.api.operations import Answer, operation
from webapp.api.preconditions import require_current
from webapp.api.problems import LONGEST_ECHO, ApiProblem, invalid_value
from webapp.api.urls import api_url, scope_path
from webapp.clouds import CLOUDS
from webapp.clouds.base import Cloud
from webapp.clouds.messages import shorten
from webapp.credentials import cloud_credentials
from webapp.credentials.cloud_credentials import Login
from webapp.jobs import scope_deletion
from webapp.monitoring import masking
from webapp.web.services import services

TAG = "Credentials"
CLOUD_PROBLEMS = ("conflict", "cloud-refused", "cloud-busy", "cloud-unreachable")


class Credentials(Struct):
    """Cloud credentials, without their secrets."""

    id: int
    name: str
    cloud: str
    account: Annotated[
        str, Meta(description="The account in the cloud, according to the last check, or ''.")
    ]
    checked_at: datetime | None
    scope: ScopeReference
    values: Annotated[
        dict[str, str] | None,
        Meta(description="The values that aren’t secret. Null unless the token may change them."),
    ]
    revision: Annotated[int, Meta(description="Increases with each change. The ETag contains it.")]


class ListedCredentials(Credentials):
    """Cloud credentials in a list."""

    problem: Annotated[str, Meta(description="Why the secrets can’t be used, or ''.")]


class CredentialsList(Struct):
    """The first credentials that a scope can use, and the total number of usable credentials."""

    items: list[ListedCredentials]
    total: int


class CredentialsQuery(Struct, forbid_unknown_fields=True):
    """The parameters of the list of credentials."""

    q: Annotated[str, Meta(description="A part of the name or of the account in the cloud.")] = ""


class NewCredentials(Struct, forbid_unknown_fields=True):
    """The credentials to add."""

    cloud: Annotated[
        str, Meta(description="The key of a cloud.", extra_json_schema={"enum": list(CLOUDS)})
    ]
    name: str
    values: Annotated[
        dict[str, str], Meta(description="The values that `GET /clouds` lists for the cloud.")
    ]
    check: Annotated[bool, Meta(description="Whether to log in to the cloud before saving.")] = True


class CredentialsEdit(Struct, forbid_unknown_fields=True):
    """The values to change. Values that are left out, including secrets, stay as they are."""

    name: str | UnsetType = UNSET
    values: Annotated[
        dict[str, str | None],
        Meta(description="Null removes a value. A secret that is left out stays as it is."),
    ] = {}
    check: Annotated[bool, Meta(description="Whether to log in to the cloud before saving.")] = True


@operation("GET /credentials", tag=TAG, right=Right.LIST_CREDENTIALS)
def list_credentials(query: CredentialsQuery) -> Answer[CredentialsList]:
    """List the credentials that a scope owns or inherits, at most 100."""
    found = cloud_credentials.find_usable_at(g.scope, query.q)
    return Answer(CredentialsList([_list_item(each) for each in found.rows], found.total))


@operation("GET /credentials/<int:credentials_id>", tag=TAG, right=Right.LIST_CREDENTIALS)
def get_credentials(credentials_id: int) -> Answer[Credentials]:
    """Get credentials that a scope owns or inherits."""
    row = _find_usable(credentials_id)
    return Answer(_document(row), revision=row.revision)


def _prepare_new(body: NewCredentials) -> CloudCredentials:
    """Return the unsaved credentials. If `check` is true, log in to the cloud with them first."""
    require_cloud("cloud", body.cloud)
    cloud = CLOUDS[body.cloud]
    with masking.masked(_secrets_in(cloud, body.values)):
        _require_known_values(cloud, body.values)
        return cloud_credentials.prepare(
            g.actor,
            g.scope,
            services().vault,
            cloud.key,
            body.name,
            body.values,
            checked=body.check,
        )


@operation(
    "POST /credentials",
    tag=TAG,
    right=Right.MANAGE_CREDENTIALS,
    statuses=(201,),
    problems=CLOUD_PROBLEMS,
    prepare=_prepare_new,
)
def add_credentials(body: NewCredentials, prepared: CloudCredentials) -> Answer[Credentials]:
    """Add credentials to a scope.

    Unless `check` is false, the registry logs in to the cloud with the credentials before it saves
    them.
    """
    row = prepared
    with masking.masked(_secrets_in(CLOUDS[row.cloud], body.values)):
        cloud_credentials.save_prepared(g.actor, row, services().vault)
    url = api_url(f"{scope_path(g.scope.level, g.scope.path)}/credentials/{row.id}")
    return Answer(_document(row), 201, {"Location": url}, row.revision)


@operation(
    "PATCH /credentials/<int:credentials_id>",
    tag=TAG,
    right=Right.MANAGE_CREDENTIALS,
    if_match="required",
    problems=CLOUD_PROBLEMS,
)
def edit_credentials(credentials_id: int, body: CredentialsEdit) -> Answer[Credentials]:
    """Change credentials.

    If the change makes the registry connect to another server, all secrets must be sent again.
    """
    row = _find_owned(credentials_id)
    require_current(row)
    cloud = CLOUDS[row.cloud]
    secret_names = {field.name for field in cloud.credential_fields if field.secret}
    entered = {name: value or "" for name, value in body.values.items()}
    cleared = [name for name in secret_names if name in body.values and not body.values[name]]
    with masking.masked(_secrets_in(cloud, entered)):
        _require_known_values(cloud, entered)
        cloud_credentials.edit(
            g.actor,
            row,
            services().vault,
            row.name if body.name is UNSET else body.name,
            {**row.settings, **entered},
            cleared=cleared,
            checked=body.check,
        )
    return Answer(_document(row), revision=row.revision)


def _log_in(credentials_id: int) -> tuple[CloudCredentials, Login]:
    row = _find_owned(credentials_id)
    return row, cloud_credentials.log_in(g.actor, row, services().vault)


@operation(
    "POST /credentials/<int:credentials_id>/check",
    tag=TAG,
    right=Right.MANAGE_CREDENTIALS,
    problems=(*CLOUD_PROBLEMS, "credentials-unreadable"),
    prepare=_log_in,
)
def check_credentials(
    credentials_id: int,  # noqa: ARG001  a value of the path
    prepared: tuple[CloudCredentials, Login],
) -> Answer[Credentials]:
    """Log in to the cloud with stored credentials."""
    row, login = prepared
    cloud_credentials.save_login(row, login)
    return Answer(_document(row), revision=row.revision)


@operation(
    "DELETE /credentials/<int:credentials_id>",
    tag=TAG,
    right=Right.MANAGE_CREDENTIALS,
    statuses=(202,),
    if_match="required",
    problems=("conflict",),
)
def delete_credentials(credentials_id: int) -> Answer[JobReference]:
    """Delete credentials. Images that use them stay."""
    row = _find_owned(credentials_id)
    require_current(row)
    revision = row.revision
    return accepted(
        scope_deletion.delete_credentials(g.actor, row, services().vault, based_on=revision)
    )


def _find_usable(credentials_id: int) -> CloudCredentials:
    for row in cloud_credentials.usable_at(g.scope):
        if row.id == credentials_id:
            return row
    raise ApiProblem("not-found")


def _find_owned(credentials_id: int) -> CloudCredentials:
    """Return credentials that the scope owns. Raises ApiProblem and Forbidden."""
    row = _find_usable(credentials_id)
    if row.scope_id != g.scope.id:
        raise Forbidden(Right.MANAGE_CREDENTIALS, row.scope)
    row.scope = g.scope
    return row


def _secrets_in(cloud: Cloud, values: Mapping[str, str]) -> list[str]:
    names = {field.name for field in cloud.credential_fields if field.secret}
    return [value for name, value in values.items() if name in names]


def _require_known_values(cloud: Cloud, values: Mapping[str, str]) -> None:
    """Raise ApiProblem if a name in `values` is not the name of a credential field of the cloud."""
    names = [field.name for field in cloud.credential_fields]
    for name in values:
        if name not in names:
            message = f"{cloud.label} has no value with this name. Use: {', '.join(names)}."
            raise invalid_value(shorten(name, LONGEST_ECHO), message)


def _list_item(row: CloudCredentials) -> ListedCredentials:
    problem = services().vault.problem_of(row)
    return ListedCredentials(**_values_of(row), problem=problem.message if problem else "")


def _document(row: CloudCredentials) -> Credentials:
    return Credentials(**_values_of(row))


def _values_of(row: CloudCredentials) -> dict[str, Any]:
    owner = next(each for each in g.scope.lineage if each.id == row.scope_id)
    may_change = row.scope_id == g.scope.id and g.actor.may(Right.MANAGE_CREDENTIALS, g.scope)
    return {
        "id": row.id,
        "name": row.name,
        "cloud": row.cloud,
        "account": row.account,
        "checked_at": row.checked_at,
        "scope": ScopeReference(owner.level.value, owner.path),
        "values": dict(row.settings) if may_change else None,
        "revision": row.revision,
    }
