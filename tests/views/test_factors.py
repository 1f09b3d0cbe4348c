"""The Sign-in and security page, and signing in with a second factor."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pyotp
import pytest
from flask import Flask
from flask.testing import FlaskClient

import models
from models import Authenticator, Membership, Person, RecoveryCode
from tests.cast import PASSWORD
from tests.conftest import ActorOf, ClientOf, Clock
from tests.factors.helpers import add_authenticator, code
from tests.views.pages import visible_text
from webapp.credentials.vault import Vault
from webapp.factors import recovery
from webapp.people import accounts, attempts

EMAIL = "account-viewer@example.com"
SITE = {"Origin": "http://localhost", "Referer": "http://localhost/account/acme/views"}


@pytest.fixture
def person(actor_of: ActorOf, vault: Vault) -> Person:
    """Return the viewer of acme, who has an authenticator app."""
    found = actor_of("account-viewer").person
    add_authenticator(found, vault)
    return found


def enter_password(client: FlaskClient, query: str = "") -> str:
    """Take the first step and return where it leads."""
    form = {"email": EMAIL, "password": PASSWORD}
    return str(client.post(f"/sign-in{query}", data=form).location)


def is_signed_in(client: FlaskClient) -> bool:
    return client.get("/sessions").status_code == 200


def test_the_password_alone_does_not_sign_in(client_of: ClientOf, person: Person) -> None:
    client = client_of("nobody")
    assert enter_password(client, "?next=/account/acme/views").startswith("/sign-in/code?next=")
    assert not is_signed_in(client)
    url = "/sign-in/code?next=/account/acme/views"
    wrong = client.post(url, data={"code": "000000"})
    assert (wrong.status_code, "incorrect" in visible_text(wrong)) == (422, True)
    assert "000000" not in wrong.text
    assert not is_signed_in(client)
    assert client.post(url, data={"code": code()}).location == "/account/acme/views"
    assert is_signed_in(client)
    with client.session_transaction() as state:
        assert "second_step" not in state


def test_the_second_step_belongs_to_the_browser_of_the_first(
    client_of: ClientOf, person: Person
) -> None:
    enter_password(client_of("nobody"))
    other = client_of("nobody")
    assert other.post("/sign-in/code", data={"code": code()}).status_code == 401
    assert not is_signed_in(other)


def test_the_second_step_may_be_at_a_server_whose_clock_is_behind(
    client_of: ClientOf, person: Person, clock: Clock
) -> None:
    client = client_of("nobody")
    enter_password(client)
    clock.go_to(clock.now - timedelta(seconds=2))
    client.post("/sign-in/code", data={"code": code()})
    assert is_signed_in(client)


def test_the_second_step_ends_after_ten_minutes_or_a_password_change(
    client_of: ClientOf, person: Person, clock: Clock
) -> None:
    client, late = client_of("nobody"), client_of("nobody")
    enter_password(late)
    clock.go_to(clock.now + timedelta(seconds=601))
    page = late.post("/sign-in/code", data={"code": code()})
    assert "This sign-in has expired" in visible_text(page)
    enter_password(client)
    with models.open_connection():
        accounts.end_sessions(person)
    assert client.post("/sign-in/code", data={"code": code()}).status_code == 401


def test_wrong_codes_are_delayed(
    client_of: ClientOf, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "monotonic", lambda: 0.0)
    client = client_of("nobody")
    enter_password(client)
    answers = [client.post("/sign-in/code", data={"code": "000000"}) for _ in range(6)]
    assert [each.status_code for each in answers] == [422] * 5 + [429]
    assert "Retry-After" in answers[-1].headers
    enter_password(client)
    assert client.post("/sign-in/code", data={"code": "000000"}).status_code == 429


def test_a_recovery_code_signs_in_and_the_last_ones_are_announced(
    client_of: ClientOf, person: Person
) -> None:
    client = client_of("nobody")
    with models.open_connection():
        codes = recovery.create_new(accounts.actor_for(person))
        kept = [row.id for row in RecoveryCode.select(RecoveryCode.id)][:2]
        RecoveryCode.delete().where(RecoveryCode.id.not_in(kept)).execute()
    enter_password(client)
    client.post("/sign-in/code", data={"code": codes[0]})
    page = client.get("/security")
    assert "You have 1 recovery code left." in visible_text(page)
    assert "Only 1 left" in visible_text(page)


def test_an_unsent_form_survives_both_steps(client_of: ClientOf, person: Person) -> None:
    client = client_of("nobody")
    page = client.post("/account/acme/views", data={"name": "Mine"}, headers=SITE)
    form = {"email": EMAIL, "password": PASSWORD, "unsent": _hidden(page.text, "unsent")}
    second = client.post("/sign-in", data=form, headers=SITE)
    answer = client.post(
        "/sign-in/code", data={"code": code(), "unsent": _hidden(second.text, "unsent")},
        headers=SITE,
    )  # fmt: skip
    assert 'name="name" value="Mine"' in answer.text


def test_an_app_is_set_up_and_removed(client_of: ClientOf) -> None:
    client = client_of("account-viewer")
    assert "Not set up" in visible_text(client.get("/security"))
    page = client.get("/security/authenticator")
    assert "<svg" in page.text
    assert "style=" not in page.text
    found = re.search(r'data-copy="([A-Z2-7]{32})"', page.text)
    assert found is not None
    form = {"set_up": _hidden(page.text, "set_up"), "code": "000000"}
    again = client.post("/security/authenticator", data=form)
    assert again.status_code == 422
    assert found[1] in again.text, "the page keeps the secret that was scanned"
    form["code"] = pyotp.TOTP(found[1]).at(int(models.now().timestamp()))
    codes = client.post("/security/authenticator", data=form)
    shown = re.findall(r"<li><code>([a-z0-9-]{34})</code></li>", codes.text)
    assert (len(shown), codes.headers["Cache-Control"]) == (10, "no-store")
    page = client.get("/security")
    assert "10 left" in visible_text(page)
    assert not [each for each in shown if each in page.text]
    client.post("/security/authenticator/remove")
    assert "Not set up" in visible_text(client.get("/security"))


def test_a_set_up_that_was_not_made_here_is_refused(client_of: ClientOf) -> None:
    client = client_of("account-viewer")
    form = {"set_up": "forged", "code": code()}
    answer = client.post("/security/authenticator", data=form)
    assert "This page expired before you sent it" in visible_text(answer)
    with models.open_connection():
        assert Authenticator.select().count() == 0


def test_an_admin_of_scalr_sees_and_removes_the_factors_of_a_member(
    client_of: ClientOf, person: Person, db: Flask
) -> None:
    number = Membership.get(person=person).id
    url = f"/account/acme/members/{number}/remove-factors"
    assert url not in client_of("account-admin").get("/account/acme/members").text
    admin = client_of("scalr-admin")
    assert url in admin.get("/account/acme/members").text
    assert "The second factors and recovery codes of" in visible_text(
        admin.post(url, follow_redirects=True)
    )
    assert url not in admin.get("/account/acme/members").text


def test_a_person_who_lost_a_factor_proves_the_password_before_a_new_one(
    client_of: ClientOf, person: Person, clock: Clock
) -> None:
    """Without recovery codes, only a Scalr admin helps, and never instead of the password."""
    client, admin = client_of("nobody"), client_of("scalr-admin")
    step = enter_password(client)
    assert client.post(step, data={"code": "000000"}).status_code == 422
    number = Membership.get(person=person).id
    url = f"/account/acme/members/{number}/remove-factors"
    assert "it’s really this person who is asking you" in visible_text(admin.get(url))
    admin.post(url)
    assert not is_signed_in(client)
    wrong = {"email": EMAIL, "password": "something else"}
    assert client.post("/sign-in", data=wrong).status_code == 422
    enter_password(client)
    assert is_signed_in(client)
    clock.go_to(clock.now + timedelta(minutes=15, seconds=1))
    assert client.get("/security/authenticator").location.startswith("/confirm")
    assert 'name="current_password"' in client.get("/confirm").text


def _hidden(text: str, name: str) -> str:
    field = re.search(rf'<input[^>]*name="{name}"[^>]*value="([^"]*)"', text)
    assert field is not None
    return html.unescape(field[1])
