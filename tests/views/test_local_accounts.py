"""With LOCAL_ACCOUNTS=false, only the emergency administrator signs in with a password."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import models
from models import AuditEntry, Identity, Role
from tests.cast import PASSWORD
from tests.conftest import ActorOf, ClientOf, ScopeAt
from tests.single_sign_on import conftest as sign_on
from tests.single_sign_on.helpers import begin_visit
from tests.single_sign_on.provider import IdentityProvider
from tests.views.pages import visible_text
from webapp.mail import outbox
from webapp.people import members
from webapp.web.services import Services

idp = sign_on.idp
EMERGENCY = "scalr-admin@example.com"
OTHER = "account-admin@example.com"


@pytest.fixture
def no_passwords(app: Flask, idp: IdentityProvider) -> None:
    services: Services = app.extensions["services"]
    settings = replace(services.settings, local_accounts=False, emergency_admin=EMERGENCY)
    app.extensions["services"] = replace(services, settings=settings)


def enter_password(client: FlaskClient, email: str) -> TestResponse:
    return client.post("/sign-in", data={"email": email, "password": PASSWORD})


@pytest.mark.usefixtures("no_passwords")
def test_only_the_emergency_administrator_signs_in_with_a_password(client_of: ClientOf) -> None:
    client = client_of("nobody")
    for email in (OTHER, "unknown@example.com"):
        answer = enter_password(client, email)
        assert answer.status_code == 422
        assert "Incorrect e-mail address or password" in visible_text(answer)
    with models.open_connection():
        assert AuditEntry.select().order_by(AuditEntry.id.desc()).get().action == "person.refused"
    assert enter_password(client, f" {EMERGENCY.upper()} ").status_code == 303
    assert client.get("/password").status_code == 200


def test_everybody_uses_passwords_by_default(client_of: ClientOf) -> None:
    assert enter_password(client_of("nobody"), OTHER).status_code == 303


@pytest.mark.usefixtures("no_passwords")
def test_without_an_emergency_administrator_no_page_asks_for_a_password(
    app: Flask, client_of: ClientOf
) -> None:
    page = client_of("nobody").get("/sign-in")
    assert "Emergency sign-in" in visible_text(page)
    services: Services = app.extensions["services"]
    settings = replace(services.settings, emergency_admin="")
    app.extensions["services"] = replace(services, settings=settings)
    page = client_of("nobody").get("/sign-in")
    assert "Sign in with Example SSO" in visible_text(page)
    assert 'type="password"' not in page.text
    assert enter_password(client_of("nobody"), "").status_code == 422


@pytest.mark.usefixtures("no_passwords")
def test_pages_that_set_passwords_are_closed(
    client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "is_enabled", lambda: True)
    client = client_of("nobody")
    assert "Forgot your password?" not in visible_text(client.get("/sign-in"))
    for url in ("/forgot-password", "/reset-password/token"):
        assert client.get(url).status_code == client.post(url).status_code == 404
    member = client_of("account-admin")
    assert "You have no password" in visible_text(member.get("/password", follow_redirects=True))
    assert "Change password" not in visible_text(member.get("/security"))


@pytest.mark.usefixtures("no_passwords")
def test_an_invitation_leads_to_the_sign_in(
    client_of: ClientOf, actor_of: ActorOf, scope: ScopeAt
) -> None:
    with models.open_connection():
        admin = actor_of("scalr-admin")
        token = members.invite(admin, scope("acme"), "new@example.com", Role.VIEWER)
    url = f"/invitation/{token}"
    form = {"name": "New", "password": "seven purple otters juggle"}
    for answer in (client_of("nobody").get(url), client_of("nobody").post(url, data=form)):
        assert answer.location == f"/sign-in?next={url}"


def test_the_last_account_stays_linked(
    client_of: ClientOf, actor_of: ActorOf, idp: IdentityProvider, no_passwords: None
) -> None:
    with models.open_connection():
        person = actor_of("account-admin").person
        number = Identity.create(person=person, issuer=idp.issuer, subject="s", label="s").id
    url = f"/security/identities/{number}/unlink"
    client = client_of("account-admin")
    assert "only way to sign in" in visible_text(client.post(url, follow_redirects=True))


@pytest.mark.usefixtures("no_passwords")
def test_a_stranger_is_not_told_to_use_a_password(
    client_of: ClientOf, idp: IdentityProvider
) -> None:
    client = client_of("nobody")
    answer = client.get(idp.visit(begin_visit(client)))
    assert "Ask the platform team (platform@example.com) for access" in visible_text(answer)
    assert "with your password" not in visible_text(answer)
