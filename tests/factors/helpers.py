"""Authenticator apps for tests."""

from __future__ import annotations

import pyotp

import models
from models import Authenticator, Person
from webapp.credentials.vault import Vault

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def code(steps: int = 0) -> str:
    """Return the code that the app shows, `steps` time steps later."""
    return pyotp.TOTP(SECRET).generate_otp(int(models.now().timestamp()) // 30 + steps)


def add_authenticator(person: Person, vault: Vault) -> Authenticator:
    row: Authenticator = Authenticator.create(
        person=person, secret=vault.seal_for(person, SECRET), last_step=0
    )
    return row
