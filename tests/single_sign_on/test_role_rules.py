"""Rules for roles that admins make: who may make them, and what they change at a sign-in."""

from __future__ import annotations

from typing import Any

import pytest
from peewee import IntegrityError

from models import (
    ApiToken,
    AuditEntry,
    Identity,
    Membership,
    ProviderRule,
    Role,
    Scope,
    transaction,
)
from tests.conftest import ActorOf, ScopeAt
from tests.single_sign_on.conftest import configured
from tests.single_sign_on.helpers import make_role_rule
from tests.single_sign_on.test_roles import ISSUER, roles_of
from tests.tokens.helpers import make_token
from webapp.access import Forbidden
from webapp.credentials.vault import Vault
from webapp.people import members, scopes
from webapp.people.attempts import Attempts
from webapp.revisions.conflicts import EditConflict, RecordDeleted
from webapp.single_sign_on import identities, role_rules
from webapp.single_sign_on.client import Account
from webapp.single_sign_on.configuration import Provider, RoleRule
from webapp.single_sign_on.identities import SignInRefused
from webapp.single_sign_on.role_rules import RoleRuleError, RolesAtRisk

PROVIDER = configured(ISSUER)


def sign_in(
    subject: str = "s1",
    provider: Provider = PROVIDER,
    *,
    has_all_claims: bool = True,
    **claims: Any,
) -> Any:
    email = f"{subject}@example.org"
    values = {"sub": subject, "email": email, "email_verified": True, **claims}
    account = Account(provider.issuer, subject, "Nora", email, None, False, values, has_all_claims)
    return identities.sign_in(account, provider, "the team", "127.0.0.1", Attempts(""))


def edit(actor: Any, rule: ProviderRule, **changes: Any) -> None:
    values = {"claim": rule.claim, "value": rule.value, "role": rule.role}
    values |= {"accepts_losses": True, "based_on": None}
    role_rules.edit(actor, rule, "Example SSO", **{**values, **changes})


def test_rules_and_the_rules_of_the_file_apply_together(actor_of: ActorOf, scope: ScopeAt) -> None:
    admin = actor_of("account-admin")
    make_role_rule(admin, scope("acme"))
    make_role_rule(admin, scope("acme/production"), claim="a.b", value="*", role=Role.ADMIN)
    provider = configured(
        ISSUER,
        roles=(
            RoleRule("groups", "viewers", "acme", Role.VIEWER),
            RoleRule("groups", "root", "acme", Role.ADMIN),
        ),
    )
    person = sign_in(provider=provider, groups=["editors", "viewers"], a={"b": "x"})
    assert roles_of(person) == {"acme": Role.EDITOR, "acme/production": Role.ADMIN}
    last = AuditEntry.select().order_by(AuditEntry.id.desc()).get()
    assert (last.person_name, last.action) == ("Example SSO", "member.edit")
    sign_in(provider=provider, groups=["editors", "root"])
    assert roles_of(person) == {"acme": Role.ADMIN}
    sign_in(provider=provider, groups=[])
    assert roles_of(person) == {}
    assert AuditEntry.select().order_by(AuditEntry.id.desc()).get().action == "member.remove"


def test_a_rule_applies_only_to_its_provider_and_its_scope(
    actor_of: ActorOf, scope: ScopeAt
) -> None:
    make_role_rule(actor_of("account-admin"), scope("acme"))
    other = configured("https://other.example.com", key="example")
    with pytest.raises(SignInRefused):
        sign_in(provider=other, groups=["editors"])
    person = sign_in(groups=["editors"])
    Membership.create(person=person, scope=scope("globex"), role=Role.VIEWER)
    sign_in(groups=[])
    assert roles_of(person) == {"globex": Role.VIEWER}


def test_a_rule_of_a_deleted_scope_grants_nothing(actor_of: ActorOf, scope: ScopeAt) -> None:
    admin = actor_of("scalr-admin")
    made = make_role_rule(admin, scope("acme"))
    scopes.start_deletion(admin, scope("acme"), scope("acme").name)
    assert role_rules.rules_of(PROVIDER) == ()
    assert role_rules.find_at(admin, scope(""), made.id) is None
    with pytest.raises(SignInRefused):
        sign_in(groups=["editors"])


def test_a_rule_made_during_a_sign_in_takes_no_role_away(
    actor_of: ActorOf, scope: ScopeAt, vault: Vault, caplog: pytest.LogCaptureFixture
) -> None:
    """The sign-in did not look for the claim of the new rule."""
    editor, admin = actor_of("account-editor"), actor_of("account-admin")
    Identity.create(person=editor.person, issuer=ISSUER, subject="s1", label="s1")
    make_token(editor, scope("acme"), vault)
    make_role_rule(admin, scope("acme/production"))
    make_role_rule(admin, scope("acme"), claim="department", value="x")
    make_role_rule(admin, scope("acme"), role=Role.ADMIN)
    sign_in(has_all_claims=False, groups=["editors"])
    assert roles_of(editor.person) == {"acme": Role.EDITOR, "acme/production": Role.EDITOR}
    assert ApiToken.select().count() == 1
    assert caplog.text.count("left the roles at some scopes (1) unchanged") == 1
    sign_in(has_all_claims=False, groups=["editors"], department=[])
    assert roles_of(editor.person) == {"acme": Role.ADMIN, "acme/production": Role.EDITOR}
    sign_in(groups=[])
    assert roles_of(editor.person) == {}


def test_nobody_is_created_for_a_scope_that_stays_as_it_is(
    actor_of: ActorOf, scope: ScopeAt
) -> None:
    for claim in ("groups", "department"):
        make_role_rule(actor_of("account-admin"), scope("acme"), claim=claim)
    with pytest.raises(SignInRefused):
        sign_in(has_all_claims=False, groups=["editors"])


def test_rules_that_changed_before_the_scope_was_locked_count(
    actor_of: ActorOf, scope: ScopeAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sign-in reads all rules, then waits for others who have locked the scopes."""
    admin, lock_scope = actor_of("account-admin"), members.lock_scope
    Identity.create(person=actor_of("account-viewer").person, issuer=ISSUER, subject="s1", label="")
    for path in ("acme", "acme/production", "acme/staging"):
        make_role_rule(admin, scope(path), role=Role.ADMIN)
    make_role_rule(admin, scope("acme/staging"), value="others")

    def wait_and_lock(locked: Scope) -> None:
        here = ProviderRule.scope == locked.id
        if locked.path == "acme/production":
            ProviderRule.update(role=Role.VIEWER).where(here).execute()
        else:
            ProviderRule.delete().where(here & (ProviderRule.value == "editors")).execute()
        lock_scope(locked)

    monkeypatch.setattr(members, "lock_scope", wait_and_lock)
    person = sign_in(groups=["editors"])
    assert roles_of(person) == {"acme": Role.VIEWER, "acme/production": Role.VIEWER}


def test_the_last_admin_of_scalr_stays(actor_of: ActorOf, scope: ScopeAt) -> None:
    admin = actor_of("scalr-admin")
    Identity.create(person=admin.person, issuer=ISSUER, subject="root", label="root")
    make_role_rule(admin, scope(""))
    sign_in("root", groups=["editors"])
    assert roles_of(admin.person) == {"": Role.ADMIN}


def test_personal_tokens_end_with_the_role(actor_of: ActorOf, scope: ScopeAt, vault: Vault) -> None:
    editor = actor_of("account-editor")
    Identity.create(person=editor.person, issuer=ISSUER, subject="s1", label="s1")
    make_token(editor, scope("acme"), vault)
    make_role_rule(actor_of("account-admin"), scope("acme"))
    sign_in(groups=["editors"])
    assert ApiToken.select().count() == 1
    sign_in(groups=[])
    assert ApiToken.select().count() == 0
    last = AuditEntry.select().order_by(AuditEntry.id.desc()).get()
    assert (last.person_name, last.action) == ("Example SSO", "token.revoke")


@pytest.mark.parametrize(
    ("who", "path"),
    [
        ("account-admin", ""),
        ("account-admin", "globex"),
        ("account-editor", "acme"),
        ("environment-admin", "acme"),
        ("environment-admin", "acme/staging"),
        ("scalr-editor", "acme"),
    ],
)
def test_only_admins_of_a_scope_manage_its_rules(
    actor_of: ActorOf, scope: ScopeAt, who: str, path: str
) -> None:
    actor, admin = actor_of(who), actor_of("scalr-admin")
    with pytest.raises(Forbidden):
        make_role_rule(actor, scope(path))
    rule = make_role_rule(admin, scope(path))
    with pytest.raises(Forbidden):
        edit(actor, rule, role=Role.ADMIN)
    with pytest.raises(Forbidden):
        role_rules.delete(actor, rule, "Example SSO")
    for read in (
        lambda: role_rules.rules_at(actor, scope(path)),
        lambda: role_rules.find_at(actor, scope(path), rule.id),
        lambda: role_rules.rules_in_file(actor, scope(path), [PROVIDER]),
    ):
        with pytest.raises(Forbidden):
            read()


def test_a_list_contains_the_rules_of_the_scope_and_below(
    actor_of: ActorOf, scope: ScopeAt
) -> None:
    root = actor_of("scalr-admin")
    for path in ("", "acme", "acme/production", "globex"):
        make_role_rule(root, scope(path))

    def listed(who: str, path: str) -> list[str]:
        found = role_rules.rules_at(actor_of(who), scope(path))
        return [each.scope.path for each in found.rows]

    assert listed("scalr-admin", "") == ["", "acme", "acme/production", "globex"]
    assert listed("account-admin", "acme") == ["acme", "acme/production"]
    assert listed("environment-admin", "acme/production") == ["acme/production"]
    foreign = ProviderRule.get(scope=scope("globex"))
    assert role_rules.find_at(actor_of("account-admin"), scope("acme"), foreign.id) is None
    provider = configured(
        ISSUER,
        roles=tuple(
            RoleRule("groups", "x", path, Role.VIEWER)
            for path in ("", "acme", "acme/gone", "acme2", "globex")
        ),
    )
    in_file = role_rules.rules_in_file(actor_of("account-admin"), scope("acme"), [provider])
    found = [(rule.scope, place.label if place else None) for _, rule, place in in_file]
    assert found == [("acme", scope("acme").label), ("acme/gone", None)]


def test_members_at_risk_have_to_be_accepted(actor_of: ActorOf, scope: ScopeAt) -> None:
    admin, editor = actor_of("account-admin"), actor_of("account-editor").person
    values: dict[str, Any] = {"accepts_losses": False}
    make_role_rule(admin, scope("acme"), **values)
    Identity.create(person=editor, issuer=ISSUER, subject="s1", label="s1")
    make_role_rule(admin, scope("acme"), value="second", **values)
    rule = ProviderRule.get(value="editors")
    edit(admin, rule, role=Role.ADMIN, accepts_losses=False)
    for changes in ({"role": Role.VIEWER}, {"value": "x"}, {"claim": "x"}):
        with pytest.raises(RolesAtRisk, match=rf"can sign in at .*: {editor.name}\."):
            edit(admin, rule, accepts_losses=False, **changes)
    ProviderRule.delete().execute()
    with pytest.raises(RolesAtRisk, match=editor.name):
        make_role_rule(admin, scope("acme"), **values)
    make_role_rule(admin, scope("acme/staging"), **values)
    decided = configured(ISSUER, roles=(RoleRule("groups", "a", "acme", Role.VIEWER),))
    make_role_rule(admin, scope("acme"), provider=decided, **values)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"claim": " "}, "Enter a claim"),
        ({"value": "x" * 201}, "at most|1 to 200"),
        ({"value": "a\x00b"}, "character"),
        ({"value": "editors "}, "already a rule"),
    ],
)
def test_wrong_rules_are_refused(
    actor_of: ActorOf, scope: ScopeAt, changes: dict[str, Any], message: str
) -> None:
    admin = actor_of("account-admin")
    make_role_rule(admin, scope("acme"))
    with pytest.raises(RoleRuleError, match=message):
        make_role_rule(admin, scope("acme"), **changes)
    other = make_role_rule(admin, scope("acme"), value="other")
    with pytest.raises(RoleRuleError, match=message):
        edit(admin, other, **changes)
    assert ProviderRule.get_by_id(other.id).value == "other"


def test_another_error_of_the_database_is_not_a_duplicate(
    actor_of: ActorOf, scope: ScopeAt
) -> None:
    admin = actor_of("account-admin")
    rule = make_role_rule(admin, scope("acme"))
    with pytest.raises(IntegrityError):
        make_role_rule(admin, scope("acme"), value="other", role=None)
    with pytest.raises(IntegrityError):
        edit(admin, rule, role=None)


def test_the_number_of_rules_is_limited(
    actor_of: ActorOf, scope: ScopeAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(role_rules, "MAX_RULES", 1)
    admin = actor_of("account-admin")
    make_role_rule(admin, scope("acme"))
    make_role_rule(admin, scope("acme/staging"))
    with pytest.raises(RoleRuleError, match="already 1 rules"):
        make_role_rule(admin, scope("acme"), value="b")


def test_changes_are_recorded_and_conflicts_are_found(actor_of: ActorOf, scope: ScopeAt) -> None:
    admin, root = actor_of("account-admin"), actor_of("scalr-admin")
    rule = make_role_rule(admin, scope("acme"))
    seen = rule.revision
    edit(root, ProviderRule.get_by_id(rule.id), role=Role.VIEWER, based_on=seen)
    with pytest.raises(EditConflict):
        edit(admin, rule, role=Role.ADMIN, based_on=seen)
    edit(admin, rule, role=Role.VIEWER, value="y", based_on=rule.revision)
    with pytest.raises(EditConflict):
        role_rules.delete(root, ProviderRule.get_by_id(rule.id), "Example SSO", seen)
    assert role_rules.is_last(rule, PROVIDER)
    role_rules.delete(root, rule, "Example SSO", rule.revision)
    with pytest.raises(RecordDeleted), transaction():
        role_rules.delete(root, rule, "Example SSO")
    entries = AuditEntry.select().where(AuditEntry.action.startswith("member.rule"))
    found = [(each.action, each.subject, each.changes) for each in entries.order_by(AuditEntry.id)]
    subject = "groups = editors at Example SSO"
    new = {"claim": [None, "groups"], "value": [None, "editors"], "role": [None, "editor"]}
    assert found[0] == ("member.rule", subject, new)
    assert found[1] == ("member.rule_edit", subject, {"role": ["editor", "viewer"]})
    assert found[2][2] == {"value": ["editors", "y"]}
    assert found[3][2] == {
        "claim": ["groups", None],
        "value": ["y", None],
        "role": ["viewer", None],
    }
