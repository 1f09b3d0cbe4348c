"""Sensitive changes need a proof of identity that is not older than 15 minutes."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import models
from models import CloudCredentials, Invitation, SignInSession
from tests.cast import PASSWORD
from tests.conftest import ActorOf, ClientOf, Clock
from tests.factors.helpers import add_authenticator, code
from tests.views.pages import visible_text
from webapp.credentials.vault import Vault
from webapp.people import accounts

MEMBERS = "/account/acme/members"
SITE = {"Origin": "http://localhost", "Referer": f"http://localhost{MEMBERS}"}
INVITED = {"email": "new@example.com", "role": "viewer"}


def old_session(client_of: ClientOf, clock: Clock) -> FlaskClient:
    client = client_of("account-admin")
    clock.go_to(clock.now + timedelta(minutes=15, seconds=1))
    return client


def answer_form(client: FlaskClient, page: TestResponse, **fields: str) -> TestResponse:
    """Send the form of the Confirm that it's you page."""
    found = re.search(r'name="unsent" value="([^"]*)"', page.text)
    assert found is not None
    form = {"unsent": html.unescape(found[1]), **fields}
    return client.post("/confirm", data=form, headers=SITE)


def send_again(client: FlaskClient, page: TestResponse) -> TestResponse:
    """Send the unsent form in the page, as app.js does."""
    form = r'action="([^"]+)" data-resume>(.*?)</form>'
    action, inputs = re.findall(form, page.text, re.DOTALL)[0]
    values = dict(re.findall(r'name="([^"]+)" value="([^"]*)"', inputs))
    return client.post(action, data=values, headers=SITE)


def test_a_form_waits_for_the_password_and_is_then_processed(
    client_of: ClientOf, clock: Clock
) -> None:
    client = old_session(client_of, clock)
    page = client.post(MEMBERS, data=INVITED, headers=SITE)
    assert (page.status_code, "Confirm that it’s you" in page.text) == (401, True)
    wrong = answer_form(client, page, current_password="wrong")
    assert "Your current password is incorrect" in visible_text(wrong)
    with models.open_connection():
        assert Invitation.select().count() == 0
    ready = answer_form(client, wrong, current_password=PASSWORD)
    assert "Select Continue to submit it." in visible_text(ready)
    assert "Send this link to new@example.com" in visible_text(send_again(client, ready))
    assert client.get("/account/acme/credentials/new").status_code == 200


def test_a_person_with_a_factor_enters_the_password_and_a_code(
    client_of: ClientOf, actor_of: ActorOf, vault: Vault, clock: Clock
) -> None:
    add_authenticator(actor_of("account-admin").person, vault)
    client = old_session(client_of, clock)
    asked = client.get("/account/acme/credentials/new").location
    assert asked == "/confirm?next=/account/acme/credentials/new"
    right = {"current_password": PASSWORD, "code": code()}
    for form, message in (
        ({"current_password": PASSWORD}, "Enter a code."),
        ({"code": code()}, "Enter your password."),
        ({**right, "current_password": "wrong"}, "Your current password is incorrect."),
        ({**right, "code": "000000"}, "This code is incorrect or has been used."),
    ):
        page = client.post(asked, data=form)
        assert (page.status_code, message in visible_text(page)) == (422, True)
        assert code() not in page.text
        assert client.get("/account/acme/credentials/new").status_code == 303
    done = client.post(asked, data=right)
    assert done.location == "/account/acme/credentials/new"
    assert client.get(done.location).status_code == 200


@pytest.mark.parametrize(
    "url",
    [
        "/password",
        "/security/authenticator",
        "/security/authenticator/remove",
        "/security/recovery-codes",
        "/security/passkeys/new",
        "/security/passkeys/1/remove",
        "/security/link/example",
        "/security/identities/1/unlink",
    ],
)
def test_every_change_of_how_a_person_signs_in_needs_both_factors(
    client_of: ClientOf, actor_of: ActorOf, vault: Vault, clock: Clock, url: str
) -> None:
    add_authenticator(actor_of("account-admin").person, vault)
    client = old_session(client_of, clock)
    assert client.get(url).location == f"/confirm?next={url}"
    form = {"current_password": PASSWORD, "password": "seven lamps beside orange water"}
    page = client.post(url, data=form, headers=SITE)
    assert page.status_code == 401
    assert 'name="current_password"' in page.text
    assert 'name="code"' in page.text
    with models.open_connection():
        assert accounts.verify_password(actor_of("account-admin").person, PASSWORD)


def test_the_page_to_change_the_password_asks_for_the_password_once(
    client_of: ClientOf, clock: Clock
) -> None:
    """A person without a second factor has no other proof than the current password."""
    assert old_session(client_of, clock).get("/password").status_code == 200


def test_a_proof_sends_a_new_token_and_other_tabs_stay_signed_in(
    client_of: ClientOf, clock: Clock
) -> None:
    client = old_session(client_of, clock)
    old = client.get_cookie("session")
    assert old is not None
    client.post("/confirm", data={"current_password": "wrong"})
    assert client.get_cookie("session") == old
    client.post("/confirm", data={"current_password": PASSWORD})
    new = client.get_cookie("session")
    assert new is not None
    assert new.value != old.value
    assert client.get("/account/acme/credentials/new").status_code == 200
    tab = client_of("nobody")
    tab.set_cookie("session", old.value)
    assert tab.get(MEMBERS).status_code == 200
    assert tab.get_cookie("session") == old
    assert tab.get("/account/acme/credentials/new").location.startswith("/confirm")
    clock.go_to(clock.now + timedelta(seconds=31))
    assert tab.get(MEMBERS).location.startswith("/sign-in")
    assert client.get(MEMBERS).status_code == 200


def test_secrets_are_entered_again(client_of: ClientOf, clock: Clock) -> None:
    client = old_session(client_of, clock)
    form = {"name": "Mine", "access_key_id": "AKIA0", "secret_access_key": "canary"}
    page = client.post("/account/acme/credentials/new/aws", data=form, headers=SITE)
    ready = answer_form(client, page, current_password=PASSWORD)
    assert "enter passwords and secrets" in visible_text(ready)
    shown = send_again(client, ready)
    assert shown.status_code == 422
    assert 'value="Mine"' in shown.text
    assert "because you had to confirm that it’s you" in visible_text(shown)
    assert "canary" not in page.text + ready.text + shown.text
    with models.open_connection():
        assert CloudCredentials.select().count() == 0


def test_ending_other_sessions_needs_a_new_proof(client_of: ClientOf, clock: Clock) -> None:
    client = old_session(client_of, clock)
    client_of("account-admin")
    with models.open_connection():
        other = SignInSession.select().order_by(SignInSession.id.desc()).get()
    for url in (f"/sessions/{other.id}/end", "/sessions/end-others"):
        assert client.get(url).location == f"/confirm?next={url}"
        assert client.post(url, headers=SITE).status_code == 401
    with models.open_connection():
        assert SignInSession.select().where(SignInSession.id == other.id).exists()


def test_other_pages_need_no_new_proof(client_of: ClientOf, clock: Clock) -> None:
    client = old_session(client_of, clock)
    assert client.get(MEMBERS).status_code == 200
    for url in (
        MEMBERS,
        "/account/acme/credentials",
        "/account/acme/images",
        "/security",
        "/sessions",
    ):
        assert client.get(url).status_code == 200
