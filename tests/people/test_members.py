"""Members and invitations."""

from __future__ import annotations

from datetime import timedelta

import pytest

import models
from models import AuditEntry, Invitation, Membership, Role, now
from tests.cast import PASSWORD
from tests.conftest import ActorOf, ScopeAt
from webapp.access import Forbidden
from webapp.people import accounts, members
from webapp.people.members import InvalidInvitation, MemberError


def test_inherited_members_are_listed_last(scope: ScopeAt) -> None:
    rows = members.members_at(scope("acme/production")).rows
    assert [row.scope.path for row in rows] == ["acme/production"] * 3 + ["acme"] * 3 + [""] * 3


def test_a_person_may_know_the_admins_of_scopes_at_which_they_have_a_role(
    actor_of: ActorOf, scope: ScopeAt
) -> None:
    def admins(who: str, path: str) -> list[str]:
        return [each.name for each in members.admins_known_to(actor_of(who), scope(path))]

    nearest_first = ["environment-admin", "account-admin", "scalr-admin"]
    assert admins("scalr-viewer", "acme/production") == nearest_first
    assert admins("account-viewer", "acme/production") == nearest_first[:2]
    assert admins("environment-viewer", "acme/production") == nearest_first[:1]
    assert admins("environment-viewer", "acme") == []
    assert admins("outsider", "acme") == []
    assert admins("account-admin", "acme") == []


def test_an_invitation_can_be_accepted_once_with_a_new_account(
    actor_of: ActorOf, scope: ScopeAt
) -> None:
    acme = scope("acme")
    token = members.invite(actor_of("account-admin"), acme, " New@Example.com ", Role.EDITOR)
    assert token not in str(list(Invitation.select().dicts()))
    person, joined = members.accept_with_new_account(token, "New One", "a long enough one")
    assert (person.email, joined) == ("new@example.com", acme)
    assert accounts.actor_for(person).role_at(scope("acme/staging")) is Role.EDITOR
    with pytest.raises(InvalidInvitation):
        members.accept_with_new_account(token, "Again", "a long enough one")
    actions = [entry.action for entry in AuditEntry.select().order_by(AuditEntry.id)]
    assert actions == ["member.invite", "member.join"]


def test_an_invitation_can_be_accepted_with_an_existing_account(
    actor_of: ActorOf, scope: ScopeAt
) -> None:
    invited, acme = actor_of("environment-viewer").person, scope("acme")
    token = members.invite(actor_of("account-admin"), acme, invited.email, Role.ADMIN)
    with pytest.raises(MemberError, match="Sign in"):
        members.accept_with_new_account(token, "Somebody else", "a long enough one")
    with pytest.raises(InvalidInvitation):
        members.accept_invitation(actor_of("outsider").person, token)
    assert members.accept_invitation(invited, token) == acme
    assert Membership.get(person=invited, scope=acme).role is Role.ADMIN


def test_replaced_and_expired_invitations_are_invalid(actor_of: ActorOf, scope: ScopeAt) -> None:
    acme, admin = scope("acme"), actor_of("account-admin")
    first = members.invite(admin, acme, "new@example.com", Role.VIEWER)
    second = members.invite(admin, acme, "new@example.com", Role.EDITOR)
    with pytest.raises(InvalidInvitation):
        members.find_invitation(first)
    assert members.find_invitation(second).role is Role.EDITOR
    Invitation.update(expires_at=now() - timedelta(seconds=1)).execute()
    with pytest.raises(InvalidInvitation):
        members.find_invitation(second)
    assert members.open_invitations(acme).rows == []


def test_a_withdrawn_invitation_is_invalid(actor_of: ActorOf, scope: ScopeAt) -> None:
    acme, admin = scope("acme"), actor_of("account-admin")
    token = members.invite(admin, acme, "new@example.com", Role.VIEWER)
    invitation = members.find_invitation(token)
    with pytest.raises(MemberError):
        members.withdraw_invitation(actor_of("stranger"), scope("globex"), invitation.id)
    members.withdraw_invitation(admin, acme, invitation.id)
    with pytest.raises(InvalidInvitation):
        members.find_invitation(token)


def test_members_are_not_invited_again(actor_of: ActorOf, scope: ScopeAt) -> None:
    with pytest.raises(MemberError, match="already"):
        members.invite(
            actor_of("account-admin"), scope("acme"), "account-viewer@example.com", Role.ADMIN
        )


def test_an_admin_changes_roles_and_removes_members(actor_of: ActorOf, scope: ScopeAt) -> None:
    acme, admin = scope("acme"), actor_of("account-admin")
    row = Membership.get(person=actor_of("account-viewer").person, scope=acme)
    members.change_role(admin, acme, row.id, Role.EDITOR)
    assert actor_of("account-viewer").role_at(acme) is Role.EDITOR
    members.remove(admin, acme, row.id)
    assert actor_of("account-viewer").role_at(acme) is None
    with pytest.raises(MemberError):
        members.remove(admin, acme, row.id)


def test_an_admin_of_a_lower_scope_cannot_remove_inherited_members(
    actor_of: ActorOf, scope: ScopeAt
) -> None:
    row = Membership.get(person=actor_of("account-admin").person, scope=scope("acme"))
    admin = actor_of("environment-admin")
    with pytest.raises(MemberError):
        members.remove(admin, scope("acme/production"), row.id)
    with pytest.raises(Forbidden):
        members.remove(admin, scope("acme"), row.id)


def test_the_last_admin_of_scalr_cannot_be_removed(actor_of: ActorOf, scope: ScopeAt) -> None:
    scalr, admin = scope(""), actor_of("scalr-admin")
    row = Membership.get(person=admin.person, scope=scalr)
    with pytest.raises(MemberError, match="last admin"):
        members.remove(admin, scalr, row.id)
    with pytest.raises(MemberError, match="last admin"):
        members.change_role(admin, scalr, row.id, Role.EDITOR)


def test_a_weak_password_does_not_use_up_the_invitation(actor_of: ActorOf, scope: ScopeAt) -> None:
    token = members.invite(actor_of("account-admin"), scope("acme"), "new@example.com", Role.VIEWER)
    with pytest.raises(accounts.PasswordRefused):
        members.accept_with_new_account(token, "New", "short")
    assert members.accept_with_new_account(token, "New", PASSWORD)


def test_a_password_is_hashed_before_the_transaction(
    actor_of: ActorOf, scope: ScopeAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On SQLite, a transaction keeps all others from saving."""
    token = members.invite(actor_of("account-admin"), scope("acme"), "new@example.com", Role.VIEWER)
    in_transaction, make_hash = [], accounts._hash

    def observed(password: str) -> str:
        in_transaction.append(models.database.in_transaction())
        return make_hash(password)

    monkeypatch.setattr(accounts, "_hash", observed)
    assert members.accept_with_new_account(token, "New", PASSWORD)
    assert in_transaction == [False]


def test_an_invitation_that_was_just_accepted_is_not_withdrawn(
    actor_of: ActorOf, scope: ScopeAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme, admin = scope("acme"), actor_of("account-admin")
    token = members.invite(admin, acme, "new@example.com", Role.VIEWER)
    read = members.find_invitation(token)
    members.accept_with_new_account(token, "New One", "a long enough one")
    monkeypatch.setattr(Invitation, "get_or_none", lambda **_: read)
    with pytest.raises(MemberError, match="already been accepted"):
        members.withdraw_invitation(admin, acme, read.id)
    actions = {entry.action for entry in AuditEntry.select()}
    assert actions == {"member.invite", "member.join"}


def test_an_invitation_that_replaces_another_records_both_roles(
    actor_of: ActorOf, scope: ScopeAt
) -> None:
    acme, admin = scope("acme"), actor_of("account-admin")
    for role in (Role.VIEWER, Role.ADMIN, Role.ADMIN):
        members.invite(admin, acme, "new@example.com", role)
    entries = AuditEntry.select().order_by(AuditEntry.id)
    assert [entry.changes["role"] for entry in entries] == [
        [None, "viewer"],
        ["viewer", "admin"],
        [None, "admin"],
    ]
