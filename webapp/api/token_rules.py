"""Exchange ID tokens of pipelines for API tokens, and manage the rules for these exchanges."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from flask import g, request
from msgspec import Meta, Struct

from models import Role, TokenRule
from webapp.access import Right
from webapp.api.image_documents import ScopeReference
from webapp.api.operations import Answer, operation
from webapp.api.problems import ApiProblem, FieldError
from webapp.api.tokens import TAG
from webapp.api.urls import api_url, scope_path
from webapp.single_sign_on import token_exchange, token_rules
from webapp.single_sign_on.configuration import SCOPE
from webapp.web.services import services

GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105  the name of a type
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105  the name of a type
JWT = "urn:ietf:params:oauth:token-type:jwt"


class ExchangeRequest(Struct):
    """An ID token to exchange (RFC 8693). Other parameters of OAuth are ignored."""

    grant_type: Annotated[str, Meta(extra_json_schema={"const": GRANT})]
    subject_token: Annotated[str, Meta(description="The ID token of the pipeline.")]
    subject_token_type: Annotated[str, Meta(extra_json_schema={"enum": [ID_TOKEN, JWT]})]
    scope: Annotated[
        str,
        Meta(description="The scope of the new token, as in URLs, for example `/account/acme`."),
    ]


class ExchangedToken(Struct):
    """A new token, as OAuth 2.0 describes it."""

    access_token: Annotated[str, Meta(description="The token to send in requests.")]
    issued_token_type: str
    token_type: str
    expires_in: Annotated[int, Meta(description="How many seconds the token is valid.")]
    scope: str


class Rule(Struct):
    """A rule that says which ID tokens can be exchanged for API tokens of a scope."""

    id: int
    name: str
    scope: ScopeReference
    issuer: Annotated[str, Meta(description="The claim `iss` of the ID tokens.")]
    audience: Annotated[str, Meta(description="The claim `aud` of the ID tokens.")]
    claims: Annotated[
        dict[str, str],
        Meta(description="A pattern for each claim to compare. `*` matches any text."),
    ]
    role: str
    networks: list[str]
    in_force: Annotated[
        bool,
        Meta(
            description="False if the person or token that created the rule no longer has the "
            "rights to create it. The rule then accepts no ID tokens."
        ),
    ]
    created_by: str | None
    created_at: datetime
    used_at: datetime | None


class RuleList(Struct):
    """Rules, sorted by name."""

    items: list[Rule]


class RuleRequest(Struct, forbid_unknown_fields=True):
    """The rule to create."""

    name: str
    issuer: Annotated[str, Meta(description="The URL of the provider.")]
    audience: str
    claims: Annotated[
        dict[str, str],
        Meta(description="A pattern for each claim to compare. `*` matches any text."),
    ]
    role: Literal["viewer", "editor", "admin"]
    networks: Annotated[
        list[str], Meta(description="IP addresses and networks, such as `203.0.113.0/24`.")
    ] = []


@operation(
    "POST /token",
    tag=TAG,
    levels=(),
    is_public=True,
    is_form=True,
    problems=("id-token-refused", "too-many-requests"),
)
def exchange_token(body: ExchangeRequest) -> Answer[ExchangedToken]:
    """Exchange the ID token of a pipeline for an API token that is valid for 15 minutes.

    A rule of the scope must accept the ID token. Each ID token works once.
    """
    _require("grant_type", body.grant_type, (GRANT,))
    _require("subject_token_type", body.subject_token_type, (ID_TOKEN, JWT))
    scope = SCOPE.fullmatch(body.scope)
    if scope is None:
        raise _invalid("scope", "Use a scope as in URLs, for example “/account/acme”.")
    path = scope["account"] or scope["environment"] or ""
    address = request.remote_addr or ""
    new_token = services().token_exchange.exchange(body.subject_token, path, address)
    seconds = int(token_exchange.LIFETIME.total_seconds())
    return Answer(ExchangedToken(new_token.text, ACCESS_TOKEN, "Bearer", seconds, body.scope))


@operation("GET /token-rules", tag=TAG, right=Right.MANAGE_TOKENS)
def list_token_rules() -> Answer[RuleList]:
    """List the rules by which ID tokens can be exchanged for API tokens of a scope."""
    return Answer(RuleList([_document(each) for each in token_rules.rules_at(g.actor, g.scope)]))


@operation("POST /token-rules", tag=TAG, right=Right.MANAGE_TOKENS, statuses=(201,))
def create_token_rule(body: RuleRequest) -> Answer[Rule]:
    """Create a rule of a scope.

    The rule works only while the token of the request is valid and still has the rights to create
    the rule. The rule can't have a stronger role or more networks than the token of the request.
    """
    rule = token_rules.create(
        g.actor,
        g.scope,
        name=body.name,
        issuer=body.issuer,
        audience=body.audience,
        claims=body.claims,
        role=Role(body.role),
        networks=body.networks,
    )
    url = api_url(f"{scope_path(g.scope.level, g.scope.path)}/token-rules/{rule.id}")
    return Answer(_document(rule), 201, {"Location": url})


@operation("GET /token-rules/<int:rule_id>", tag=TAG, right=Right.MANAGE_TOKENS)
def get_token_rule(rule_id: int) -> Answer[Rule]:
    """Get a rule of a scope."""
    return Answer(_document(_rule_at(rule_id)))


@operation("DELETE /token-rules/<int:rule_id>", tag=TAG, right=Right.MANAGE_TOKENS, statuses=(204,))
def delete_token_rule(rule_id: int) -> Answer[None]:
    """Delete a rule, and revoke the tokens that pipelines got with it."""
    token_rules.delete(g.actor, _rule_at(rule_id))
    return Answer(None, 204)


def _rule_at(rule_id: int) -> TokenRule:
    found = token_rules.find_at(g.actor, g.scope, rule_id)
    if found is None:
        raise ApiProblem("not-found")
    return found


def _require(name: str, value: str, accepted: tuple[str, ...]) -> None:
    if value not in accepted:
        raise _invalid(name, f"Use {' or '.join(f'“{each}”' for each in accepted)}.")


def _invalid(name: str, message: str) -> ApiProblem:
    return ApiProblem("invalid-request", f"“{name}”: {message}", [FieldError(name, message)])


def _document(rule: TokenRule) -> Rule:
    return Rule(
        id=rule.id,
        name=rule.name,
        scope=ScopeReference(rule.scope.level.value, rule.scope.path),
        issuer=rule.issuer,
        audience=rule.audience,
        claims=rule.claims,
        role=rule.role.value,
        networks=rule.networks,
        in_force=token_rules.is_in_force(rule),
        created_by=rule.created_by.name if rule.created_by else None,
        created_at=rule.created_at,
        used_at=rule.used_at,
    )
