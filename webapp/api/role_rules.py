"""Manage the rules that give roles to people who sign in at identity providers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated

from flask import g
from msgspec import UNSET, Meta, Struct, UnsetType

from models import Level, ProviderRule, Role, transaction
from webapp.access import Right
from webapp.api.image_documents import ScopeReference
from webapp.api.members import TAG, RoleName
from webapp.api.operations import Answer, operation
from webapp.api.preconditions import matching
from webapp.api.problems import ApiProblem, FieldError
from webapp.api.urls import api_url, scope_path
from webapp.people import members
from webapp.single_sign_on import role_rules
from webapp.single_sign_on.client import Client
from webapp.single_sign_on.configuration import Provider, RoleRule
from webapp.web.services import services

AcceptLosses = Annotated[
    bool,
    Meta(
        description="Whether to save the rule even if members of the scope lose roles that no rule "
        "grants."
    ),
]


class RoleRuleDocument(Struct):
    """A rule that gives people of an identity provider a role at a scope."""

    id: Annotated[
        int | None,
        Meta(description="Null for a rule in the operator’s file of identity providers."),
    ]
    provider: Annotated[
        str | None, Meta(description="The provider, or null if it is no longer configured.")
    ]
    issuer: str
    claim: str
    value: str
    scope: ScopeReference
    role: str
    created_by: str | None
    created_at: datetime | None
    revision: int | None


class RoleRuleList(Struct):
    """The first rules of a scope and of the scopes below, and the total number of rules."""

    items: list[RoleRuleDocument]
    total: int


class RoleRuleRequest(Struct, forbid_unknown_fields=True):
    """The rule to create."""

    provider: Annotated[str, Meta(description="The name of the provider in the operator’s file.")]
    claim: Annotated[str, Meta(description="The name of the claim, such as `groups`.")]
    value: Annotated[str, Meta(description="The value of the claim. `*` matches every value.")]
    role: RoleName
    accept_losses: AcceptLosses = False


class RoleRuleEdit(Struct, forbid_unknown_fields=True):
    """The values to change."""

    claim: str | UnsetType = UNSET
    value: str | UnsetType = UNSET
    role: RoleName | UnsetType = UNSET
    accept_losses: AcceptLosses = False


@operation("GET /role-rules", tag=TAG, right=Right.MANAGE_MEMBERS)
def list_role_rules() -> Answer[RoleRuleList]:
    """List the rules that give roles to people who sign in at identity providers.

    The list contains at most 500 rules of the scope and of the scopes below it. It also contains
    the rules for these scopes from the operator's file of identity providers. These rules have no
    ID.
    """
    found = role_rules.rules_at(g.actor, g.scope)
    providers = [each.provider for each in services().single_sign_on.clients.values()]
    in_file = role_rules.rules_in_file(g.actor, g.scope, providers)
    items = [_document(each) for each in found.rows]
    items += [_document_in_file(provider, rule) for provider, rule, _ in in_file]
    return Answer(RoleRuleList(items, found.total + len(in_file)))


@operation("POST /role-rules", tag=TAG, right=Right.MANAGE_MEMBERS, statuses=(201,))
def create_role_rule(body: RoleRuleRequest) -> Answer[RoleRuleDocument]:
    """Create a rule of a scope.

    Once a scope has a rule for a provider, people who sign in at this provider get their roles at
    the scope only from rules. So the first rule can take roles from members. If members could
    lose roles because of the new rule, the response is 422 unless `accept_losses` is true.
    """
    client: Client | None = services().single_sign_on.clients.get(body.provider)
    if client is None:
        message = "No identity provider with this name is configured."
        raise ApiProblem("invalid-values", message, [FieldError("provider", message)])
    rule = role_rules.create(
        g.actor,
        g.scope,
        client.provider,
        claim=body.claim,
        value=body.value,
        role=Role(body.role),
        accepts_losses=body.accept_losses,
    )
    url = api_url(f"{scope_path(g.scope.level, g.scope.path)}/role-rules/{rule.id}")
    return Answer(_document(rule), 201, {"Location": url}, rule.revision)


@operation("GET /role-rules/<int:role_rule_id>", tag=TAG, right=Right.MANAGE_MEMBERS)
def get_role_rule(role_rule_id: int) -> Answer[RoleRuleDocument]:
    """Get a rule of a scope, or of a scope below it."""
    rule = _rule_at(role_rule_id)
    return Answer(_document(rule), revision=rule.revision)


@operation(
    "PATCH /role-rules/<int:role_rule_id>",
    tag=TAG,
    right=Right.MANAGE_MEMBERS,
    if_match="optional",
    problems=("conflict",),
)
def edit_role_rule(role_rule_id: int, body: RoleRuleEdit) -> Answer[RoleRuleDocument]:
    """Change a rule.

    If members could lose roles because of the change, the response is 422 unless `accept_losses` is
    true.
    """
    rule = _rule_at(role_rule_id)
    with _matching(rule):
        role_rules.edit(
            g.actor,
            rule,
            _label(rule),
            claim=rule.claim if body.claim is UNSET else body.claim,
            value=rule.value if body.value is UNSET else body.value,
            role=rule.role if body.role is UNSET else Role(body.role),
            accepts_losses=body.accept_losses,
        )
    return Answer(_document(rule), revision=rule.revision)


@operation(
    "DELETE /role-rules/<int:role_rule_id>",
    tag=TAG,
    right=Right.MANAGE_MEMBERS,
    statuses=(204,),
    if_match="optional",
    problems=("conflict",),
)
def delete_role_rule(role_rule_id: int) -> Answer[None]:
    """Remove a rule.

    If no other rule of the provider grants a member the role that the member has at the scope, the
    member loses this role at their next sign-in at the provider, even if an admin gave it to them.
    But if the scope has no other rule for the provider, rules no longer decide the roles, and
    members keep them.
    """
    rule = _rule_at(role_rule_id)
    with _matching(rule):
        role_rules.delete(g.actor, rule, _label(rule))
    return Answer(None, 204)


def _rule_at(rule_id: int) -> ProviderRule:
    found = role_rules.find_at(g.actor, g.scope, rule_id)
    if found is None:
        raise ApiProblem("not-found")
    return found


@contextmanager
def _matching(rule: ProviderRule) -> Iterator[None]:
    """Lock the scope of the rule, and run the `with` body as `matching` does.

    `role_rules` locks the scope before the rule. If this function locked them in the other order,
    two requests could wait for each other.
    """
    with transaction():
        members.lock_scope(rule.scope)
        with matching(rule):
            yield


def _label(rule: ProviderRule) -> str:
    return services().single_sign_on.label_of(rule.issuer)


def _document(rule: ProviderRule) -> RoleRuleDocument:
    provider = services().single_sign_on.provider_of(rule.issuer)
    return RoleRuleDocument(
        id=rule.id,
        provider=provider.key if provider else None,
        issuer=rule.issuer,
        claim=rule.claim,
        value=rule.value,
        scope=ScopeReference(rule.scope.level.value, rule.scope.path),
        role=rule.role.value,
        created_by=rule.created_by.name if rule.created_by else None,
        created_at=rule.created_at,
        revision=rule.revision,
    )


def _document_in_file(provider: Provider, rule: RoleRule) -> RoleRuleDocument:
    """Return the document of a rule in the file of the operator. Its scope might not exist."""
    level = (
        Level.SCALR if not rule.scope else Level.ENVIRONMENT if "/" in rule.scope else Level.ACCOUNT
    )
    return RoleRuleDocument(
        id=None,
        provider=provider.key,
        issuer=provider.issuer,
        claim=rule.claim,
        value=rule.value,
        scope=ScopeReference(level.value, rule.scope),
        role=rule.role.value,
        created_by=None,
        created_at=None,
        revision=None,
    )
