"""Apply the rules that decide the roles of a person from the claims of an identity provider.

The rules come from the operator's file and from admins of scopes. If a scope has rules for a
provider, people who sign in at the provider get their roles at the scope only from these rules.
Roles at other scopes stay as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable

from models import Membership, Person, Role, Scope
from webapp import audit
from webapp.people import members, personal_tokens
from webapp.people.members import MemberError
from webapp.single_sign_on import role_rules
from webapp.single_sign_on.claims import ClaimTexts, lacks_any
from webapp.single_sign_on.client import Account
from webapp.single_sign_on.configuration import ANY_VALUE, Provider, RoleRule

log = logging.getLogger(__name__)


def granted_roles(rules: Iterable[RoleRule], texts: ClaimTexts) -> dict[str, Role]:
    """Return the strongest role that the rules grant at each scope, by the path of the scope."""
    granted: dict[str, Role] = {}
    for rule in rules:
        if _matches(rule, texts):
            roles = [rule.role, *filter(None, [granted.get(rule.scope)])]
            granted[rule.scope] = max(roles, key=lambda role: role.rank)
    return granted


def decidable_rules(rules: Collection[RoleRule], account: Account) -> Collection[RoleRule]:
    """Return the rules of the scopes whose roles can be decided from the claims of the account.

    If all claims of the provider were read, return all rules. Otherwise, the provider may have more
    claims, so a scope is left out if one of its rules compares a missing claim.
    """
    if account.has_all_claims:
        return rules
    undecided = {rule.scope for rule in rules if lacks_any([rule.claim], account.claims)}
    return [rule for rule in rules if rule.scope not in undecided]


def apply(person: Person, provider: Provider, account: Account) -> None:
    """Give the person the roles that the rules grant. Remove other roles at the rules' scopes.

    The last admin of the Scalr scope stays an admin. Call this in a transaction.
    """
    all_rules = role_rules.rules_of(provider)
    rules = decidable_rules(all_rules, account)
    if len(rules) < len(all_rules):
        log.warning(
            "a sign-in at identity provider %s left the roles at some scopes (%d) unchanged, "
            "because their rules compare claims that were not read",
            provider.key,
            len({rule.scope for rule in all_rules} - {rule.scope for rule in rules}),
        )
    rule_roles = granted_roles(rules, account.claim_texts)
    current_roles = {
        row.scope.path: row.role
        for row in Membership.select(Membership, Scope)
        .join(Scope)
        .where(Membership.person == person)
    }
    for path in sorted({rule.scope for rule in rules}):
        if current_roles.get(path) is rule_roles.get(path):
            continue  # Skip the queries below, because rules can name thousands of scopes.
        scope = Scope.at(path)
        if scope is None:
            log.warning(
                "a rule of identity provider %s names a scope that does not exist: %r",
                provider.key,
                path,
            )
            continue
        # All requests lock the scopes in the same order, so a deadlock is impossible.
        members.lock_scope(scope)
        # Somebody may have changed the rules of the scope before this transaction got the lock.
        current_rules = decidable_rules(role_rules.rules_of(provider, scope), account)
        if current_rules:
            role = granted_roles(current_rules, account.claim_texts).get(path)
            _set_role(person, scope, role, provider)


def _set_role(person: Person, scope: Scope, role: Role | None, provider: Provider) -> None:
    membership: Membership | None = Membership.get_or_none(person=person, scope=scope)
    before = membership.role if membership else None
    if before is role:
        return
    if before is Role.ADMIN and scope.parent_id is None:
        try:
            members.require_another_admin(person)
        except MemberError:
            log.warning(
                "kept the last admin of the Scalr scope, despite the rules of identity provider %s",
                provider.key,
            )
            return
    if membership is None:
        membership = Membership.create(person=person, scope=scope, role=role)
    elif role is None:
        membership.delete_instance()
    else:
        membership.role = role
        membership.save(only=[Membership.role])
    audit.record(
        None,
        scope,
        "member.edit" if role else "member.remove",
        person.label,
        changes={"role": (before, role)},
        record=membership,
        by=provider.label,
        about=person,
    )
    if role is None:
        personal_tokens.revoke_without_role(None, person, provider.label)


def _matches(rule: RoleRule, texts: ClaimTexts) -> bool:
    values = texts[rule.claim]
    return bool(values) if rule.value == ANY_VALUE else rule.value in values
