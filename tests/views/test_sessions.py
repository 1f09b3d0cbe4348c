"""The page Sessions, and admins who sign members out."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask.testing import FlaskClient

import models
from models import AuditEntry, Membership, Person, Role, Scope, SignInSession
from tests.cast import PASSWORD
from tests.conftest import ActorOf, ClientOf, Clock, ScopeAt
from tests.views.pages import visible_text
from webapp.access import Forbidden
from webapp.people import members
from webapp.people.members import MemberError

IMAGES = "/account/acme/images"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


def is_signed_in(client: FlaskClient) -> bool:
    return client.get("/sessions").status_code == 200


def describe(client: FlaskClient, browser: str, address: str) -> int:
    """Store where the newest session was started, and return its ID."""
    with models.open_connection():
        row = SignInSession.select().order_by(SignInSession.id.desc()).get()
        row.browser, row.address = browser, address
        row.save()
        return int(row.id)


def test_the_only_session_can_sign_out(client_of: ClientOf) -> None:
    client = client_of("account-viewer")
    describe(client, "Firefox on Linux", "192.0.2.7")
    page = client.get("/sessions")
    text = visible_text(page)
    assert "Firefox on Linux This browser 192.0.2.7" in text
    assert "You’re signed in only in this browser." in text
    assert "Sign out everywhere else" not in text
    assert 'action="/sign-out"' in page.text


def test_other_sessions_are_listed_and_ended(client_of: ClientOf, clock: Clock) -> None:
    here = client_of("account-viewer")
    describe(here, "Firefox on Linux", "192.0.2.7")
    clock.go_to(clock.now + timedelta(hours=1))
    phone = client_of("account-viewer")
    phone_id = describe(phone, "Chrome on iPhone", "2001:db8::1")
    desk = client_of("account-viewer")
    describe(desk, "Edge on Windows", "")
    strangers = client_of("account-editor")
    describe(strangers, "Opera on Android", "")
    page = here.get("/sessions")
    here.post("/confirm", data={"current_password": PASSWORD})
    text = visible_text(page)
    assert text.index("Firefox on Linux") < text.index("Edge on Windows Unknown")
    assert text.index("Edge on Windows Unknown") < text.index("Chrome on iPhone 2001:db8::1")
    assert "Opera" not in text
    assert f'datetime="{clock.now.isoformat()}"' in page.text
    assert page.text.count("This browser") == 1
    question = visible_text(here.get(f"/sessions/{phone_id}/end"))
    assert "Chrome on iPhone signed in from 2001:db8::1" in question
    assert is_signed_in(phone)
    ended = here.post(f"/sessions/{phone_id}/end", follow_redirects=True)
    assert "Signed out of Chrome on iPhone." in visible_text(ended)
    assert [is_signed_in(each) for each in (here, phone, desk, strangers)] == [
        True, False, True, True,
    ]  # fmt: skip
    again = here.post(f"/sessions/{phone_id}/end", follow_redirects=True)
    assert "This session has already ended." in visible_text(again)


def test_all_other_sessions_are_ended_at_once(client_of: ClientOf) -> None:
    here, *others = (client_of("account-viewer") for _ in range(3))
    stranger = client_of("account-editor")
    assert "only in this browser" in visible_text(here.get("/sessions/end-others"))
    assert is_signed_in(others[0])
    page = here.post("/sessions/end-others", follow_redirects=True)
    assert "You’re signed out everywhere else." in visible_text(page)
    assert "You’re signed in only in this browser." in visible_text(page)
    assert [is_signed_in(each) for each in (here, *others, stranger)] == [True, False, False, True]


def test_nobody_ends_the_session_of_another_person(client_of: ClientOf) -> None:
    victim = client_of("account-viewer")
    session_id = describe(victim, "Firefox on Linux", "")
    attacker = client_of("scalr-admin")
    answer = attacker.post(f"/sessions/{session_id}/end", follow_redirects=True)
    assert "This session has already ended." in visible_text(answer)
    attacker.post("/sessions/end-others")
    assert is_signed_in(victim)


def test_expired_sessions_are_not_listed(client_of: ClientOf, clock: Clock) -> None:
    old = client_of("account-viewer")
    describe(old, "Opera on Android", "")
    clock.go_to(clock.now + timedelta(hours=13))
    text = visible_text(client_of("account-viewer").get("/sessions"))
    assert "Opera" not in text
    assert "You’re signed in only in this browser." in text


def test_signing_in_stores_the_browser(client_of: ClientOf) -> None:
    client = client_of("nobody")
    form = {"email": "account-viewer@example.com", "password": "correct horse battery"}
    headers = {"Origin": "http://localhost", "User-Agent": FIREFOX}
    client.post("/sign-in", data=form, headers=headers)
    assert "Firefox on Linux This browser 127.0.0.1" in visible_text(client.get("/sessions"))


def membership_id(who: str, scope: Scope) -> int:
    person = Person.get(Person.email == f"{who}@example.com")
    return int(Membership.get(person=person, scope=scope).id)


@pytest.mark.parametrize(
    ("admin", "member", "path", "may"),
    [
        ("scalr-admin", "account-viewer", "acme", True),
        ("scalr-admin", "stranger", "globex", True),
        ("scalr-admin", "scalr-viewer", "", True),
        ("account-admin", "account-viewer", "acme", True),
        ("account-admin", "environment-admin", "acme/production", True),
        ("environment-admin", "environment-viewer", "acme/production", True),
        ("account-admin", "account-admin", "acme", False),
    ],
)
def test_an_admin_signs_members_out(
    client_of: ClientOf, scope: ScopeAt, admin: str, member: str, path: str, may: bool
) -> None:
    number = membership_id(member, scope(path))
    victim, other = client_of(member), client_of("outsider")
    level = {0: "scalr", 1: f"account/{path}", 2: f"environment/{path}"}[
        len([each for each in path.split("/") if each])
    ]
    client, url = client_of(admin), f"/{level}/members/{number}/sign-out"
    assert (f'href="{url}"' in client.get(f"/{level}/members").text) == may
    assert client.get(url).status_code == (200 if may else 303)
    assert is_signed_in(victim)
    client.post(url)
    assert is_signed_in(victim) != may
    assert is_signed_in(other)
    with models.open_connection():
        entries = AuditEntry.select().where(AuditEntry.action == "member.sign_out")
        found = [(each.subject, each.scope_id) for each in entries]
        assert found == [(f"{member} ({member}@example.com)", scope(path).id)] * may


def test_an_admin_cannot_sign_out_a_person_of_another_account(
    actor_of: ActorOf, client_of: ClientOf, scope: ScopeAt
) -> None:
    stranger = actor_of("stranger").person
    joined = Membership.create(person=stranger, scope=scope("acme"), role=Role.VIEWER)
    client, victim = client_of("account-admin"), client_of("stranger")
    url = f"/account/acme/members/{joined.id}/sign-out"
    assert url not in client.get("/account/acme/members").text
    refused = client.post(url, follow_redirects=True)
    assert "also has a role at a scope that you don’t manage" in visible_text(refused)
    assert is_signed_in(victim)
    with models.open_connection():
        members.sign_out(actor_of("scalr-admin"), scope("acme"), joined.id)
    assert not is_signed_in(victim)


def test_an_admin_cannot_sign_out_people_with_a_role_above(
    actor_of: ActorOf, scope: ScopeAt
) -> None:
    both = actor_of("scalr-viewer").person
    joined = Membership.create(person=both, scope=scope("acme"), role=Role.VIEWER)
    with pytest.raises(MemberError):
        members.sign_out(actor_of("account-admin"), scope("acme"), joined.id)
    with pytest.raises(Forbidden):
        members.sign_out(actor_of("account-editor"), scope("acme"), joined.id)
    similar = Scope.create(
        level=models.Level.ACCOUNT, parent=scope(""), path="acme-2", name="acme-2"
    )
    Membership.update(scope=similar).where(Membership.scope == scope("")).where(
        Membership.person == both
    ).execute()
    with pytest.raises(MemberError):
        members.sign_out(actor_of("account-admin"), scope("acme"), joined.id)


def test_an_admin_may_sign_out_people_whose_roles_are_all_at_or_below_their_scope(
    actor_of: ActorOf, scope: ScopeAt
) -> None:
    everybody, production = list(Person.select()), scope("acme/production")

    def names(admin: str) -> set[str]:
        found = members.who_may_be_signed_out(actor_of(admin), production, everybody)
        return {person.name for person in everybody if person.id in found}

    environment = {"environment-viewer", "environment-editor", "outsider"}
    account = {"account-viewer", "account-editor", *environment, "environment-admin"}
    assert names("environment-admin") == environment
    assert names("account-admin") == account
    assert names("scalr-admin") == {each.name for each in everybody} - {"scalr-admin"}
    assert names("account-editor") == set()
    assert names("stranger") == set()
