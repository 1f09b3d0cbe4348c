"""Manage the rules by which pipelines can exchange ID tokens for API tokens of a scope.

A rule does not expire, but it works only while the person who created it still has the right to
create it. A rule that was created with an API token stops working when this token expires or is
revoked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from peewee import JOIN, IntegrityError

from models import ApiToken, Person, Role, Scope, TokenRule, load_scopes, transaction
from webapp import audit
from webapp.access import Actor, Right
from webapp.people import accounts
from webapp.revisions.conflicts import RecordDeleted, lock, require_unchanged
from webapp.single_sign_on.configuration import is_safe_url
from webapp.tokens.tokens import TokenError, parse_networks, require_networks_within
from webapp.tokens.verifier import actor_with_key
from webapp.values.text import LineRule

MAX_RULES = 50
"""The maximum number of rules of a scope."""
MAX_CLAIMS = 10
"""The maximum number of claims that a rule compares."""
DELETED = "This rule has already been deleted."
NAME = LineRule("name", 48, 1, "name", TokenError)
ISSUER = LineRule("issuer", 255, 1, "issuer", TokenError)
AUDIENCE = LineRule("audience", 255, 1, "audience", TokenError)
PATTERN = LineRule("pattern", 255, 1, "claims", TokenError)
_CLAIM = re.compile(r"[A-Za-z0-9_.:/-]{1,100}")


def create(
    actor: Actor,
    scope: Scope,
    *,
    name: str,
    issuer: str,
    audience: str,
    claims: Mapping[str, str],
    role: Role,
    networks: Iterable[str] = (),
) -> TokenRule:
    """Create a rule for tokens of `scope`. Raises Forbidden and TokenError.

    `claims` contains a pattern for each claim to compare. In a pattern, `*` matches any text.
    """
    actor.require(Right.MANAGE_TOKENS, scope)
    own = actor.role_at(scope)
    if own is None or role.rank > own.rank:
        raise TokenError(
            f"Your own role at {scope.label} is only {own}. Choose that role or a weaker role.",
            "role",
        )
    rule = TokenRule(
        scope=scope,
        name=NAME.parse(name),
        issuer=_parse_issuer(issuer),
        audience=AUDIENCE.parse(audience),
        claims=_parse_claims(claims),
        role=role,
        networks=parse_networks(networks),
        created_by=actor.person,
        made_with=actor.token.key if actor.token else "",
    )
    require_networks_within(actor, rule.networks)
    try:
        with transaction():
            if TokenRule.select().where(TokenRule.scope == scope).count() >= MAX_RULES:
                raise TokenError(f"There are already {MAX_RULES} rules. Delete unused rules.")
            rule.save(force_insert=True)
            audit.record(
                actor, scope, "token.rule", rule.name, record=rule, changes=_audit_changes(rule)
            )
    except IntegrityError as error:
        raise TokenError("Another rule has this name. Choose another name.", "name") from error
    return rule


def rules_at(actor: Actor, scope: Scope) -> list[TokenRule]:
    """Return the rules of a scope, sorted by name. Raises Forbidden."""
    actor.require(Right.MANAGE_TOKENS, scope)
    return _load(TokenRule.scope == scope)


def find_at(actor: Actor, scope: Scope, rule_id: int) -> TokenRule | None:
    """Return the rule with this ID if `rules_at` returns it, or else None. Raises Forbidden."""
    actor.require(Right.MANAGE_TOKENS, scope)
    return next(iter(_load((TokenRule.scope == scope) & (TokenRule.id == rule_id))), None)


def rules_of_issuer(scope: Scope, issuer: str) -> list[TokenRule]:
    """Return the rules of a scope for ID tokens of this issuer."""
    return _load((TokenRule.scope == scope) & (TokenRule.issuer == issuer))


def delete(actor: Actor, rule: TokenRule, based_on: int | None = None) -> None:
    """Delete a rule, and revoke the tokens that the rule has created.

    `based_on` is the revision that the person saw. If it is None, no conflict is detected. Raises
    Forbidden, TokenError and EditConflict.
    """
    scope = rule.scope
    actor.require(Right.MANAGE_TOKENS, scope)
    with transaction():
        try:
            lock(rule)
        except RecordDeleted as error:
            raise TokenError(DELETED) from error
        if based_on is not None:
            require_unchanged(rule, based_on)
        ApiToken.delete().where(ApiToken.rule_id == rule.id).execute()
        rule.delete_instance()
        audit.record(actor, scope, "token.rule_delete", rule.name, record=rule)


def is_in_force(rule: TokenRule) -> bool:
    """Return whether the person or token that created the rule could still create the rule."""
    creator: Actor | None = None
    if rule.made_with:
        creator = actor_with_key(rule.made_with)
    elif rule.created_by is not None:
        creator = accounts.actor_for(rule.created_by)
    if creator is None or not creator.may(Right.MANAGE_TOKENS, rule.scope):
        return False
    creator_role = creator.role_at(rule.scope)
    return creator_role is not None and rule.role.rank <= creator_role.rank


def _load(condition: Any) -> list[TokenRule]:
    query = (
        TokenRule.select(TokenRule, Person)
        .join(Person, JOIN.LEFT_OUTER, on=TokenRule.created_by == Person.id, attr="created_by")
        .where(condition)
        .order_by(TokenRule.name, TokenRule.id)
    )
    found: list[TokenRule] = list(query)
    load_scopes(found)
    return found


def _parse_issuer(text: str) -> str:
    issuer = ISSUER.parse(text)
    if not is_safe_url(issuer) or "?" in issuer:
        raise TokenError(
            "Enter the URL of the provider, such as https://token.actions.githubusercontent.com.",
            "issuer",
        )
    return issuer


def _parse_claims(claims: Mapping[str, str]) -> dict[str, str]:
    """Return the patterns by the names of their claims. Raises TokenError."""
    patterns = {}
    for name, pattern in claims.items():
        if not _CLAIM.fullmatch(name.strip()):
            raise TokenError(f"“{name.strip()[:50]}” is not the name of a claim.", "claims")
        patterns[name.strip()] = PATTERN.parse(pattern)
    if len(patterns) > MAX_CLAIMS:
        raise TokenError(f"Enter at most {MAX_CLAIMS} claims.", "claims")
    if not any(pattern.strip("*") for pattern in patterns.values()):
        raise TokenError(
            "Enter at least one claim whose pattern is more than “*”. Otherwise, everybody who "
            "uses this provider could get a token.",
            "claims",
        )
    return patterns


def _audit_changes(rule: TokenRule) -> dict[str, tuple[Any, Any]]:
    """Return the values of a new rule for the audit log."""
    values = {
        "role": rule.role,
        "issuer": rule.issuer,
        "audience": rule.audience,
        "claims": ", ".join(f"{name} = {pattern}" for name, pattern in rule.claims.items()),
        "networks": rule.networks,
    }
    return {name: (None, value) for name, value in values.items() if value}
