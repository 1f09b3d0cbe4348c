"""Weaknesses of the first versions, tried again. Each test logs what it found.

Run `./test tests/views/test_former_weaknesses.py -o log_cli=true -o log_cli_level=INFO` to see it.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from flask import Flask

import models
from models import AuditEntry, Person, Role
from tests.cast import PASSWORD
from tests.conftest import ActorOf, ClientOf, Clock, ScopeAt
from tests.factors.helpers import add_authenticator
from webapp.credentials.vault import Vault
from webapp.mail import outbox
from webapp.people import members

log = logging.getLogger(__name__)
EMAIL = "account-editor@example.com"
IMAGES = "/account/acme/images"
SITE = {"Origin": "http://localhost", "Referer": "http://localhost/sign-in"}


def test_a_copied_cookie_does_not_work_after_signing_out(client_of: ClientOf, app: Flask) -> None:
    victim, thief = client_of("account-editor"), app.test_client()
    cookies = {name: victim.get_cookie(name) for name in ("session", "state")}
    for name, cookie in cookies.items():
        assert cookie is not None
        thief.set_cookie(name, cookie.value)
    before = thief.get(IMAGES).status_code
    victim.post("/sign-out")
    after = thief.get(IMAGES)
    log.info("copied cookie: %s, after signing out %s %s", before, after.status, after.location)
    assert (before, after.status_code) == (200, 303)
    assert after.location.startswith("/sign-in")


def test_a_copied_cookie_does_not_renew_itself(client_of: ClientOf, clock: Clock) -> None:
    thief = client_of("account-editor")
    begin = clock.now
    while thief.get(IMAGES).status_code == 200:
        clock.go_to(clock.now + timedelta(hours=6))
        assert clock.now < begin + timedelta(days=40)
    log.info("a cookie that is used every 6 hours works for %s days", (clock.now - begin).days)
    assert clock.now <= begin + timedelta(days=30, hours=6)


def test_the_password_is_not_enough_with_a_second_factor(
    client_of: ClientOf, actor_of: ActorOf, vault: Vault
) -> None:
    add_authenticator(actor_of("account-editor").person, vault)
    client = client_of("nobody")
    form = {"email": EMAIL, "password": PASSWORD}
    answer = client.post("/sign-in", data=form, headers=SITE)
    images = client.get(IMAGES)
    log.info("only the password: then %s %s", images.status, images.location)
    assert "/sign-in/code" in answer.text + (answer.location or "")
    assert images.status_code == 303


def test_an_inviter_gets_no_link_for_the_address_of_somebody_else(
    actor_of: ActorOf, scope: ScopeAt
) -> None:
    outbox.configure(enabled=True)
    try:
        token = members.invite(
            actor_of("account-admin"), scope("acme"), "victim@example.com", Role.VIEWER
        )
    finally:
        outbox.configure(enabled=False)
    log.info("the inviter gets the token %r", token)
    assert not token


def test_strangers_do_not_lock_a_person_out(client_of: ClientOf) -> None:
    mine, stranger = client_of("nobody"), client_of("nobody")
    form = {"email": EMAIL, "password": PASSWORD}
    assert mine.post("/sign-in", data=form, headers=SITE).status_code == 303
    mine.post("/sign-out")
    wrong = {**form, "password": "a wrong password"}
    address = {"REMOTE_ADDR": "203.0.113.66"}
    statuses = [
        stranger.post("/sign-in", data=wrong, headers=SITE, environ_overrides=address).status_code
        for _ in range(20)
    ]
    known = mine.post("/sign-in", data=form, headers=SITE).status_code
    new = client_of("nobody").post("/sign-in", data=form, headers=SITE).status_code
    log.info("20 wrong passwords: %s, the person: %s, in a new browser: %s", statuses, known, new)
    assert statuses[-1] == 429
    assert (known, new) == (303, 303)


def test_sign_ins_are_logged(client_of: ClientOf) -> None:
    client = client_of("nobody")
    for password in ("a wrong password", PASSWORD):
        client.post("/sign-in", data={"email": EMAIL, "password": password}, headers=SITE)
    client.post("/sign-out")
    with models.open_connection():
        person = Person.get(Person.email == EMAIL)
        entries = [row.action for row in AuditEntry.select().order_by(AuditEntry.id)]
    log.info("the audit log of %s: %s", person.name, entries)
    assert entries == ["person.refused", "person.sign_in", "person.sign_out"]
