"""The pages of passkeys: add one, sign in with it, use it as second factor and as new proof."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import models
from models import AuditEntry, Authenticator, Passkey, Person, SignInSession, UsedAnswer
from tests.cast import PASSWORD
from tests.conftest import ClientOf, Clock
from tests.factors.helpers import add_authenticator
from tests.factors.software_passkey import SoftwarePasskey
from tests.views.pages import visible_text
from webapp.credentials.vault import Vault

EMAIL = "account-admin@example.com"
ADD = "/security/passkeys/new"


@pytest.fixture(autouse=True)
def public_url(app: Flask) -> Iterator[None]:
    """Set PUBLIC_URL, without which no page offers passkeys."""
    services = app.extensions["services"]
    settings = replace(services.settings, public_url="http://localhost")
    app.extensions["services"] = replace(services, settings=settings)
    yield
    app.extensions["services"] = services


def add(client: FlaskClient, device: SoftwarePasskey, name: str = "Laptop") -> TestResponse:
    options = json.loads(client.post("/security/passkeys/challenge").text)
    return client.post(ADD, data={"name": name, "passkey": device.create(options)})


def use(client: FlaskClient, device: SoftwarePasskey, url: str) -> dict[str, str]:
    """Return the field of a form with the answer to the challenge at `url`."""
    return {"passkey": device.use(json.loads(client.post(url).text))}


def is_signed_in(client: FlaskClient) -> bool:
    return client.get("/sessions").status_code == 200


@pytest.fixture
def device(client_of: ClientOf) -> SoftwarePasskey:
    """Return a passkey of the admin of acme."""
    device = SoftwarePasskey()
    assert "Your recovery codes" in visible_text(add(client_of("account-admin"), device))
    return device


def test_a_passkey_signs_in_without_a_password(
    client_of: ClientOf, device: SoftwarePasskey
) -> None:
    client = client_of("nobody")
    form = use(client, device, "/sign-in/passkey/challenge")
    answer = client.post("/sign-in/passkey?next=/account/acme/members", data=form)
    assert answer.location == "/account/acme/members"
    assert is_signed_in(client)
    with models.open_connection():
        newest = SignInSession.select().order_by(SignInSession.id.desc()).get()
        assert newest.kind == "passkey"


def test_a_challenge_belongs_to_one_browser_and_is_used_once(
    client_of: ClientOf, device: SoftwarePasskey, clock: Clock
) -> None:
    client, other = client_of("nobody"), client_of("nobody")
    form = use(client, device, "/sign-in/passkey/challenge")
    refused = other.post("/sign-in/passkey", data=form)
    assert (refused.status_code, is_signed_in(other)) == (422, False)
    with client.session_transaction() as state:
        copied = list(state["passkey_challenges"])
    assert client.post("/sign-in/passkey", data=form).status_code == 303
    with other.session_transaction() as state:
        state["passkey_challenges"] = copied
    again = other.post("/sign-in/passkey", data=form)
    assert "This passkey request isn’t valid." in visible_text(again)
    form = use(other, device, "/sign-in/passkey/challenge")
    clock.go_to(clock.now + timedelta(minutes=5, seconds=1))
    assert other.post("/sign-in/passkey", data=form).status_code == 422
    assert not is_signed_in(other)


def test_each_tab_has_its_own_challenge(client_of: ClientOf, device: SoftwarePasskey) -> None:
    client = client_of("nobody")
    first, second = (use(client, device, "/sign-in/passkey/challenge") for _ in range(2))
    refused = {"passkey": json.dumps(json.loads(first["passkey"]) | {"id": "unknown"})}
    assert client.post("/sign-in/passkey", data=refused).status_code == 422
    assert client.post("/sign-in/passkey", data=first).status_code == 422, "used up"
    assert client.post("/sign-in/passkey", data=second).status_code == 303
    first, second = (use(client, device, "/sign-in/passkey/challenge") for _ in range(2))
    assert client.post("/sign-in/passkey", data=first).status_code == 303


@pytest.mark.parametrize("sent", ["[]", '{"response": {}}', '{"response": {"clientDataJSON": 5}}'])
def test_an_answer_without_a_challenge_is_refused(
    client_of: ClientOf, device: SoftwarePasskey, sent: str
) -> None:
    client = client_of("nobody")
    form = use(client, device, "/sign-in/passkey/challenge")
    assert client.post("/sign-in/passkey", data={"passkey": sent}).status_code == 422
    with models.open_connection():
        assert AuditEntry.select().where(AuditEntry.action == "person.refused").count() == 1
    assert client.post("/sign-in/passkey", data=form).status_code == 303, "not used up"


def test_a_passkey_is_the_second_factor_after_the_password(
    client_of: ClientOf, device: SoftwarePasskey
) -> None:
    client = client_of("nobody")
    challenge = "/sign-in/code/challenge"
    assert client.post(challenge).status_code == 401
    step = client.post("/sign-in", data={"email": EMAIL, "password": PASSWORD}).location
    assert step.startswith("/sign-in/code")
    assert "enter a recovery code" in visible_text(client.get(step))
    wrong = client.post(step, data=use(client, replace(device, verifies=False), challenge))
    assert (wrong.status_code, is_signed_in(client)) == (422, False)
    assert client.post(step, data=use(client, device, challenge)).status_code == 303
    assert is_signed_in(client)


def test_a_passkey_confirms_who_the_person_is(
    client_of: ClientOf, device: SoftwarePasskey, clock: Clock
) -> None:
    client = client_of("account-admin")
    clock.go_to(clock.now + timedelta(minutes=15, seconds=1))
    asked = client.get("/account/acme/credentials/new").location
    assert asked.startswith("/confirm")
    other = use(client, device, "/sign-in/passkey/challenge")
    assert client.post(asked, data=other).status_code == 422, "another purpose"
    done = client.post(asked, data=use(client, device, "/confirm/challenge"))
    assert done.location == "/account/acme/credentials/new"
    assert client.get(done.location).status_code == 200


def test_an_unsent_form_survives_the_sign_in_with_a_passkey(
    client_of: ClientOf, device: SoftwarePasskey
) -> None:
    client = client_of("nobody")
    site = {"Origin": "http://localhost", "Referer": "http://localhost/account/acme/views"}
    page = client.post("/account/acme/views", data={"name": "Mine"}, headers=site)
    found = re.search(r'name="unsent" value="([^"]*)"', page.text)
    assert found is not None
    form = use(client, device, "/sign-in/passkey/challenge")
    form["unsent"] = html.unescape(found[1])
    answer = client.post("/sign-in/passkey", data=form, headers=site)
    assert 'name="name" value="Mine"' in answer.text


def test_passkeys_are_listed_renamed_and_removed(
    client_of: ClientOf, device: SoftwarePasskey
) -> None:
    client = client_of("account-admin")
    add(client, SoftwarePasskey(), "Phone")
    page = visible_text(client.get("/security"))
    assert "Laptop" in page
    assert "Phone" in page
    with models.open_connection():
        number = Passkey.get(name="Phone").id
    url = f"/security/passkeys/{number}"
    assert client.post(f"{url}/rename", data={"name": ""}).status_code == 422
    client.post(f"{url}/rename", data={"name": "Old phone"})
    assert "Old phone" in visible_text(client.get(f"{url}/remove"))
    client.post(f"{url}/remove")
    assert "Old phone" not in visible_text(client.get("/security"))
    assert client_of("account-viewer").get(f"{url}/remove").status_code == 303


def test_adding_a_passkey_needs_a_new_proof(client_of: ClientOf, clock: Clock) -> None:
    client = client_of("account-admin")
    clock.go_to(clock.now + timedelta(minutes=15, seconds=1))
    assert client.get(ADD).location.startswith("/confirm")
    assert client.post("/security/passkeys/challenge").status_code != 200


def test_local_accounts_that_are_off_turn_the_sign_in_with_passkeys_off(
    client_of: ClientOf, device: SoftwarePasskey, app: Flask
) -> None:
    services = app.extensions["services"]
    settings = replace(services.settings, local_accounts=False)
    app.extensions["services"] = replace(services, settings=settings)
    client = client_of("nobody")
    form = use(client, device, "/sign-in/passkey/challenge")
    assert client.post("/sign-in/passkey", data=form).status_code == 422
    assert "Sign in with a passkey" not in client.get("/sign-in").text


def test_a_person_without_a_password_uses_a_passkey_only_as_second_factor(
    client_of: ClientOf,
) -> None:
    client, device = client_of("account-admin"), SoftwarePasskey()
    with models.open_connection():
        Person.update(password_hash="").where(Person.email == EMAIL).execute()
    assert "as your second factor" in visible_text(client.get(ADD))
    added = visible_text(add(client, device))
    assert "It is now a second factor when you sign in at your identity provider." in added
    assert "replaces the password" not in visible_text(client.get("/security"))
    with models.open_connection():
        number = Passkey.get().id
    assert "password" not in visible_text(client.get(f"/security/passkeys/{number}/remove"))
    stranger = client_of("nobody")
    form = use(stranger, device, "/sign-in/passkey/challenge")
    refused = stranger.post("/sign-in/passkey", data=form)
    assert (refused.status_code, is_signed_in(stranger)) == (422, False)
    assert "was not accepted" in visible_text(refused)


def test_wrong_passkeys_are_delayed_and_store_nothing_more(
    client_of: ClientOf, device: SoftwarePasskey
) -> None:
    client, wrong = client_of("nobody"), replace(device, credential=b"unknown")
    for _ in range(30):
        form = use(client, wrong, "/sign-in/passkey/challenge")
        assert client.post("/sign-in/passkey", data=form).status_code == 422
    with models.open_connection():
        spent = UsedAnswer.select().count()
    form = use(client, device, "/sign-in/passkey/challenge")
    delayed = client.post("/sign-in/passkey", data=form)
    assert delayed.status_code == 429
    assert int(delayed.headers["Retry-After"]) >= 1
    assert "Too many attempts with a wrong passkey" in visible_text(delayed)
    with models.open_connection():
        assert UsedAnswer.select().count() == spent


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "PUBLIC_URL is missing"),
        ("http://registry.example.com", "does not begin with https://"),
        ("https://registry.example.com", "work only at https://registry.example.com"),
    ],
)
def test_the_page_says_why_there_are_no_passkeys(
    client_of: ClientOf, app: Flask, url: str, reason: str
) -> None:
    services = app.extensions["services"]
    settings = replace(services.settings, public_url=url)
    app.extensions["services"] = replace(services, settings=settings)
    client = client_of("account-admin")
    assert reason in visible_text(client.get("/security"))
    assert client.get(ADD).location == "/security"
    assert "Sign in with a passkey" not in client_of("nobody").get("/sign-in").text


def test_the_pages_that_ask_for_a_factor_say_why_there_are_no_passkeys(
    client_of: ClientOf, device: SoftwarePasskey, app: Flask, vault: Vault
) -> None:
    services = app.extensions["services"]
    settings = replace(services.settings, public_url="https://registry.example.com")
    app.extensions["services"] = replace(services, settings=settings)
    signed_in, client = client_of("account-admin"), client_of("nobody")
    reason = "Passkeys work only at https://registry.example.com. Open the registry there."
    step = client.post("/sign-in", data={"email": EMAIL, "password": PASSWORD}).location
    page = visible_text(client.get(step))
    assert f"{reason} Or enter a recovery code." in page
    assert "Use your passkey" not in page
    assert "Enter a code" in page
    with models.open_connection():
        add_authenticator(Person.get(email=EMAIL), vault)
    assert f"{reason} Or enter a code." in visible_text(client.get(step))
    confirm = visible_text(signed_in.get("/confirm"))
    assert f"{reason} Or enter your password and a code." in confirm
    with models.open_connection():
        Authenticator.delete().execute()
    confirm = visible_text(signed_in.get("/confirm"))
    assert f"{reason} Or enter your password and a recovery code." in confirm


def test_without_javascript_the_pages_say_what_to_do(client_of: ClientOf) -> None:
    assert "Passkeys need JavaScript" in visible_text(client_of("account-admin").get(ADD))
    page = visible_text(client_of("nobody").get("/sign-in"))
    assert "turn on JavaScript. Or use your password" in page
