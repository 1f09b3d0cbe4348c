"""Passkeys: key pairs with which people sign in and prove who they are (WebAuthn).

A passkey combines two factors: the person has the device, and the device has verified the person
with a PIN, a fingerprint or their face. So every use requires user verification.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from peewee import IntegrityError

import models
from models import DATABASE_FAILURES, Passkey, Person, transaction
from webapp import audit
from webapp.access import Actor
from webapp.factors import recovery
from webapp.monitoring import metrics
from webapp.people import accounts, security_mails, sessions, single_use
from webapp.people.attempts import Attempt, Attempts, TooManyAttempts
from webapp.refusals import Refusal
from webapp.values.text import LineRule

if TYPE_CHECKING:
    from webauthn.authentication.verify_authentication_response import VerifiedAuthentication
    from webauthn.registration.verify_registration_response import VerifiedRegistration

METHOD = "passkey"
"""The method that the audit log shows for a failed attempt."""
SITE_NAME = "Image Registry"
MAX_PASSKEYS = 20
"""The maximum number of passkeys of a person."""
CHALLENGE_LIFETIME = timedelta(minutes=5)
LONGEST_ANSWER = 16_384
"""The maximum length of the answer of a browser, in characters."""
LONGEST_KEY = 2000
"""The maximum length of a public key in URL-safe base64, in characters."""
CREDENTIAL = re.compile(r"[\w-]{1,1364}", re.ASCII)
"""Matches a credential ID: up to 1023 bytes in URL-safe base64."""


class PasskeysUnavailable(Refusal):
    """The site cannot have passkeys. The message says what the operator has to do."""


class PasskeyRefused(Refusal):
    """A passkey cannot be added, changed or used."""


class ChallengeExpired(PasskeyRefused):
    """The challenge is too old, was already used, or was not for this purpose or browser."""

    def __init__(self) -> None:
        super().__init__(
            "This passkey request isn’t valid. It may be older than five minutes, already used, or "
            "from another browser. Try again."
        )


@dataclass(frozen=True)
class Answer:
    """The answer of a browser to a challenge."""

    site: Site
    challenge: Challenge
    text: str
    """JSON."""


class AnswerRefused(PasskeyRefused):
    """The answer does not prove that the right passkey was used. The message does not say why."""

    def __init__(self) -> None:
        super().__init__("This passkey was not accepted. Try again, or use another method.")


NAME = LineRule("name", 64, 1, "name", PasskeyRefused)


@dataclass(frozen=True)
class Site:
    """The site to which passkeys belong (the relying party)."""

    rp_id: str
    """The host name."""
    origin: str
    """The scheme, the host name and the port."""


@dataclass(frozen=True)
class Challenge:
    """A random text that a passkey signs. It is valid for one answer, within CHALLENGE_LIFETIME."""

    value: str
    """URL-safe base64."""
    purpose: str
    owner: str
    """The session, or the sign-in, for which the browser requested the challenge."""
    began: float
    """In seconds since the epoch."""

    @classmethod
    def begin(cls, purpose: str, owner: str) -> Challenge:
        return cls(secrets.token_urlsafe(32), purpose, owner, models.now().timestamp())

    def spend(self, purpose: str, owner: str) -> None:
        """Use up the challenge. Raises PasskeyRefused unless it is valid for purpose and owner."""
        is_current = single_use.is_current(self.began, CHALLENGE_LIFETIME)
        if not is_current or (self.purpose, self.owner) != (purpose, owner):
            raise ChallengeExpired
        try:
            single_use.spend(self.value)
        except single_use.AlreadyUsed as error:
            raise ChallengeExpired from error


def site_of(public_url: str) -> Site:
    """Return the site at this URL. Raises PasskeysUnavailable.

    Browsers allow passkeys only for a host name, not for an IP address. The site must use HTTPS,
    unless the host is `localhost` or ends with `.localhost`.
    """
    if not public_url:
        raise PasskeysUnavailable(
            "Passkeys are not available, because the setting PUBLIC_URL is missing. The operator "
            "of the registry can set it."
        )
    parts = urlsplit(public_url)
    host = (parts.hostname or "").lower()
    if _is_address(host):
        raise PasskeysUnavailable(
            "Passkeys are not available, because the setting PUBLIC_URL contains an IP address "
            "instead of a host name. The operator of the registry can change it."
        )
    is_local = host == "localhost" or host.endswith(".localhost")
    if parts.scheme != "https" and not is_local:
        raise PasskeysUnavailable(
            "Passkeys are not available, because the setting PUBLIC_URL does not begin with "
            "https://. The operator of the registry can change it."
        )
    standard = {"https": 443, "http": 80}[parts.scheme]
    port = f":{parts.port}" if parts.port not in {None, standard} else ""
    return Site(host, f"{parts.scheme}://{host}{port}")


def creation_options(actor: Actor, site: Site, challenge: Challenge) -> str:
    """Return the options with which a browser creates a passkey, as JSON."""
    from webauthn import generate_registration_options, options_to_json  # noqa: PLC0415  slow
    from webauthn.helpers import structs  # noqa: PLC0415

    own_passkeys = passkeys_of(actor.person)
    options = generate_registration_options(
        rp_id=site.rp_id,
        rp_name=SITE_NAME,
        user_id=_from_base64url(_handle_of(own_passkeys, challenge)),
        user_name=actor.person.email,
        user_display_name=actor.person.name,
        challenge=_from_base64url(challenge.value),
        timeout=int(CHALLENGE_LIFETIME.total_seconds() * 1000),
        attestation=structs.AttestationConveyancePreference.NONE,
        authenticator_selection=structs.AuthenticatorSelectionCriteria(
            resident_key=structs.ResidentKeyRequirement.REQUIRED,
            user_verification=structs.UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=_descriptors(own_passkeys),
    )
    return options_to_json(options)


def request_options(site: Site, challenge: Challenge, person: Person | None) -> str:
    """Return the options with which a browser uses a passkey, as JSON.

    If `person` is None, the browser lets its user select any passkey that they have for the site.
    """
    from webauthn import generate_authentication_options, options_to_json  # noqa: PLC0415  slow
    from webauthn.helpers import structs  # noqa: PLC0415

    options = generate_authentication_options(
        rp_id=site.rp_id,
        challenge=_from_base64url(challenge.value),
        timeout=int(CHALLENGE_LIFETIME.total_seconds() * 1000),
        allow_credentials=_descriptors(passkeys_of(person)) if person else [],
        user_verification=structs.UserVerificationRequirement.REQUIRED,
    )
    return options_to_json(options)


def challenge_in(answer: str) -> str:
    """Return the value of the challenge that a browser answers. Raises AnswerRefused.

    This function does not verify the answer: `add`, `sign_in` and `check` do.
    """
    from webauthn.helpers import parse_client_data_json  # noqa: PLC0415  slow

    response = _parse_answer(answer)["response"]
    try:
        data = parse_client_data_json(_from_base64url(response["clientDataJSON"]))
        return _to_base64url(data.challenge)
    except _invalid_answer() as error:
        raise AnswerRefused from error


def add(actor: Actor, name: str, answer: Answer) -> list[str]:
    """Add the passkey that a browser has created. Return new recovery codes for the person.

    The list is empty if the person already has recovery codes. Raises PasskeyRefused.
    """
    name, person = NAME.parse(name), actor.person
    values = _parse_answer(answer.text)
    creation = _verified_creation(answer, values)
    key, credential = (
        _to_base64url(creation.credential_public_key),
        _to_base64url(creation.credential_id),
    )
    if len(key) > LONGEST_KEY or not CREDENTIAL.fullmatch(credential):
        raise PasskeyRefused("The registry does not support this passkey. Use another device.")
    try:
        with transaction():
            accounts.lock(person)
            own_passkeys = passkeys_of(person)
            if len(own_passkeys) >= MAX_PASSKEYS:
                raise PasskeyRefused(
                    f"You can have at most {MAX_PASSKEYS} passkeys. Remove one that you no longer "
                    "use."
                )
            Passkey.create(
                person=person,
                name=name,
                credential=credential,
                public_key=key,
                user_handle=_handle_of(own_passkeys, answer.challenge),
                sign_count=creation.sign_count,
                transports=_transports(values),
            )
            changes = {"factor": (None, _label(name))}
            audit.record(actor, None, "person.factor_add", person.name, changes=changes)
            security_mails.factor_added(person, f"the passkey “{name}”")
            return [] if recovery.count(person) else recovery.replace_codes(person)
    except IntegrityError as error:
        raise PasskeyRefused("This passkey has already been added.") from error


def passkeys_of(person: Person) -> list[Passkey]:
    """Return the passkeys of a person, the oldest first."""
    return list(Passkey.select().where(Passkey.person == person).order_by(Passkey.id))


def find_own(actor: Actor, passkey_id: int) -> Passkey:
    """Return a passkey of the actor. Raises PasskeyRefused."""
    found: Passkey | None = Passkey.get_or_none(id=passkey_id, person=actor.person)
    if found is None:
        raise PasskeyRefused("This passkey has already been removed.")
    return found


def rename(actor: Actor, passkey_id: int, name: str) -> None:
    """Give a passkey of the actor another name. Raises PasskeyRefused."""
    name = NAME.parse(name)
    with transaction():
        passkey = find_own(actor, passkey_id)
        changes = {"name": (passkey.name, name)}
        if passkey.name == name:
            return
        passkey.name = name
        passkey.save(only=[Passkey.name])
        audit.record(actor, None, "person.factor_rename", actor.person.name, changes=changes)


def remove(actor: Actor, passkey_id: int) -> None:
    """Remove a passkey of the actor. Raises PasskeyRefused."""
    person = actor.person
    with transaction():
        accounts.lock(person)
        passkey = find_own(actor, passkey_id)
        passkey.delete_instance()
        changes = {"factor": (_label(passkey.name), None)}
        audit.record(actor, None, "person.factor_remove", person.name, changes=changes)
        recovery.delete_if_no_factor(person)
        security_mails.factor_removed(person, f"the passkey “{passkey.name}”")


def sign_in(
    read_answer: Callable[[], Answer],
    address: str,
    attempts: Attempts,
    is_allowed: Callable[[Person], bool],
) -> Person:
    """Return the person who used a passkey to sign in without a password.

    `read_answer` returns the answer of the browser and uses up its challenge. If there were too
    many attempts, `read_answer` is not called. `address` is the IP address of the browser.
    `is_allowed` returns whether a person may sign in without an identity provider. Raises
    PasskeyRefused, TooManyAttempts, and the exceptions of `read_answer`.
    """
    person = _use(read_answer, address, attempts, None, is_allowed)
    metrics.SIGN_IN_SUCCEEDED.inc()
    return person


def check(
    person: Person, read_answer: Callable[[], Answer], address: str, attempts: Attempts
) -> None:
    """Raise PasskeyRefused unless the answer proves that a passkey of the person was used.

    `sign_in` explains the other parameters and the exceptions.
    """
    _use(read_answer, address, attempts, person)


def _use(
    read_answer: Callable[[], Answer],
    address: str,
    attempts: Attempts,
    owner: Person | None,
    is_allowed: Callable[[Person], bool] = lambda _person: True,
) -> Person:
    """Return the person whose passkey was used. Accept only `owner`, unless it is None."""
    attempt = _begin(owner, address, attempts)
    try:
        person = _checked_person(read_answer, address, attempts, owner, is_allowed)
    except DATABASE_FAILURES:
        attempts.cancel(attempt)
        raise
    attempts.cancel(attempt)
    return person


def _begin(owner: Person | None, address: str, attempts: Attempts) -> Attempt:
    """Count an attempt. Raises TooManyAttempts."""
    try:
        return attempts.begin_passkey(address)
    except TooManyAttempts:
        metrics.SIGN_IN_THROTTLED.inc()
        _record("person.throttled", owner, address, attempts)
        raise


def _checked_person(
    read_answer: Callable[[], Answer],
    address: str,
    attempts: Attempts,
    owner: Person | None,
    is_allowed: Callable[[Person], bool],
) -> Person:
    """Return the person whose passkey was used.

    If the answer is refused, record the failed attempt and raise PasskeyRefused. An attempt that
    ends with ChallengeExpired is not recorded, because this exception does not mean that somebody
    used a wrong passkey.
    """
    passkey: Passkey | None = None
    try:
        answer = read_answer()
        values = _parse_answer(answer.text)
        passkey = _find(values.get("id"))
        if passkey is None:
            raise AnswerRefused
        person: Person = passkey.person
        is_other_person = owner is not None and owner.id != person.id
        if is_other_person or person.disabled_at is not None or not is_allowed(person):
            raise AnswerRefused
        # If the passkey replaces the password, the answer must contain the user handle. If the
        # passkey is a second factor, the answer may leave the handle out.
        handle = values["response"].get("userHandle")
        has_right_handle = isinstance(handle, str) and handle.rstrip("=") == passkey.user_handle
        if not has_right_handle and (owner is None or handle is not None):
            raise AnswerRefused
        verified_use = _verified_use(answer, passkey, values)
        _count_use(passkey, verified_use.new_sign_count)
    except ChallengeExpired:
        raise
    except PasskeyRefused:
        metrics.SIGN_IN_REFUSED.inc()
        passkey_owner = owner or (passkey.person if passkey else None)
        _record("person.refused", passkey_owner, address, attempts)
        raise
    return person


def _count_use(passkey: Passkey, count: int) -> None:
    """Store the counter of the device. Raises PasskeyRefused if the counter did not increase.

    If the counter did not increase, another device may have a copy of the key. A counter that is
    always 0 is accepted, because some devices do not count. The UPDATE statement itself compares
    the counter with the stored counter, because two requests may use the passkey at the same
    moment.
    """
    is_newer = (Passkey.sign_count < count) | ((Passkey.sign_count == 0) & (count == 0))
    update = Passkey.update(sign_count=count, used_at=models.now())
    if update.where((Passkey.id == passkey.id) & is_newer).execute():
        return
    if not Passkey.select().where(Passkey.id == passkey.id).exists():
        # The person removed the passkey while its answer was checked.
        raise AnswerRefused
    person = passkey.person
    with transaction():
        audit.record(
            None,
            None,
            "person.passkey_copied",
            person.label,
            changes={"factor": (None, _label(passkey.name))},
            by=audit.STRANGER,
            about=person,
        )
    raise PasskeyRefused(
        f"The passkey “{passkey.name}” was not accepted, because another device may have a copy of "
        "it. Use another way to sign in, then remove the passkey and add a new one."
    )


def _record(action: str, person: Person | None, address: str, attempts: Attempts) -> None:
    """Record a failed attempt. `person` is the owner of the passkey, or None if unknown."""
    email = person.email if person else ""
    sessions.record_failure(action, email, address, attempts, METHOD, "an unknown passkey")


def _find(credential: object) -> Passkey | None:
    if not isinstance(credential, str) or not CREDENTIAL.fullmatch(credential):
        return None
    found: Passkey | None = (
        Passkey.select(Passkey, Person).join(Person).where(Passkey.credential == credential).first()
    )
    return found


def _parse_answer(answer: str) -> Mapping[str, Any]:
    """Return the answer of a browser. Its value `response` is a mapping. Raises PasskeyRefused."""
    try:
        values = json.loads(answer) if len(answer) <= LONGEST_ANSWER else None
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict) or not isinstance(values.get("response"), dict):
        raise AnswerRefused
    return values


def _verified_creation(answer: Answer, values: Mapping[str, Any]) -> VerifiedRegistration:
    from webauthn import verify_registration_response  # noqa: PLC0415  slow

    try:
        return verify_registration_response(
            credential=dict(values),
            expected_challenge=_from_base64url(answer.challenge.value),
            expected_rp_id=answer.site.rp_id,
            expected_origin=answer.site.origin,
            require_user_verification=True,
        )
    except _invalid_answer() as error:
        raise AnswerRefused from error


def _verified_use(
    answer: Answer, passkey: Passkey, values: Mapping[str, Any]
) -> VerifiedAuthentication:
    from webauthn import verify_authentication_response  # noqa: PLC0415  slow

    try:
        return verify_authentication_response(
            credential=dict(values),
            expected_challenge=_from_base64url(answer.challenge.value),
            expected_rp_id=answer.site.rp_id,
            expected_origin=answer.site.origin,
            credential_public_key=_from_base64url(passkey.public_key),
            # With 0, the library accepts every counter. `_count_use` then compares the counter with
            # the stored counter.
            credential_current_sign_count=0,
            require_user_verification=True,
        )
    except _invalid_answer() as error:
        raise AnswerRefused from error


def _invalid_answer() -> tuple[type[Exception], ...]:
    """Return the exceptions that the library raises for a wrong answer."""
    from cbor2 import CBORError  # noqa: PLC0415
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from webauthn.helpers.exceptions import WebAuthnException  # noqa: PLC0415

    malformed = (ValueError, TypeError, LookupError, AttributeError, RecursionError, struct.error)
    return (WebAuthnException, CBORError, UnsupportedAlgorithm, *malformed)


def _descriptors(passkeys: list[Passkey]) -> list[Any]:
    from webauthn.helpers import structs  # noqa: PLC0415

    return [
        structs.PublicKeyCredentialDescriptor(
            id=_from_base64url(each.credential),
            transports=[structs.AuthenticatorTransport(text) for text in each.transports],
        )
        for each in passkeys
    ]


def _transports(values: Mapping[str, Any]) -> list[str]:
    """Return the known transports in the answer of a browser."""
    from webauthn.helpers.structs import AuthenticatorTransport  # noqa: PLC0415

    transports = values["response"].get("transports")
    is_list = isinstance(transports, list)
    texts = [each for each in transports if isinstance(each, str)] if is_list else []
    return [each.value for each in AuthenticatorTransport if each.value in texts]


def _handle_of(passkeys: list[Passkey], challenge: Challenge) -> str:
    """Return the user handle of the person with these passkeys.

    The first passkey gets a new handle. This handle is derived from the random challenge, so that
    the options for the browser and the stored row contain the same handle.
    """
    if passkeys:
        return passkeys[0].user_handle
    return _to_base64url(hashlib.sha512(f"user handle {challenge.value}".encode()).digest())


def _label(name: str) -> str:
    return f"passkey “{name}”"


def _from_base64url(text: str) -> bytes:
    from webauthn import base64url_to_bytes  # noqa: PLC0415

    return base64url_to_bytes(text)


def _to_base64url(data: bytes) -> str:
    from webauthn.helpers import bytes_to_base64url  # noqa: PLC0415

    return bytes_to_base64url(data)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
