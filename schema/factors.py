"""Tables of second factors: the proofs of identity besides the password."""

from __future__ import annotations

from peewee import AutoField, BigIntegerField, CharField, ForeignKeyField, JSONField

from schema.base import Table
from schema.columns import InstantField, now
from schema.tenancy import Person


class Authenticator(Table):
    """The authenticator app of a person, which shows a new code every 30 seconds."""

    id = AutoField()
    person_id: int
    person = ForeignKeyField(Person, unique=True, on_delete="CASCADE")
    secret = CharField(max_length=500)
    """The secret that the app and the registry share, encrypted by `Vault.seal_for`."""
    last_step = BigIntegerField()
    """The time step of the last accepted code. Codes of this and of earlier steps are refused."""
    created_at = InstantField(default=now)


class Passkey(Table):
    """A key pair of a person (WebAuthn). The device of the person has the private key.

    The columns store bytes as URL-safe base64 without padding.
    """

    id = AutoField()
    person_id: int
    person = ForeignKeyField(Person, on_delete="CASCADE")
    name = CharField(max_length=64)
    """The name that the person gave the passkey."""
    credential = CharField(max_length=1364, unique=True)
    """The credential ID, by which the device finds the private key. It has at most 1023 bytes."""
    public_key = CharField(max_length=2000)
    """The public key as a COSE key."""
    user_handle = CharField(max_length=86)
    """Random bytes that identify the person to their devices.

    All passkeys of a person have the same user handle.
    """
    sign_count = BigIntegerField()
    """The counter of the device after the last use. Devices without a counter always send 0."""
    transports = JSONField()
    """How the browser reaches the device, such as `["internal", "hybrid"]`."""
    created_at = InstantField(default=now)
    used_at = InstantField(null=True)
    """When the passkey was last used, or None."""


class RecoveryCode(Table):
    """A code that replaces the second factor once. Using it deletes the row."""

    id = AutoField()
    person = ForeignKeyField(Person, on_delete="CASCADE")
    digest = CharField(max_length=64, unique=True)
    """The SHA-256 digest of the code, in hexadecimal digits."""
