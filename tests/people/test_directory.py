"""Admins of Scalr disable, enable and remove people."""

from __future__ import annotations

import pytest

import models
from models import (
    AuditEntry,
    Image,
    Invitation,
    Membership,
    Person,
    Role,
    SavedView,
    SignInSession,
    now,
)
from tests.cast import PASSWORD
from tests.conftest import ActorOf, ClientOf, MakeImage, ScopeAt
from tests.views.pages import visible_text
from webapp.access import Forbidden
from webapp.people import accounts, directory, members, sessions
from webapp.people.attempts import Attempts
from webapp.people.directory import PersonError
from webapp.people.members import InvalidInvitation, MemberError
from webapp.people.sessions import SignInRefused

EMAIL = "account-editor@example.com"
SIGN_IN = {"email": EMAIL, "password": PASSWORD}
SITE = {"Origin": "http://localhost"}


def test_a_disabled_person_is_signed_out_and_cannot_sign_in(
    actor_of: ActorOf, client_of: ClientOf
) -> None:
    admin, victim, editor = (
        client_of("scalr-admin"),
        client_of("account-editor"),
        actor_of("account-editor"),
    )
    url = f"/scalr/people/{editor.person.id}"
    assert EMAIL in visible_text(admin.get(f"{url}/disable"))
    page = admin.post(f"{url}/disable", follow_redirects=True)
    assert "account-editor disabled and signed out everywhere." in visible_text(page)
    assert victim.get("/sessions").status_code == 303
    refused = client_of("nobody").post("/sign-in", data=SIGN_IN, headers=SITE)
    assert "Incorrect e-mail address or password." in visible_text(refused)
    page = admin.post(f"{url}/enable", follow_redirects=True)
    assert "They can sign in again." in visible_text(page)
    assert client_of("nobody").post("/sign-in", data=SIGN_IN, headers=SITE).status_code == 303
    with models.open_connection():
        actions = AuditEntry.select().where(AuditEntry.subject == f"account-editor ({EMAIL})")
        assert [each.action for each in actions.order_by(AuditEntry.id)] == [
            "person.disable",
            "person.refused",
            "person.enable",
        ]


@pytest.mark.parametrize("action", ["disable", "remove"])
def test_all_sessions_of_a_disabled_or_removed_person_end_at_once(
    actor_of: ActorOf, client_of: ClientOf, action: str
) -> None:
    browsers, other = [client_of("account-editor") for _ in range(3)], client_of("account-admin")
    editor = actor_of("account-editor").person
    for client in browsers:
        assert client.get("/account/acme/images").status_code == 200
    client_of("scalr-admin").post(f"/scalr/people/{editor.id}/{action}")
    for client in browsers:
        assert client.get("/account/acme/images").location.startswith("/sign-in")
    assert other.get("/account/acme/images").status_code == 200
    with models.open_connection():
        assert not SignInSession.select().where(SignInSession.person == editor).exists()


def test_a_session_that_an_older_version_begins_for_a_disabled_person_is_not_valid(
    actor_of: ActorOf,
) -> None:
    """An older version does not know that the person is disabled."""
    lifetimes = sessions.Lifetimes(*[models.now() - models.now().replace(year=2000)] * 2)
    editor = actor_of("account-editor").person
    directory.disable(actor_of("scalr-admin"), editor.id)
    person = Person.get_by_id(editor.id)
    assert person.session_key != editor.session_key
    token = sessions.start(person, models.SessionKind.PASSWORD, "", "")
    assert sessions.load_session(token, lifetimes) is None


def test_the_jobs_of_a_disabled_person_have_no_rights(actor_of: ActorOf, scope: ScopeAt) -> None:
    editor = actor_of("account-editor").person
    directory.disable(actor_of("scalr-admin"), editor.id)
    assert accounts.actor_for(Person.get_by_id(editor.id)).role_at(scope("acme")) is None


def test_a_removed_person_keeps_only_their_name(
    actor_of: ActorOf, scope: ScopeAt, make_image: MakeImage
) -> None:
    admin, editor, acme = actor_of("scalr-admin"), actor_of("account-editor").person, scope("acme")
    image = make_image("acme")
    Image.update(registered_by=editor, registered_by_name=editor.name).execute()
    for shared in (True, False):
        SavedView.create(person=editor, scope=acme, name=str(shared), path="images", shared=shared)
    directory.remove(admin, editor.id)
    assert Image.get_by_id(image.id).registered_by_name == "account-editor"
    assert Person.get_by_id(editor.id).name == "account-editor"
    assert [view.shared for view in SavedView.select()] == [True]
    assert not Membership.select().where(Membership.person == editor).exists()
    assert not SignInSession.select().where(SignInSession.person == editor).exists()
    with pytest.raises(SignInRefused):
        sessions.sign_in(EMAIL, PASSWORD, "", Attempts(""))
    with pytest.raises(SignInRefused):
        sessions.sign_in(f"removed:{editor.id}", PASSWORD, "", Attempts(""))
    assert editor.id not in {person.id for person in directory.find_people().rows}
    actions = {entry.action: entry for entry in AuditEntry.select()}
    assert actions["person.remove"].person_email == "scalr-admin@example.com"
    assert actions["member.remove"].scope == acme
    token = members.invite(admin, acme, EMAIL, Role.VIEWER)
    newcomer, _ = members.accept_with_new_account(token, "Somebody new", PASSWORD)
    assert newcomer.id != editor.id


def test_nobody_locks_themselves_or_the_last_admin_out(actor_of: ActorOf, scope: ScopeAt) -> None:
    admin, editor = actor_of("scalr-admin"), actor_of("scalr-editor").person
    for change in (directory.disable, directory.remove):
        with pytest.raises(PersonError, match="yourself"):
            change(admin, admin.person.id)
    Membership.update(role=Role.ADMIN).where(Membership.person == editor).execute()
    second = actor_of("scalr-editor")
    # Both admins disable each other at once: the second request finds that it would lock out all.
    directory.disable(admin, editor.id)
    for change in (directory.disable, directory.remove):
        with pytest.raises(MemberError, match="last admin of the Scalr scope"):
            change(second, admin.person.id)
    own = Membership.get(person=admin.person, scope=scope(""))
    with pytest.raises(MemberError, match="last admin of the Scalr scope"):
        members.remove(second, scope(""), own.id)


def test_two_admins_act_on_a_person_at_once(actor_of: ActorOf) -> None:
    admin, editor = actor_of("scalr-admin"), actor_of("account-editor").person
    directory.disable(admin, editor.id)
    with pytest.raises(PersonError, match="already been disabled"):
        directory.disable(admin, editor.id)
    directory.enable(admin, editor.id)
    with pytest.raises(PersonError, match="already been enabled"):
        directory.enable(admin, editor.id)
    directory.remove(admin, editor.id)
    for change in (directory.disable, directory.enable, directory.remove):
        with pytest.raises(PersonError, match="already been removed"):
            change(admin, editor.id)


def test_an_admin_of_an_account_has_no_page_people(actor_of: ActorOf, client_of: ClientOf) -> None:
    editor = actor_of("account-editor").person
    for change in (directory.disable, directory.enable, directory.remove):
        with pytest.raises(Forbidden):
            change(actor_of("account-admin"), editor.id)
    assert ">People<" not in client_of("account-admin").get("/account/acme/images").text
    assert "People" in visible_text(client_of("scalr-admin").get("/scalr/images"))


def test_the_page_lists_roles_and_sign_ins(
    actor_of: ActorOf, client_of: ClientOf, scope: ScopeAt
) -> None:
    viewer = actor_of("account-viewer").person
    for path in ("globex", "globex/lab", "acme/staging"):
        Membership.create(person=viewer, scope=scope(path), role=Role.EDITOR)
    Person.update(signed_in_at=now()).where(Person.id == viewer.id).execute()
    page = client_of("scalr-admin").get("/scalr/people?q=account-viewer")
    text = visible_text(page)
    assert "account-viewer account-viewer@example.com Viewer at Account acme" in text
    assert "and 1 more" in text
    assert "Active Disable account-viewer Remove account-viewer" in text
    assert "account-admin" not in text


@pytest.mark.parametrize("loss", ["role", "disabled", "removed"])
def test_an_invitation_ends_with_the_right_of_its_maker(
    actor_of: ActorOf, client_of: ClientOf, scope: ScopeAt, loss: str
) -> None:
    acme, scalr_admin = scope("acme"), actor_of("scalr-admin")
    maker = actor_of("account-admin").person
    token = members.invite(actor_of("account-admin"), acme, "new@example.com", Role.VIEWER)
    assert members.find_invitation(token)
    page = client_of("scalr-admin").get("/account/acme/members")
    assert "invited by account-admin (account-admin@example.com)" in visible_text(page)
    assert "doesn’t work anymore" not in visible_text(page)
    if loss == "role":
        member = Membership.get(person=maker, scope=acme)
        members.change_role(scalr_admin, acme, member.id, Role.EDITOR)
    elif loss == "disabled":
        directory.disable(scalr_admin, maker.id)
    else:
        directory.remove(scalr_admin, maker.id)
    with pytest.raises(InvalidInvitation):
        members.accept_with_new_account(token, "New", PASSWORD)
    assert Invitation.get(email="new@example.com")
    text = visible_text(client_of("scalr-admin").get("/account/acme/members"))
    assert "The link doesn’t work anymore , because the person who made it can no longer" in text
