"""Invitations, links to choose a new password, and security notices arrive by mail."""

from __future__ import annotations

import re
from contextlib import suppress
from urllib.parse import urlsplit

import pytest
from flask import Flask

from models import (
    AuditEntry,
    Invitation,
    Membership,
    OutgoingMail,
    PasswordReset,
    Person,
    Role,
    SessionKind,
    SignInSession,
)
from tests.cast import PASSWORD
from tests.conftest import ActorOf, ClientOf, Clock, ScopeAt
from tests.factors.helpers import add_authenticator, code
from tests.mail.conftest import SITE, SendAll, let_retry, outgoing
from tests.mail.server import MailServer
from tests.single_sign_on.conftest import configured
from webapp.credentials.vault import Vault
from webapp.mail import outbox
from webapp.mail.messages import TEMPLATES
from webapp.mail.outbox import Kind
from webapp.people import accounts, members, resets, sessions
from webapp.people.accounts import PasswordRefused
from webapp.people.resets import InvalidReset
from webapp.single_sign_on import identities
from webapp.single_sign_on.identities import LinkRefused, PendingLink

NEW_PASSWORD = "seven purple otters juggle"
pytestmark = pytest.mark.usefixtures("db")


def path_in(server: MailServer) -> str:
    """Return the path of the link in the last mail."""
    (link,) = re.findall(r"https?://\S+", server.received[-1].get_content())
    assert link.startswith(f"{SITE}/")
    return link.removeprefix(SITE)


def person_of(name: str) -> Person:
    return Person.get(Person.email == f"{name}@example.com")


def kinds() -> list[tuple[str, str]]:
    return [(mail.kind, mail.recipient.partition("@")[0]) for mail in outgoing()]


def test_an_invitation_goes_only_to_the_invited_address(
    client_of: ClientOf, server: MailServer, send_all: SendAll
) -> None:
    admin = client_of("account-admin")
    form = {"email": "Nora@Example.com", "role": "editor"}
    answer = admin.post("/account/acme/members", data=form, follow_redirects=True)
    assert "/invitation/" not in answer.text
    assert "We’ll send the invitation to" in answer.text
    assert "hasn’t been sent yet" in answer.text
    send_all()
    assert server.received[0]["To"] == "nora@example.com"
    path = path_in(server)
    stored = str(list(Invitation.select().dicts())) + str(list(OutgoingMail.select().dicts()))
    assert path.rpartition("/")[2] not in stored
    assert "sent yet" not in admin.get("/account/acme/members").text
    answer = client_of("nobody").post(path, data={"name": "Nora", "password": NEW_PASSWORD})
    assert answer.location == "/account/acme/images"
    assert person_of("nora").email_verified_at is not None


def test_an_invitation_without_mail_proves_nothing(
    client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.mail.outbox._enabled", False)
    form = {"email": "nora@example.com", "role": "editor"}
    page = client_of("account-admin").post("/account/acme/members", data=form).text
    assert "only a label" in page
    (path,) = re.findall(r"(/invitation/[\w-]+)</code>", page)
    nobody = client_of("nobody")
    assert "only a label" in nobody.get(path).text
    nobody.post(path, data={"name": "Nora", "password": NEW_PASSWORD})
    assert person_of("nora").email_verified_at is None


def test_an_invitation_has_the_same_link_in_each_attempt(
    actor_of: ActorOf, scope: ScopeAt, server: MailServer, send_all: SendAll
) -> None:
    members.invite(actor_of("account-admin"), scope("acme"), "nora@example.com", Role.EDITOR)
    digests = []
    server.reply_to_data = "451 4.7.1 Greylisted"
    for _ in range(2):
        send_all()
        digests.append(Invitation.get().token_digest)
        let_retry()
        server.reply_to_data = "250 OK"
    assert digests[0] == digests[1]
    assert members.find_invitation(path_in(server).rpartition("/")[2]).mailed


def test_the_mail_of_a_withdrawn_invitation_is_not_sent(
    actor_of: ActorOf, scope: ScopeAt, server: MailServer, send_all: SendAll
) -> None:
    admin, acme = actor_of("account-admin"), scope("acme")
    members.invite(admin, acme, "nora@example.com", Role.EDITOR)
    members.withdraw_invitation(admin, acme, Invitation.get().id)
    send_all()
    assert not server.received


def test_a_password_is_reset_once_and_ends_all_sessions(
    client_of: ClientOf, server: MailServer, send_all: SendAll
) -> None:
    person = person_of("account-editor")
    sessions.start(person, SessionKind.PASSWORD, "", "")
    nobody = client_of("nobody")
    assert "/forgot-password" in nobody.get("/sign-in").text
    nobody.post("/forgot-password", data={"email": person.email})
    send_all()
    path = path_in(server)
    assert PasswordReset.get().token_digest not in path
    assert "Choose a new password" in nobody.get(path).text
    short = nobody.post(path, data={"password": "short"})
    assert short.status_code == 422
    done = nobody.post(path, data={"password": NEW_PASSWORD})
    assert urlsplit(done.location).path == "/sign-in"
    changed = person_of("account-editor")
    assert accounts.verify_password(changed, NEW_PASSWORD)
    assert changed.email_verified_at is not None
    assert not SignInSession.select().where(SignInSession.person == person).count()
    assert AuditEntry.select().where(AuditEntry.action == "person.reset").count() == 1
    assert nobody.post(path, data={"password": PASSWORD}).status_code == 404
    assert kinds() == [(Kind.PASSWORD_CHANGED, "account-editor")]


def test_a_new_password_does_not_replace_the_second_factor(
    client_of: ClientOf, server: MailServer, send_all: SendAll, vault: Vault
) -> None:
    person, nobody = person_of("account-editor"), client_of("nobody")
    add_authenticator(person, vault)
    nobody.post("/forgot-password", data={"email": person.email})
    send_all()
    nobody.post(path_in(server), data={"password": NEW_PASSWORD})
    assert nobody.get("/sessions").location.startswith("/sign-in")
    form = {"email": person.email, "password": NEW_PASSWORD}
    step = nobody.post("/sign-in", data=form).location
    assert step.startswith("/sign-in/code")
    assert nobody.get("/sessions").location.startswith("/sign-in")
    assert nobody.post(step, data={"code": code()}).status_code == 303
    assert nobody.get("/sessions").status_code == 200


def test_an_unknown_address_gets_the_same_answer_and_no_mail(
    client_of: ClientOf, server: MailServer, send_all: SendAll
) -> None:
    nobody = client_of("nobody")
    emails = ("account-editor@example.com", "account-nobody@example.com")
    pages = [nobody.post("/forgot-password", data={"email": email}) for email in emails]
    known, unknown = (
        page.text.replace(email, "") for page, email in zip(pages, emails, strict=True)
    )
    assert known == unknown
    assert [mail.recipient for mail in outgoing()] == list(emails)
    send_all()
    assert [message["To"] for message in server.received] == [emails[0]]
    assert not outgoing()


def test_requests_are_slowed_down(client_of: ClientOf) -> None:
    nobody = client_of("nobody")
    form = {"email": "account-editor@example.com"}
    answers = [nobody.post("/forgot-password", data=form) for _ in range(7)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
    assert answers[-1].headers["Retry-After"]
    assert "too many links" in answers[-1].text


def test_a_person_has_few_links_at_once_and_they_expire(
    send_all: SendAll, server: MailServer, clock: Clock
) -> None:
    for _ in range(resets.MAX_LINKS + 1):
        outbox.post(Kind.PASSWORD_RESET, "account-editor@example.com", lifetime=resets.LIFETIME)
    send_all()
    assert len(server.received) == resets.MAX_LINKS
    token = path_in(server).rpartition("/")[2]
    assert resets.find_person(token).name == "account-editor"
    clock.go_to(clock.now + resets.LIFETIME)
    with pytest.raises(InvalidReset):
        resets.find_person(token)
    resets.purge_chunk()
    assert not PasswordReset.select().count()


def test_a_new_password_ends_links_that_reset_the_old_one(
    actor_of: ActorOf, send_all: SendAll, server: MailServer
) -> None:
    outbox.post(Kind.PASSWORD_RESET, "account-editor@example.com")
    send_all()
    token = path_in(server).rpartition("/")[2]
    with pytest.raises(PasswordRefused):
        resets.reset_password(token, "short")
    accounts.change_password(actor_of("account-editor"), NEW_PASSWORD)
    with pytest.raises(InvalidReset):
        resets.reset_password(token, PASSWORD)


def test_a_sign_in_with_a_new_browser_is_reported(client_of: ClientOf) -> None:
    browser = client_of("nobody")
    form = {"email": "account-editor@example.com", "password": PASSWORD}
    browser.post("/sign-in", data=form)
    assert kinds() == [(Kind.NEW_SIGN_IN, "account-editor")]
    browser.post("/sign-out")
    browser.post("/sign-in", data=form)
    assert len(outgoing()) == 1


def test_admins_who_change_an_account_are_reported(
    actor_of: ActorOf, scope: ScopeAt, send_all: SendAll, server: MailServer
) -> None:
    admin, scalr = actor_of("scalr-admin"), scope("")
    membership = Membership.get(person=person_of("scalr-viewer"), scope=scalr)
    members.sign_out(admin, scalr, membership.id)
    members.change_role(admin, scalr, membership.id, Role.EDITOR)
    members.remove(admin, scalr, membership.id)
    below = Membership.get(person=person_of("account-viewer"))
    members.change_role(admin, scope("acme"), below.id, Role.EDITOR)
    roles = [Kind.ROLE_CHANGED] * 2
    assert kinds() == [(kind, "scalr-viewer") for kind in (Kind.SESSIONS_ENDED, *roles)]
    send_all()
    texts = [message.get_content() for message in server.received]
    assert all("scalr-admin@example.com" in text for text in texts)
    assert "viewer" in texts[1]
    assert "none" in texts[2]


def test_linked_and_unlinked_accounts_are_reported(
    actor_of: ActorOf, send_all: SendAll, server: MailServer
) -> None:
    actor, provider = actor_of("account-viewer"), configured("https://login.example.com")
    pending = PendingLink("example", provider.issuer, "1", "v@example.org")
    identity = identities.link(actor, pending, provider)
    for _ in range(2):
        with suppress(LinkRefused):
            identities.link(actor, pending, provider)
    session = SignInSession(id=0)
    identities.unlink(actor, identity.id, session, [provider], uses_password=True)
    assert kinds() == [
        (Kind.IDENTITY_LINKED, "account-viewer"),
        (Kind.IDENTITY_UNLINKED, "account-viewer"),
    ]
    send_all()
    for message in server.received:
        assert "v@example.org at Example SSO" in message.get_content()


@pytest.mark.parametrize("kind", Kind)
def test_each_link_leads_to_a_page(app: Flask, kind: Kind) -> None:
    """The application knows its URL only in requests, so the templates contain the paths."""
    adapter = app.url_map.bind("")
    text = (TEMPLATES / f"{kind}.txt").read_text()
    for path in re.findall(r"\{\{ site \}\}(\S+)", text):
        assert adapter.match(path.replace("{{", "x"))


def test_an_admin_of_scalr_sees_that_mails_fail(
    client_of: ClientOf, server: MailServer, send_all: SendAll
) -> None:
    server.refused_recipient = "account-editor@example.com"
    outbox.post(Kind.PASSWORD_CHANGED, server.refused_recipient, time="now")
    send_all()
    assert "550 5.1.1" in client_of("scalr-admin").get("/scalr/members").text
    assert "550 5.1.1" not in client_of("account-admin").get("/account/acme/members").text
