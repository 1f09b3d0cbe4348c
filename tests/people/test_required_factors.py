"""A scope can require a second factor. Roles at it and below it then count only with a factor."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

import models
from models import (
    AuditEntry,
    Identity,
    Membership,
    OutgoingMail,
    Person,
    Role,
    Scope,
    SessionKind,
    SignInSession,
)
from tests.conftest import ActorOf, MakeImage, ScopeAt
from tests.factors.helpers import add_authenticator
from tests.single_sign_on.conftest import configured
from tests.tokens.helpers import CLIENT, make_token
from webapp.access import Actor, Forbidden, Right
from webapp.credentials.vault import Vault
from webapp.images import deletion
from webapp.mail import outbox
from webapp.people import accounts, members, required_factors, scopes, sessions
from webapp.people.attempts import Attempts
from webapp.people.last_seen import LastUsed
from webapp.people.members import InvalidInvitation
from webapp.people.required_factors import OwnFactorMissing, RequirementRefused
from webapp.people.sessions import Lifetimes
from webapp.single_sign_on import identities
from webapp.single_sign_on.configuration import SecondFactor
from webapp.tokens import tokens
from webapp.tokens.tokens import TokenError
from webapp.tokens.verifier import TokenRefused, TokenVerifier, actor_of_job

LIFETIMES = Lifetimes(timedelta(hours=1), timedelta(days=1))
PATHS = ("", "acme", "acme/production", "acme/staging", "globex", "globex/lab")


def require_at(path: str) -> None:
    Scope.update(requires_factor=True).where(Scope.path == path).execute()


def visible_paths(actor: Actor) -> list[str]:
    return [each.path for each in scopes.visible_to(actor).rows]


def with_factor(actor: Actor, vault: Vault) -> Actor:
    """Give the person of the actor a second factor, and return the actor that they now are."""
    add_authenticator(actor.person, vault)
    return accounts.actor_for(actor.person)


@pytest.mark.parametrize(
    ("required_at", "who", "visible"),
    [
        ("acme", "account-viewer", []),
        ("acme", "environment-viewer", []),
        ("acme", "scalr-viewer", list(PATHS)),
        ("acme", "stranger", ["globex", "globex/lab"]),
        ("acme/production", "environment-viewer", []),
        ("acme/production", "account-viewer", ["acme", "acme/production", "acme/staging"]),
        ("acme/production", "scalr-viewer", list(PATHS)),
        ("acme/staging", "environment-viewer", ["acme/production"]),
        ("globex/lab", "account-viewer", ["acme", "acme/production", "acme/staging"]),
        ("", "environment-viewer", []),
        ("", "scalr-admin", []),
    ],
)
def test_a_role_at_the_scope_or_below_does_not_count_without_a_factor(
    actor_of: ActorOf, scope: ScopeAt, vault: Vault, required_at: str, who: str, visible: list[str]
) -> None:
    before = visible_paths(actor_of(who))
    require_at(required_at)
    actor = actor_of(who)
    token = sessions.start(actor.person, SessionKind.PASSWORD, "", "")
    session = sessions.load_session(token, LIFETIMES)
    assert session is not None
    for each in (actor, session.actor):
        assert visible_paths(each) == visible
        for path in PATHS:
            assert (each.role_at(scope(path)) is not None) is (path in visible)
            assert each.lacks_factor(scope(path)) is (path in before and path not in visible)
    assert visible_paths(with_factor(actor, vault)) == before
    session = sessions.load_session(token, LIFETIMES)
    assert session is not None
    assert visible_paths(session.actor) == before


def test_another_role_still_counts(actor_of: ActorOf, scope: ScopeAt) -> None:
    person = actor_of("account-admin").person
    Membership.create(person=person, scope=scope("globex"), role=Role.VIEWER)
    require_at("acme")
    actor = accounts.actor_for(person)
    assert visible_paths(actor) == ["globex", "globex/lab"]
    assert actor.role_at(scope("globex")) is Role.VIEWER
    assert actor.lacks_factor(scope("acme"), Right.MANAGE_MEMBERS)
    with pytest.raises(Forbidden):
        members.invite(actor, scope("acme"), "new@example.com", Role.VIEWER)


def test_a_factor_at_the_provider_counts_in_its_session_and_for_tokens(
    actor_of: ActorOf, scope: ScopeAt
) -> None:
    person = actor_of("account-viewer").person
    require_at("acme")
    kinds = {used: sessions.start(person, SessionKind.PROVIDER, "", "", provider="example",
                                  used_factor=used) for used in (True, False)}  # fmt: skip
    for used, token in kinds.items():
        session = sessions.load_session(token, LIFETIMES)
        assert session is not None
        assert bool(session.actor.roles) is used
    assert not accounts.actor_for(person).roles
    Identity.create(person=person, issuer="i", subject="s", label="x", used_factor=True)
    assert accounts.actor_for(person).roles


def test_a_personal_token_needs_a_factor_but_not_the_token_of_a_scope(
    actor_of: ActorOf, scope: ScopeAt, vault: Vault
) -> None:
    admin, acme = actor_of("account-admin"), scope("acme")
    personal = make_token(admin, acme, vault)
    of_scope = make_token(admin, acme, vault, is_personal=False, role=Role.ADMIN)
    verifier = TokenVerifier(vault, Attempts(""), LastUsed())
    assert verifier.authenticate(personal.text, CLIENT).roles
    require_at("acme")
    with pytest.raises(TokenRefused, match="requires a second factor"):
        verifier.authenticate(personal.text, CLIENT)
    assert verifier.authenticate(of_scope.text, CLIENT).role_at(acme) is Role.ADMIN
    add_authenticator(admin.person, vault)
    assert verifier.authenticate(personal.text, CLIENT).has_factor


def test_a_factor_does_not_count_after_its_provider_was_removed_or_no_longer_counts_it(
    actor_of: ActorOf, scope: ScopeAt
) -> None:
    person = actor_of("account-viewer").person
    require_at("acme")
    Identity.create(person=person, issuer="i", subject="s", label="x", used_factor=True)
    token = sessions.start(
        person, SessionKind.PROVIDER, "", "", provider="example", used_factor=True
    )
    counts = configured("i", second_factor=SecondFactor(acr=frozenset({"mfa"})))
    other = configured("other", key="other", second_factor=counts.second_factor)
    for providers, is_counted in (
        ([counts], True),
        ([configured("i"), other], False),
        ([], False),
    ):
        Identity.update(used_factor=True).execute()
        SignInSession.update(used_factor=True).execute()
        identities.forget_factors(providers)
        session = sessions.load_session(token, LIFETIMES)
        assert session is not None
        assert bool(session.actor.roles) is is_counted
        assert bool(accounts.actor_for(person).roles) is is_counted


@pytest.mark.parametrize("has_role_above", [False, True])
def test_a_session_without_a_factor_does_not_rotate_a_stronger_token(
    actor_of: ActorOf, scope: ScopeAt, vault: Vault, *, has_role_above: bool
) -> None:
    """The factor at the provider counts for the token, but not in a session with a password."""
    admin, acme = actor_of("account-admin"), scope("acme")
    made = make_token(admin, acme, vault)
    require_at("acme")
    Identity.create(person=admin.person, issuer="i", subject="s", label="x", used_factor=True)
    if has_role_above:
        Membership.create(person=admin.person, scope=scope(""), role=Role.VIEWER)
    sessions_by_factor = []
    for used in (False, True):
        text = sessions.start(admin.person, SessionKind.PASSWORD, "", "", used_factor=used)
        session = sessions.load_session(text, LIFETIMES)
        assert session is not None
        sessions_by_factor.append(session.actor)
    weak, strong = sessions_by_factor
    expires_at, verifier = made.token.expires_at, TokenVerifier(vault, Attempts(""), LastUsed())
    with pytest.raises(TokenError if has_role_above else Forbidden):
        tokens.rotate(weak, made.token, vault, expires_at=expires_at)
    by_itself = verifier.authenticate(made.text, CLIENT)
    tokens.rotate(by_itself, made.token, vault, expires_at=expires_at)
    text = tokens.rotate(strong, made.token, vault, expires_at=expires_at).text
    assert verifier.authenticate(text, CLIENT).role_at(acme) is Role.EDITOR
    tokens.revoke(weak, made.token)


def test_a_job_ends_with_the_rights_of_its_person(
    actor_of: ActorOf, scope: ScopeAt, make_image: MakeImage
) -> None:
    image, editor = make_image("acme"), actor_of("account-editor")
    job = models.Job.create(
        scope=scope("acme"), person=editor.person, action="image-share", arguments={}, total=1
    )
    require_at("acme")
    actor = actor_of_job(job)
    assert (actor.roles, actor.job_id) == ({}, job.id)
    with pytest.raises(Forbidden):
        deletion.delete(actor, image)


def test_an_invitation_is_invalid_while_its_maker_lacks_a_factor(
    actor_of: ActorOf, scope: ScopeAt, vault: Vault
) -> None:
    admin = actor_of("account-admin")
    token = members.invite(admin, scope("acme"), "outsider@example.com", Role.VIEWER)
    require_at("acme")
    with pytest.raises(InvalidInvitation):
        members.find_invitation(token)
    add_authenticator(admin.person, vault)
    assert members.find_invitation(token).email == "outsider@example.com"


def test_only_an_admin_with_a_factor_requires_one(
    actor_of: ActorOf, scope: ScopeAt, vault: Vault
) -> None:
    acme = scope("acme")
    for who in ("account-editor", "stranger", "environment-admin"):
        with pytest.raises(Forbidden):
            required_factors.set_required(actor_of(who), acme, required=True)
    admin = actor_of("account-admin")
    with pytest.raises(OwnFactorMissing):
        required_factors.set_required(admin, acme, required=True)
    admin = with_factor(admin, vault)
    for required in (True, True, False):
        required_factors.set_required(admin, scope("acme"), required=required)
        assert scope("acme").requires_factor is required
    entries = AuditEntry.select().where(AuditEntry.action == "member.require_factor")
    entries = entries.order_by(AuditEntry.id)
    assert [entry.changes["second_factor_required"] for entry in entries] == [
        [False, True], [True, False],
    ]  # fmt: skip


def test_a_scope_below_cannot_change_it(actor_of: ActorOf, scope: ScopeAt, vault: Vault) -> None:
    require_at("acme")
    require_at("acme/production")
    admin = with_factor(actor_of("environment-admin"), vault)
    for required in (True, False):
        with pytest.raises(RequirementRefused, match="Account acme requires"):
            required_factors.set_required(admin, scope("acme/production"), required=required)
    assert required_factors.required_above(scope("acme/production")) == scope("acme")
    assert required_factors.required_above(scope("acme")) is None


def test_the_admins_get_a_mail(
    actor_of: ActorOf, scope: ScopeAt, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_enabled", True)
    admin = with_factor(actor_of("account-admin"), vault)
    required_factors.set_required(admin, scope("acme"), required=True)
    mails = OutgoingMail.select().where(OutgoingMail.kind == "factor-requirement")
    assert sorted(mail.recipient for mail in mails) == [
        "account-admin@example.com", "scalr-admin@example.com",
    ]  # fmt: skip


def test_the_people_whose_roles_would_not_count_are_found(
    actor_of: ActorOf, scope: ScopeAt, vault: Vault
) -> None:
    add_authenticator(actor_of("account-viewer").person, vault)
    Person.update(disabled_at=models.now()).where(Person.name == "account-editor").execute()
    found = required_factors.people_without_factor(scope("acme"))
    assert found.total == 4
    assert {person.name for person in found.rows} <= {
        f"{level}-{role}" for level in ("account", "environment") for role in Role
    } - {"account-viewer", "account-editor"}
    require_at("acme")
    lost = required_factors.scopes_with_required_factor(actor_of("account-viewer").person)
    assert [each.path for each in lost] == ["acme"]
    listed: list[Any] = members.members_at(scope("acme")).rows
    lacking = {row.person.name for row in listed if row.lacks_factor}
    assert lacking == {"account-editor", "account-admin"}
