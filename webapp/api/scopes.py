"""List the scopes that a token sees, and manage the scopes directly below a scope."""

from __future__ import annotations

from typing import Annotated

from flask import g
from msgspec import Meta, Struct

from models import Level, Scope
from webapp.access import Right
from webapp.api.job_documents import JobReference, accepted
from webapp.api.operations import Answer, operation
from webapp.api.preconditions import matching
from webapp.api.problems import ApiProblem
from webapp.api.urls import api_url, page_url, scope_path
from webapp.jobs import scope_deletion
from webapp.people import scopes
from webapp.web.services import services

TAG = "Scopes"
LARGEST_LIST = 200
LEVELS_WITH_ACCOUNTS = (Level.SCALR,)
"""The levels of the scopes that contain accounts."""
LEVELS_WITH_ENVIRONMENTS = (Level.ACCOUNT,)
"""The levels of the scopes that contain environments."""


class ScopeDocument(Struct):
    """A scope."""

    level: Annotated[str, Meta(description="`scalr`, `account` or `environment`.")]
    path: Annotated[
        str,
        Meta(
            description="'' for the Scalr scope. For other scopes, for example `acme` or "
            "`acme/production`."
        ),
    ]
    name: str
    label: Annotated[str, Meta(description="The name as pages show it.")]
    role: Annotated[str, Meta(description="The role of the token: `viewer`, `editor`, `admin`.")]
    revision: Annotated[int, Meta(description="Increases with each change. The ETag contains it.")]
    url: Annotated[str, Meta(description="The URLs of the scope’s records begin with this URL.")]
    web_url: str


class ScopeList(Struct):
    """The first scopes, and the number of all scopes."""

    items: list[ScopeDocument]
    total: int


class ScopeQuery(Struct, forbid_unknown_fields=True):
    """The parameters of a list of scopes."""

    q: Annotated[str, Meta(description="A part of the name or of the path.")] = ""


class ScopeName(Struct, forbid_unknown_fields=True):
    """The name of a scope."""

    name: str


class Confirmation(Struct, forbid_unknown_fields=True):
    """Confirms that a scope is to be deleted."""

    name: Annotated[str, Meta(description="The name of the scope, as a confirmation.")]


@operation("GET /scopes", tag=TAG, levels=())
def list_scopes(query: ScopeQuery) -> Answer[ScopeList]:
    """List the scopes that the token sees, at most 200."""
    found = scopes.visible_to(g.actor, query.q, LARGEST_LIST)
    return Answer(ScopeList([_document(each) for each in found.rows], found.total))


@operation("GET /accounts", tag=TAG, right=Right.MANAGE_SCOPES, levels=LEVELS_WITH_ACCOUNTS)
def list_accounts(query: ScopeQuery) -> Answer[ScopeList]:
    """List the accounts, at most 100."""
    return _list(query)


@operation("GET /environments", tag=TAG, right=Right.MANAGE_SCOPES, levels=LEVELS_WITH_ENVIRONMENTS)
def list_environments(query: ScopeQuery) -> Answer[ScopeList]:
    """List the environments of an account, at most 100."""
    return _list(query)


@operation(
    "POST /accounts",
    tag=TAG,
    right=Right.MANAGE_SCOPES,
    levels=LEVELS_WITH_ACCOUNTS,
    statuses=(201,),
)
def create_account(body: ScopeName) -> Answer[ScopeDocument]:
    """Create an account."""
    return _create(body)


@operation(
    "POST /environments",
    tag=TAG,
    right=Right.MANAGE_SCOPES,
    levels=LEVELS_WITH_ENVIRONMENTS,
    statuses=(201,),
)
def create_environment(body: ScopeName) -> Answer[ScopeDocument]:
    """Create an environment."""
    return _create(body)


@operation(
    "PATCH /accounts/<slug>",
    tag=TAG,
    right=Right.MANAGE_SCOPES,
    levels=LEVELS_WITH_ACCOUNTS,
    if_match="optional",
    problems=("conflict",),
)
def rename_account(slug: str, body: ScopeName) -> Answer[ScopeDocument]:
    """Rename an account. Its path stays as it is."""
    return _rename(slug, body)


@operation(
    "PATCH /environments/<slug>",
    tag=TAG,
    right=Right.MANAGE_SCOPES,
    levels=LEVELS_WITH_ENVIRONMENTS,
    if_match="optional",
    problems=("conflict",),
)
def rename_environment(slug: str, body: ScopeName) -> Answer[ScopeDocument]:
    """Rename an environment. Its path stays as it is."""
    return _rename(slug, body)


@operation(
    "POST /accounts/<slug>/delete",
    tag=TAG,
    right=Right.MANAGE_SCOPES,
    levels=LEVELS_WITH_ACCOUNTS,
    statuses=(202,),
)
def delete_account(slug: str, body: Confirmation) -> Answer[JobReference]:
    """Delete an account with everything in it. This cannot be undone."""
    return _delete(slug, body)


@operation(
    "POST /environments/<slug>/delete",
    tag=TAG,
    right=Right.MANAGE_SCOPES,
    levels=LEVELS_WITH_ENVIRONMENTS,
    statuses=(202,),
)
def delete_environment(slug: str, body: Confirmation) -> Answer[JobReference]:
    """Delete an environment with everything in it. This cannot be undone."""
    return _delete(slug, body)


def _list(query: ScopeQuery) -> Answer[ScopeList]:
    found = scopes.child_scopes(g.scope, query.q)
    return Answer(ScopeList([_document(each) for each in found.rows], found.total))


def _create(body: ScopeName) -> Answer[ScopeDocument]:
    document = _document(scopes.create(g.actor, g.scope, body.name))
    return Answer(document, 201, {"Location": document.url}, document.revision)


def _rename(slug: str, body: ScopeName) -> Answer[ScopeDocument]:
    child = _child(slug)
    with matching(child):
        scopes.rename(g.actor, child, body.name)
    return Answer(_document(child), revision=child.revision)


def _delete(slug: str, body: Confirmation) -> Answer[JobReference]:
    child = _child(slug)
    return accepted(scope_deletion.delete_scope(g.actor, child, services().vault, body.name))


def _child(slug: str) -> Scope:
    """Return a scope directly below the current scope. Raises ApiProblem (404).

    `slug` is the last part of the path of the scope.
    """
    child = Scope.at(f"{g.scope.path}/{slug}".lstrip("/"))
    if child is None or child.parent_id != g.scope.id:
        raise ApiProblem("not-found")
    return child


def _document(scope: Scope) -> ScopeDocument:
    role = g.actor.role_at(scope)
    path = scope_path(scope.level.value, scope.path)
    return ScopeDocument(
        level=scope.level.value,
        path=scope.path,
        name=scope.name,
        label=scope.label,
        role=role.value if role else "",
        revision=scope.revision,
        url=api_url(path),
        web_url=page_url(path),
    )
