"""Authenticator apps and recovery codes."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from prometheus_client import REGISTRY

from models import AuditEntry, Authenticator, Membership, RecoveryCode
from tests.conftest import ActorOf, Clock, ScopeAt
from tests.factors.helpers import SECRET, add_authenticator, code
from webapp.access import Actor, Forbidden
from webapp.credentials.vault import Vault, VaultError
from webapp.factors import authenticator, proofs, recovery
from webapp.factors.authenticator import AuthenticatorRefused, SetUp
from webapp.factors.proofs import CodeRefused
from webapp.people import accounts
from webapp.people import attempts as attempts_module
from webapp.people.attempts import Attempts, TooManyAttempts
from webapp.people.members import MemberError


def check(actor: Actor, vault: Vault, text: str, attempts: Attempts | None = None) -> bool:
    """Return whether the text is accepted as the second factor of the actor."""
    try:
        proofs.check_code(actor.person, vault, text, "127.0.0.1", attempts or Attempts(""))
    except CodeRefused:
        return False
    return True


def sign_ins(outcome: str) -> float:
    """Return how many sign-ins the metric counts with this outcome."""
    name, labels = "image_registry_sign_ins_total", {"outcome": outcome}
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_a_first_code_adds_the_app_and_ten_recovery_codes(editor: Actor, vault: Vault) -> None:
    with pytest.raises(AuthenticatorRefused, match="incorrect"):
        authenticator.add(editor, vault, SetUp(SECRET, "a@example.com"), code(5))
    codes = authenticator.add(editor, vault, SetUp(SECRET, "a@example.com"), code())
    assert len(set(codes)) == 10
    assert proofs.has_factor(editor.person)
    assert SECRET not in Authenticator.get().secret
    assert not {row.digest for row in RecoveryCode.select()} & set(codes)
    assert AuditEntry.get().action == "person.factor_add"
    assert not check(editor, vault, code()), "the first code is used up"
    with pytest.raises(AuthenticatorRefused, match="already"):
        authenticator.add(editor, vault, SetUp(SECRET, "a@example.com"), code())


def test_a_set_up_belongs_to_one_person_for_an_hour(
    editor: Actor, actor_of: ActorOf, vault: Vault, clock: Clock
) -> None:
    set_up, sealed = authenticator.begin_set_up(editor, vault)
    assert authenticator.read_set_up(editor, vault, sealed) == set_up
    for actor, text in ((actor_of("account-admin"), sealed), (editor, "x")):
        with pytest.raises(AuthenticatorRefused, match="expired"):
            authenticator.read_set_up(actor, vault, text)
    clock.go_to(clock.now + timedelta(hours=1, seconds=1))
    with pytest.raises(AuthenticatorRefused, match="expired"):
        authenticator.read_set_up(editor, vault, sealed)


def test_a_code_is_accepted_once_and_with_one_step_of_skew(
    editor: Actor, vault: Vault, clock: Clock
) -> None:
    add_authenticator(editor.person, vault)
    assert [check(editor, vault, code(steps)) for steps in (-2, 2, -1, -1, 0, 0, 1, 0)] == [
        False, False, True, False, True, False, True, False,
    ]  # fmt: skip
    clock.go_to(clock.now + timedelta(seconds=60))
    assert check(editor, vault, f" {code()[:3]} {code()[3:]} ")


@pytest.mark.parametrize("text", ["", "12345", "1234567", "١٢٣٤٥٦", "abc", "\ud800"])
def test_other_texts_are_refused(editor: Actor, vault: Vault, text: str) -> None:
    add_authenticator(editor.person, vault)
    assert not check(editor, vault, text)


def test_a_secret_is_bound_to_its_person(editor: Actor, actor_of: ActorOf, vault: Vault) -> None:
    other = actor_of("account-admin").person
    add_authenticator(editor.person, vault)
    Authenticator.update(person=other).execute()
    with pytest.raises(VaultError):
        authenticator.use(other, vault, code())


def test_rotating_the_keys_encrypts_the_secret_again(editor: Actor, vault: Vault) -> None:
    add_authenticator(editor.person, vault)
    before = Authenticator.get().secret
    vault.rotate()
    assert Authenticator.get().secret != before
    assert check(editor, vault, code())
    with pytest.raises(VaultError, match="remove-factors"):
        Vault([Fernet.generate_key().decode()]).rotate()


def test_a_lost_key_leaves_the_recovery_codes(editor: Actor, vault: Vault) -> None:
    add_authenticator(editor.person, vault)
    [first, *_] = recovery.create_new(editor)
    other, attempts = Vault([Fernet.generate_key().decode()]), Attempts("")
    for _ in range(10):
        with pytest.raises(VaultError, match="recovery code"):
            check(editor, other, code(), attempts)
    assert check(editor, other, first, attempts)


def test_a_recovery_code_has_138_random_bits(editor: Actor) -> None:
    codes = recovery.create_new(editor)
    assert {len(each.replace("-", "")) for each in codes} == {28}
    assert len(set(recovery.ALPHABET)) ** 28 > 2**138
    assert all(re.fullmatch("(?:[a-z2-9]{4}-){6}[a-z2-9]{4}", each) for each in codes)


def test_a_shorter_recovery_code_of_an_older_version_works(
    editor: Actor, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older_version:
        older_version.setattr(recovery, "LENGTH", 24)
        [first, *_] = recovery.create_new(editor)
    assert len(first) == 29
    assert check(editor, vault, first)


def test_a_recovery_code_works_once(editor: Actor, actor_of: ActorOf, vault: Vault) -> None:
    first, second, *_ = recovery.create_new(editor)
    assert not check(actor_of("account-admin"), vault, first)
    assert check(editor, vault, f" {first.upper().replace('-', ' ')} ")
    assert not check(editor, vault, first)
    assert recovery.count(editor.person) == 9
    assert AuditEntry.select().where(AuditEntry.action == "person.recovery").count() == 1
    recovery.create_new(editor)
    assert not check(editor, vault, second)
    assert recovery.count(editor.person) == 10


def test_wrong_codes_are_delayed_at_all_addresses(
    editor: Actor, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts_module, "monotonic", lambda: 0.0)
    add_authenticator(editor.person, vault)
    attempts = Attempts("")
    refused, throttled = sign_ins("refused"), sign_ins("throttled")
    for _ in range(5):
        assert not check(editor, vault, "000000", attempts)
    with pytest.raises(TooManyAttempts):
        proofs.check_code(editor.person, vault, code(), "192.0.2.1", attempts)
    assert (sign_ins("refused"), sign_ins("throttled")) == (refused + 5, throttled + 1)
    proofs.check_code(editor.person, vault, code(), "192.0.2.1", attempts, device_id="known")


def test_only_admins_of_scalr_remove_the_factors_of_others(
    actor_of: ActorOf, editor: Actor, scope: ScopeAt, vault: Vault
) -> None:
    acme = scope("acme")
    number = Membership.get(person=editor.person, scope=acme).id
    with pytest.raises(Forbidden):
        proofs.remove_factors_of_member(actor_of("account-admin"), acme, number)
    admin = actor_of("scalr-admin")
    with pytest.raises(MemberError, match="no second factor"):
        proofs.remove_factors_of_member(admin, acme, number)
    add_authenticator(editor.person, vault)
    recovery.create_new(editor)
    proofs.remove_factors_of_member(admin, acme, number)
    assert (Authenticator.select().count(), RecoveryCode.select().count()) == (0, 0)
    entry = AuditEntry.get(AuditEntry.action == "person.factor_remove")
    assert (entry.person, entry.subject) == (admin.person, editor.person.name)


def test_a_removed_person_has_no_factors(editor: Actor, vault: Vault) -> None:
    add_authenticator(editor.person, vault)
    recovery.create_new(editor)
    accounts.lock_out(editor.person)
    assert (Authenticator.select().count(), RecoveryCode.select().count()) == (0, 0)
