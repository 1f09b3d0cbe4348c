"""Authenticator apps: time-based one-time passwords (TOTP, RFC 6238)."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from datetime import timedelta

import pyotp
from peewee import IntegrityError

import models
from models import Authenticator, Person, transaction
from webapp import audit
from webapp.access import Actor
from webapp.credentials.vault import Vault, VaultError
from webapp.factors import recovery
from webapp.people import accounts, security_mails
from webapp.refusals import Refusal

ISSUER = "Image Registry"
STEP_SECONDS = 30
CLOCK_SKEW_STEPS = 1
"""How many time steps the clock of the app may be ahead of the server's clock, or behind it.

RFC 6238, section 5.2, recommends at most one step for the network delay. NIST SP 800-63B allows for
clocks that differ in either direction.
"""
ADDED = {"factor": (None, "authenticator app")}
REMOVED = {"factor": ("authenticator app", None)}
CODE = re.compile("[0-9]{6}")
SET_UP_LIFETIME = timedelta(hours=1)
"""How long the page that sets up an app is valid."""
SET_UP = "set-up of an authenticator app"
"""The purpose of the encrypted text in the form that sets up an app, for `Vault.seal`."""


class AuthenticatorRefused(Refusal):
    """The authenticator app cannot be added or removed."""


@dataclass(frozen=True)
class SetUp:
    """A new secret that no code has confirmed yet."""

    secret: str
    email: str

    @property
    def uri(self) -> str:
        """The text of the QR code."""
        return pyotp.TOTP(self.secret).provisioning_uri(name=self.email, issuer_name=ISSUER)

    @property
    def readable_secret(self) -> str:
        """The secret in groups of four characters."""
        return " ".join(re.findall(".{1,4}", self.secret))


def begin_set_up(actor: Actor, vault: Vault) -> tuple[SetUp, str]:
    """Return a new secret, and the encrypted text that the form sends back with the first code."""
    secret = pyotp.random_base32()
    values = {
        "person": actor.person.id,
        "authenticator": secret,
        "at": models.now().timestamp(),
    }
    return SetUp(secret, actor.person.email), vault.seal(values, SET_UP)


def read_set_up(actor: Actor, vault: Vault, sealed: str) -> SetUp:
    """Decrypt a text that `begin_set_up` returned, and return the set-up in it.

    Raises AuthenticatorRefused.
    """
    values = vault.unseal(sealed, SET_UP) or {}
    is_set_up = values.keys() == {"person", "authenticator", "at"}
    is_own = is_set_up and values["person"] == actor.person.id
    if not is_own or models.now().timestamp() - values["at"] > SET_UP_LIFETIME.total_seconds():
        raise AuthenticatorRefused(
            "This page expired before you sent it. Scan the new QR code, and try again."
        )
    return SetUp(values["authenticator"], actor.person.email)


def add(actor: Actor, vault: Vault, set_up: SetUp, code: str) -> list[str]:
    """Add an authenticator app that shows `code` now. Return new recovery codes for the person.

    The list is empty if the person already has recovery codes. Raises AuthenticatorRefused.
    """
    person, step = actor.person, _step_of(set_up.secret, code)
    if step is None:
        raise AuthenticatorRefused(
            "This code is incorrect. Enter the code that the app shows now, and check that the "
            "clock of your device is right.",
            "code",
        )
    try:
        with transaction():
            accounts.lock(person)
            sealed = vault.seal_for(person, set_up.secret)
            Authenticator.create(person=person, secret=sealed, last_step=step)
            audit.record(actor, None, "person.factor_add", person.name, changes=ADDED)
            security_mails.factor_added(person, "an authenticator app")
            return [] if recovery.count(person) else recovery.replace_codes(person)
    except IntegrityError as error:
        raise AuthenticatorRefused("You already have an authenticator app.") from error


def remove(actor: Actor) -> None:
    """Remove the actor's authenticator app. Raises AuthenticatorRefused."""
    person = actor.person
    with transaction():
        accounts.lock(person)
        if not Authenticator.delete().where(Authenticator.person == person).execute():
            raise AuthenticatorRefused("The authenticator app has already been removed.")
        audit.record(actor, None, "person.factor_remove", person.name, changes=REMOVED)
        recovery.delete_if_no_factor(person)
        security_mails.factor_removed(person, "the authenticator app")


def find(person: Person) -> Authenticator | None:
    """Return the authenticator app of a person, or None."""
    found: Authenticator | None = Authenticator.get_or_none(person=person)
    return found


def use(person: Person, vault: Vault, code: str) -> bool:
    """Return whether `code` is a valid code of the person's app, and use it up.

    Afterwards, codes of the same time step and of earlier steps are refused. Raises VaultError.
    """
    row = find(person)
    if row is None:
        return False
    secret = vault.unseal_for(person, row.secret)
    if secret is None:
        raise VaultError(
            "The registry can’t check the codes of your authenticator app, because an encryption "
            "key is missing. Enter a recovery code, and tell your administrator."
        )
    step = _step_of(secret, code)
    if step is None:
        return False
    # Two requests may send the same code at the same moment. The database lets only one succeed.
    newer = (Authenticator.id == row.id) & (Authenticator.last_step < step)
    return bool(Authenticator.update(last_step=step).where(newer).execute())


def _step_of(secret: str, code: str) -> int | None:
    """Return the time step of a code, or None if the code is not valid now."""
    if not CODE.fullmatch(code):
        return None
    totp, current = pyotp.TOTP(secret), int(models.now().timestamp()) // STEP_SECONDS
    steps = range(current + CLOCK_SKEW_STEPS, current - CLOCK_SKEW_STEPS - 1, -1)
    return next(
        (step for step in steps if hmac.compare_digest(totp.generate_otp(step), code)), None
    )
