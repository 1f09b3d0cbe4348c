"""Passkeys, with a software authenticator."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from peewee import OperationalError

import models
from models import AuditEntry, Passkey, Person, RecoveryCode
from tests.conftest import ActorOf, Clock
from tests.factors.helpers import add_authenticator
from tests.factors.software_passkey import SoftwarePasskey, data, text
from webapp.access import Actor
from webapp.credentials.vault import Vault
from webapp.factors import authenticator, passkeys, proofs, recovery
from webapp.factors.passkeys import (
    Answer,
    AnswerRefused,
    Challenge,
    ChallengeExpired,
    PasskeyRefused,
    PasskeysUnavailable,
    Site,
)
from webapp.people import accounts
from webapp.people.attempts import Attempts, TooManyAttempts

SITE = Site("localhost", "http://localhost")


def add(actor: Actor, device: SoftwarePasskey, name: str = "Laptop") -> list[str]:
    challenge = Challenge.begin("add", "")
    options = json.loads(passkeys.creation_options(actor, SITE, challenge))
    return passkeys.add(actor, name, Answer(SITE, challenge, device.create(options)))


def answer(device: SoftwarePasskey, person: Person | None = None) -> Answer:
    challenge = Challenge.begin("sign-in", "")
    options = json.loads(passkeys.request_options(SITE, challenge, person))
    return Answer(SITE, challenge, device.use(options))


def sign_in(given: Answer) -> Person:
    return passkeys.sign_in(lambda: given, "127.0.0.1", Attempts(""), lambda _person: True)


def check(person: Person, given: Answer) -> None:
    passkeys.check(person, lambda: given, "", Attempts(""))


def test_a_passkey_signs_in_and_is_a_second_factor(editor: Actor) -> None:
    device = SoftwarePasskey()
    assert len(add(editor, device)) == 10
    assert proofs.has_factor(editor.person)
    assert Passkey.get().transports == ["internal"]
    assert sign_in(answer(device)) == editor.person
    check(editor.person, answer(device, editor.person))
    assert passkeys.find_own(editor, Passkey.get().id).used_at is not None
    assert add(editor, SoftwarePasskey(), "Phone") == [], "recovery codes are shared"
    assert RecoveryCode.select().count() == 10


def test_the_options_require_verification_and_a_discoverable_passkey(editor: Actor) -> None:
    add(editor, SoftwarePasskey())
    options = json.loads(passkeys.creation_options(editor, SITE, Challenge.begin("add", "")))
    selection = options["authenticatorSelection"]
    assert (selection["residentKey"], selection["userVerification"]) == ("required", "required")
    assert options["attestation"] == "none"
    assert [each["id"] for each in options["excludeCredentials"]] == [Passkey.get().credential]
    assert options["user"]["id"] == Passkey.get().user_handle
    request = json.loads(passkeys.request_options(SITE, Challenge.begin("sign-in", ""), None))
    assert (request["allowCredentials"], request["userVerification"]) == ([], "required")


@pytest.mark.parametrize(
    "changes",
    [
        {"origin": "https://evil.example"},
        {"origin": "http://localhost:8080"},
        {"rp_id": "evil.example"},
        {"verifies": False},
        {"user_handle": text(b"somebody else")},
        {"credential": b"unknown"},
        {"key": SoftwarePasskey().key},
    ],
)
def test_wrong_answers_are_refused_and_recorded(editor: Actor, changes: dict[str, object]) -> None:
    device = SoftwarePasskey()
    add(editor, device)
    with pytest.raises(AnswerRefused):
        sign_in(answer(replace(device, **changes)))  # type: ignore[arg-type]
    assert AuditEntry.select().where(AuditEntry.action == "person.refused").count() == 1
    assert sign_in(answer(device)) == editor.person


@pytest.mark.parametrize(
    "changes", [{"origin": "https://evil.example"}, {"rp_id": "evil.example"}, {"verifies": False}]
)
def test_wrong_passkeys_are_not_added(editor: Actor, changes: dict[str, object]) -> None:
    with pytest.raises(AnswerRefused):
        add(editor, SoftwarePasskey(**changes))  # type: ignore[arg-type]
    assert not Passkey.select().exists()


def test_a_signed_answer_cannot_be_changed(editor: Actor) -> None:
    device = SoftwarePasskey()
    add(editor, device)
    given = answer(device)
    values = json.loads(given.text)
    signed = bytearray(data(values["response"]["authenticatorData"]))
    signed[-1] += 1
    values["response"]["authenticatorData"] = text(bytes(signed))
    with pytest.raises(AnswerRefused):
        sign_in(replace(given, text=json.dumps(values)))


def test_an_answer_to_another_challenge_is_refused(editor: Actor) -> None:
    device = SoftwarePasskey()
    add(editor, device)
    given = answer(device)
    with pytest.raises(AnswerRefused):
        sign_in(replace(given, challenge=Challenge.begin("sign-in", "")))


def test_a_challenge_is_valid_once_for_five_minutes_and_one_purpose(
    db: object, clock: Clock
) -> None:
    challenge = Challenge.begin("sign-in", "session 1")
    for purpose, owner in (("confirm", "session 1"), ("sign-in", "session 2")):
        with pytest.raises(ChallengeExpired):
            challenge.spend(purpose, owner)
    challenge.spend("sign-in", "session 1")
    with pytest.raises(ChallengeExpired):
        challenge.spend("sign-in", "session 1")
    late = Challenge.begin("sign-in", "")
    clock.go_to(clock.now + timedelta(minutes=5, seconds=1))
    with pytest.raises(ChallengeExpired):
        late.spend("sign-in", "")


def test_a_challenge_of_a_server_whose_clock_is_ahead_is_valid(db: object, clock: Clock) -> None:
    challenge = Challenge.begin("sign-in", "")
    began = clock.now
    clock.go_to(began - timedelta(minutes=5, seconds=1))
    with pytest.raises(ChallengeExpired):
        challenge.spend("sign-in", "")
    clock.go_to(began - timedelta(seconds=2))
    challenge.spend("sign-in", "")


def test_the_passkey_of_another_person_is_no_second_factor(
    editor: Actor, actor_of: ActorOf
) -> None:
    other, device = actor_of("account-admin"), SoftwarePasskey()
    add(editor, device)
    add(other, SoftwarePasskey())
    with pytest.raises(AnswerRefused):
        check(other.person, answer(device))
    entry = AuditEntry.get(AuditEntry.action == "person.refused")
    assert entry.subject == other.person.label


def test_disabled_people_and_people_of_a_provider_do_not_sign_in(editor: Actor) -> None:
    device = SoftwarePasskey()
    add(editor, device)
    with pytest.raises(AnswerRefused):
        passkeys.sign_in(lambda: answer(device), "", Attempts(""), lambda _person: False)
    Person.update(disabled_at=editor.person.created_at).where(
        Person.id == editor.person.id
    ).execute()
    with pytest.raises(AnswerRefused):
        sign_in(answer(device))


def test_a_counter_that_does_not_increase_is_refused_and_logged(editor: Actor) -> None:
    device = SoftwarePasskey(count=5)
    add(editor, device)
    copy = replace(device)
    sign_in(answer(device))
    sign_in(answer(device))
    for count in (copy.count, 0):
        copy.count = count
        with pytest.raises(PasskeyRefused, match="may have a copy"):
            sign_in(answer(copy))
    assert Passkey.get().sign_count == 7
    entries = AuditEntry.select().where(AuditEntry.action == "person.passkey_copied")
    assert entries.count() == 2
    assert sign_in(answer(device)) == editor.person


@pytest.mark.parametrize(
    "sent",
    ["", "[]", "{}", '{"id": 5, "response": {}}', "x" * 20_000, "[" * 10_000, '{"response": []}'],
)
def test_malformed_answers_are_refused(editor: Actor, sent: str) -> None:
    device = SoftwarePasskey()
    add(editor, device)
    with pytest.raises(AnswerRefused):
        sign_in(replace(answer(device), text=sent))
    with pytest.raises(AnswerRefused):
        passkeys.add(editor, "x", Answer(SITE, Challenge.begin("add", ""), sent))


def test_a_passkey_that_is_removed_meanwhile_is_not_reported_as_copied(
    editor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = SoftwarePasskey(count=1)
    add(editor, device)
    verify = passkeys._verified_use

    def verify_slowly(*args: Any) -> object:
        passkeys.remove(editor, Passkey.get().id)
        return verify(*args)

    monkeypatch.setattr(passkeys, "_verified_use", verify_slowly)
    with pytest.raises(AnswerRefused):
        sign_in(answer(device))
    actions = {entry.action for entry in AuditEntry.select()}
    assert "person.refused" in actions
    assert "person.passkey_copied" not in actions


def test_wrong_answers_of_a_client_are_delayed_before_they_are_read(editor: Actor) -> None:
    device, attempts = SoftwarePasskey(), Attempts("")
    add(editor, device)
    reads = []

    def use(device: SoftwarePasskey, address: str, owner: Person | None = None) -> None:
        def read() -> Answer:
            reads.append(address)
            return answer(device, owner)

        if owner:
            passkeys.check(owner, read, address, attempts)
        else:
            passkeys.sign_in(read, address, attempts, lambda _person: True)

    for _ in range(40):
        use(device, "192.0.2.1")
    for number in range(30):
        with pytest.raises(AnswerRefused):
            use(replace(device, verifies=False), "192.0.2.1", editor.person if number % 2 else None)
    assert len(reads) == 70
    for owner in (None, editor.person):
        with pytest.raises(TooManyAttempts, match="with a wrong passkey"):
            use(device, "192.0.2.1", owner)
    assert len(reads) == 70
    throttled = AuditEntry.select().where(AuditEntry.action == "person.throttled")
    assert throttled.count() == 2
    use(device, "192.0.2.2")


def test_a_passkey_that_could_not_be_checked_does_not_count(editor: Actor) -> None:
    device, attempts = SoftwarePasskey(), Attempts("")
    add(editor, device)

    def fail() -> Answer:
        raise OperationalError

    for _ in range(40):
        with pytest.raises(OperationalError):
            passkeys.check(editor.person, fail, "192.0.2.1", attempts)
    passkeys.check(editor.person, lambda: answer(device, editor.person), "192.0.2.1", attempts)


def test_the_recovery_codes_end_with_the_last_factor(editor: Actor, vault: Vault) -> None:
    add(editor, SoftwarePasskey())
    add_authenticator(editor.person, vault)
    passkeys.remove(editor, Passkey.get().id)
    assert RecoveryCode.select().count() == 10
    authenticator.remove(editor)
    assert not RecoveryCode.select().exists()
    assert len(add(editor, SoftwarePasskey())) == 10
    passkeys.remove(editor, Passkey.get().id)
    assert not RecoveryCode.select().exists()


def test_the_recovery_codes_end_if_both_factors_are_removed_at_once(
    editor: Actor, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(editor, SoftwarePasskey())
    add_authenticator(editor.person, vault)
    passkey_id, met = Passkey.get().id, threading.Barrier(2)
    delete_if_no_factor = recovery.delete_if_no_factor

    def delete_later(person: Person) -> None:
        with suppress(threading.BrokenBarrierError):
            met.wait(timeout=1)
        delete_if_no_factor(person)

    def remove(call: Callable[[], None]) -> None:
        with models.database.connection_context():
            call()

    monkeypatch.setattr(recovery, "delete_if_no_factor", delete_later)
    calls = [lambda: authenticator.remove(editor), lambda: passkeys.remove(editor, passkey_id)]
    models.database.close()
    with ThreadPoolExecutor(len(calls)) as pool:
        list(pool.map(remove, calls))
    models.database.connect(reuse_if_open=True)
    assert not proofs.has_factor(editor.person)
    assert not RecoveryCode.select().exists()


@pytest.mark.parametrize("field", ["clientDataJSON", "authenticatorData", "signature"])
@pytest.mark.parametrize("value", [None, 5, "", "AA", "\ud800", "é", "eyJ9", text(b"[]")])
def test_malformed_fields_are_refused(editor: Actor, field: str, value: object) -> None:
    device = SoftwarePasskey()
    add(editor, device)
    given = answer(device)
    values = json.loads(given.text)
    values["response"][field] = value
    with pytest.raises(AnswerRefused):
        sign_in(replace(given, text=json.dumps(values)))


def test_a_passkey_is_renamed_and_removed_by_its_person_only(
    editor: Actor, actor_of: ActorOf
) -> None:
    add(editor, SoftwarePasskey())
    number, other = Passkey.get().id, actor_of("account-admin")
    with pytest.raises(PasskeyRefused, match="already been removed"):
        passkeys.rename(other, number, "Mine")
    with pytest.raises(PasskeyRefused, match="already been removed"):
        passkeys.remove(other, number)
    passkeys.rename(editor, number, " Phone ")
    assert Passkey.get().name == "Phone"
    passkeys.remove(editor, number)
    assert not proofs.has_factor(editor.person)
    actions = [entry.action for entry in AuditEntry.select().order_by(AuditEntry.id)]
    assert actions[-3:] == ["person.factor_add", "person.factor_rename", "person.factor_remove"]


def test_the_same_passkey_is_added_once_and_the_number_is_limited(
    editor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = SoftwarePasskey()
    add(editor, device)
    with pytest.raises(PasskeyRefused, match="already been added"):
        add(editor, device)
    monkeypatch.setattr(passkeys, "MAX_PASSKEYS", 1)
    with pytest.raises(PasskeyRefused, match="at most 1"):
        add(editor, SoftwarePasskey())


def test_a_removed_person_has_no_passkeys(editor: Actor) -> None:
    device = SoftwarePasskey()
    add(editor, device)
    accounts.lock_out(editor.person)
    assert not Passkey.select().exists()


@pytest.mark.parametrize(
    ("url", "site"),
    [
        (
            "https://Registry.example.com",
            Site("registry.example.com", "https://registry.example.com"),
        ),
        ("https://a.example:8443", Site("a.example", "https://a.example:8443")),
        ("http://localhost:8000", Site("localhost", "http://localhost:8000")),
        ("", "PUBLIC_URL is missing"),
        ("http://registry.example.com", "does not begin with https"),
        ("https://192.0.2.1", "IP address"),
        ("http://[::1]:80", "IP address"),
    ],
)
def test_the_site_is_read_from_the_public_url(url: str, site: Site | str) -> None:
    if isinstance(site, Site):
        assert passkeys.site_of(url) == site
        return
    with pytest.raises(PasskeysUnavailable, match=site):
        passkeys.site_of(url)
