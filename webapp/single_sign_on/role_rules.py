"""Manage the rules that grant roles. Admins of a scope create these rules on a page or by the API.

Together with the rules in the operator's file, these rules decide the roles of people who sign in
at a provider. Like a membership, a rule stays in force when the person who created the rule leaves.
Every admin of the scope can remove the rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from peewee import JOIN, IntegrityError

from models import (
    Identity,
    Membership,
    Person,
    ProviderRule,
    Role,
    Scope,
    load_scopes,
    transaction,
)
from webapp import audit
from webapp.access import Actor, Right
from webapp.people import members
from webapp.refusals import Refusal
from webapp.revisions.conflicts import lock, require_no_conflict, require_unchanged
from webapp.single_sign_on.configuration import LONGEST_TEXT, Provider, RoleRule
from webapp.values.lists import FirstRows, find
from webapp.values.text import LineRule

MAX_RULES = 50
"""The maximum number of rules of a scope."""
SHOWN_RULES = 500
"""The maximum number of rules that a list shows."""
DELETED = "This rule has already been removed."


class RoleRuleError(Refusal):
    """A rule can't be created or changed. The message says why."""


class RolesAtRisk(RoleRuleError):
    """Members of the scope could lose their roles, and the actor has not accepted this."""


CLAIM = LineRule("claim", LONGEST_TEXT, 1, "claim", RoleRuleError)
VALUE = LineRule("value", LONGEST_TEXT, 1, "value", RoleRuleError)


def create(
    actor: Actor,
    scope: Scope,
    provider: Provider,
    *,
    claim: str,
    value: str,
    role: Role,
    accepts_losses: bool,
) -> ProviderRule:
    """Create a rule for people who sign in at `provider`. Raises Forbidden and RoleRuleError.

    If a scope has rules for a provider, people who sign in at the provider get their roles at the
    scope only from these rules. So members who use the provider could lose their roles when the
    scope gets its first rule for the provider. Raises RolesAtRisk in this case, unless
    `accepts_losses` is true.
    """
    actor.require(Right.MANAGE_MEMBERS, scope)
    rule = ProviderRule(
        issuer=provider.issuer,
        scope=scope,
        claim=CLAIM.parse(claim),
        value=VALUE.parse(value),
        role=role,
        created_by=actor.person,
    )
    try:
        with transaction():
            members.lock_scope(scope)
            if ProviderRule.select().where(ProviderRule.scope == scope).count() >= MAX_RULES:
                raise RoleRuleError(f"There are already {MAX_RULES} rules. Remove unused rules.")
            if not accepts_losses and not _is_decided_by_rules(scope, provider):
                _require_no_losses(scope, provider.issuer, provider.label)
            rule.save(force_insert=True)
            changes = {name: (None, value) for name, value in _values(rule).items()}
            _record(actor, rule, "member.rule", provider.label, changes)
    except IntegrityError as error:
        _refuse_duplicate(rule, error)
        raise
    return rule


def edit(
    actor: Actor,
    rule: ProviderRule,
    label: str,
    *,
    claim: str,
    value: str,
    role: Role,
    accepts_losses: bool,
    based_on: int | None = None,
) -> None:
    """Change a rule. `label` is the label of its provider.

    `based_on` is the revision that the person saw. If it is None, no conflict is detected. Raises
    RolesAtRisk if somebody could lose a role and `accepts_losses` is false. Also raises Forbidden,
    RoleRuleError, RecordDeleted and EditConflict.
    """
    scope = rule.scope
    actor.require(Right.MANAGE_MEMBERS, scope)
    new_values = {"claim": CLAIM.parse(claim), "value": VALUE.parse(value), "role": role}
    try:
        with transaction():
            members.lock_scope(scope)
            lock(rule)
            before = _values(rule)
            if based_on is not None:
                require_no_conflict(rule, based_on, before, new_values)
            is_condition_changed = any(
                new_values[name] != before[name] for name in ("claim", "value")
            )
            if not accepts_losses and (is_condition_changed or role.rank < rule.role.rank):
                _require_no_losses(scope, rule.issuer, label)
            if new_values != before:
                rule.claim, rule.value, rule.role = new_values["claim"], new_values["value"], role
                rule.save(only=[ProviderRule.claim, ProviderRule.value, ProviderRule.role])
                changes = {name: (before[name], new_values[name]) for name in new_values}
                _record(actor, rule, "member.rule_edit", label, changes)
    except IntegrityError as error:
        _refuse_duplicate(rule, error)
        raise


def delete(actor: Actor, rule: ProviderRule, label: str, based_on: int | None = None) -> None:
    """Delete a rule. `label` is the label of its provider.

    `based_on` is the revision that the person saw. If it is None, no conflict is detected. Raises
    Forbidden, RecordDeleted and EditConflict.
    """
    actor.require(Right.MANAGE_MEMBERS, rule.scope)
    with transaction():
        members.lock_scope(rule.scope)
        lock(rule)
        if based_on is not None:
            require_unchanged(rule, based_on)
        rule.delete_instance()
        changes = {name: (value, None) for name, value in _values(rule).items()}
        _record(actor, rule, "member.rule_delete", label, changes)


def rules_at(actor: Actor, scope: Scope) -> FirstRows[ProviderRule]:
    """Return the first SHOWN_RULES rules at `scope` and below, sorted by scope and issuer.

    Raises Forbidden.
    """
    actor.require(Right.MANAGE_MEMBERS, scope)
    found: FirstRows[ProviderRule] = find(_select(scope), size=SHOWN_RULES)
    load_scopes(found.rows)
    return found


def find_at(actor: Actor, scope: Scope, rule_id: int) -> ProviderRule | None:
    """Return the rule with this ID at `scope` or below, or else None. Raises Forbidden."""
    actor.require(Right.MANAGE_MEMBERS, scope)
    rule: ProviderRule | None = _select(scope).where(ProviderRule.id == rule_id).first()
    if rule is not None:
        load_scopes([rule])
    return rule


def rules_of(provider: Provider, scope: Scope | None = None) -> tuple[RoleRule, ...]:
    """Return the rules for people who sign in at `provider`, from the file and the database.

    If `scope` is None, these are the rules of all scopes.
    """
    is_active = (ProviderRule.issuer == provider.issuer) & Scope.deleted_at.is_null()
    stored_rules = (
        ProviderRule.select(ProviderRule, Scope)
        .join(Scope)
        .where(is_active & (ProviderRule.scope == scope) if scope else is_active)
        .order_by(ProviderRule.id)
    )
    return (
        *(each for each in provider.roles if scope is None or each.scope == scope.path),
        *(RoleRule(each.claim, each.value, each.scope.path, each.role) for each in stored_rules),
    )


def claims_of(provider: Provider) -> set[str]:
    """Return the names of the claims that the rules of the provider compare."""
    return {rule.claim for rule in rules_of(provider)}


def rules_in_file(
    actor: Actor, scope: Scope, providers: Iterable[Provider]
) -> list[tuple[Provider, RoleRule, Scope | None]]:
    """Return the rules of the operator's file for `scope` and the scopes below it.

    Each item is a provider, the rule, and the scope of the rule. The scope is None if it does not
    exist. Raises Forbidden.
    """
    actor.require(Right.MANAGE_MEMBERS, scope)
    is_scalr, prefix = scope.path == "", f"{scope.path}/"
    found = [
        (provider, rule)
        for provider in providers
        for rule in provider.roles
        if is_scalr or rule.scope == scope.path or rule.scope.startswith(prefix)
    ]
    paths = {rule.scope for _, rule in found}
    existing_scopes = Scope.select_with_parents().where(Scope.path.in_(paths)) if paths else ()
    scopes = {each.path: each for each in existing_scopes}
    return [(provider, rule, scopes.get(rule.scope)) for provider, rule in found]


def is_last(rule: ProviderRule, provider: Provider | None) -> bool:
    """Return whether `rule` is the only rule of its provider for its scope.

    `provider` is the provider of the rule, or None if it is no longer configured.
    """
    is_for_scope = (ProviderRule.issuer == rule.issuer) & (ProviderRule.scope == rule.scope_id)
    others = ProviderRule.select().where(is_for_scope & (ProviderRule.id != rule.id)).exists()
    in_file = provider is not None and any(each.scope == rule.scope.path for each in provider.roles)
    return not others and not in_file


def members_at_risk(scope: Scope, issuer: str) -> FirstRows[Person]:
    """Return the first members of `scope` who use the provider, sorted by name.

    At their next sign-in at the provider, they lose the roles at `scope` that no rule grants.
    """
    linked_people = Identity.select(Identity.person).where(Identity.issuer == issuer)
    scope_members = Membership.select(Membership.person).where(Membership.scope == scope)
    is_affected = Person.id.in_(linked_people) & Person.id.in_(scope_members)
    return find(Person.select().where(is_affected).order_by(Person.name, Person.id), size=10)


def _select(scope: Scope) -> Any:
    return (
        ProviderRule.select(ProviderRule, Person)
        .join(Person, JOIN.LEFT_OUTER, on=ProviderRule.created_by == Person.id, attr="created_by")
        .join_from(ProviderRule, Scope)
        .where(ProviderRule.scope.in_(scope.subtree().select(Scope.id)))
        .order_by(
            Scope.path,
            ProviderRule.issuer,
            ProviderRule.claim,
            ProviderRule.value,
            ProviderRule.id,
        )
    )


def _is_decided_by_rules(scope: Scope, provider: Provider) -> bool:
    """Return whether the rules of the provider already decide the roles at `scope`."""
    is_for_scope = (ProviderRule.issuer == provider.issuer) & (ProviderRule.scope == scope)
    in_file = any(each.scope == scope.path for each in provider.roles)
    return in_file or bool(ProviderRule.select().where(is_for_scope).exists())


def _require_no_losses(scope: Scope, issuer: str, label: str) -> None:
    found = members_at_risk(scope, issuer)
    if not found.total:
        return
    names = ", ".join(person.name for person in found.rows)
    more = f" and {found.total - len(found.rows):,} more" if found.total > len(found.rows) else ""
    raise RolesAtRisk(
        f"These members of {scope.label} can sign in at {label}: {names}{more}. The next time they "
        f"sign in there, they lose the roles at {scope.label} that no rule grants. Check that the "
        "rules grant the roles that these members need, then confirm.",
        "confirmed",
    )


def _values(rule: ProviderRule) -> dict[str, Any]:
    return {"claim": rule.claim, "value": rule.value, "role": rule.role}


def _record(
    actor: Actor,
    rule: ProviderRule,
    action: str,
    label: str,
    changes: Mapping[str, tuple[Any, Any]],
) -> None:
    subject = f"{rule.claim} = {rule.value} at {label}"
    audit.record(actor, rule.scope, action, subject, record=rule, changes=changes)


def _refuse_duplicate(rule: ProviderRule, error: IntegrityError) -> None:
    """Raise RoleRuleError if another rule is for the same people as `rule`, which was not saved."""
    same_scope = (ProviderRule.issuer == rule.issuer) & (ProviderRule.scope == rule.scope_id)
    same_people = (ProviderRule.claim == rule.claim) & (ProviderRule.value == rule.value)
    others = ProviderRule.select().where(ProviderRule.id != rule.id)
    if others.where(same_scope & same_people).exists():
        message = "There is already a rule for this claim and value. Edit it."
        raise RoleRuleError(message, "value") from error
