"""Tables of mails that wait to be sent, and of the links that reset passwords."""

from __future__ import annotations

from peewee import (
    AutoField,
    BooleanField,
    CharField,
    DoubleField,
    ForeignKeyField,
    IntegerField,
    JSONField,
)

from schema.base import Table
from schema.columns import InstantField, now
from schema.tenancy import Invitation, Person


class OutgoingMail(Table):
    """A mail in the outbox. Sending the mail deletes the row.

    The row contains neither the text of the mail nor the token of its link. See `webapp.mail`.
    """

    id = AutoField()
    invitation_id: int | None
    kind = CharField(max_length=32)
    """A value of `webapp.mail.outbox.Kind`."""
    key = CharField(max_length=32)
    """A random text, from which the Message-ID and the token of the link are derived."""
    recipient = CharField(max_length=254)
    """The e-mail address."""
    invitation = ForeignKeyField(Invitation, null=True, on_delete="CASCADE")
    """The invitation that the mail is about, or None."""
    details = JSONField()
    """The values for the template of the mail."""
    created_at = InstantField(default=now)
    expires_at = InstantField()
    """When the row is deleted even if the mail was not sent."""
    attempts = IntegerField(default=0)
    next_attempt_at = DoubleField(index=True)
    """In seconds since 1970, by the database's clock.

    Before a process sends the mail, it moves this time into the future, so that no other process
    sends the mail meanwhile.
    """
    refused = BooleanField(default=False)
    """Whether the mail can't be sent. If so, no process tries again to send the mail.

    Either the mail server refused the mail for good, or the server does not support the recipient's
    address, or this address can't be written into a message.
    """
    error = CharField(max_length=255, default="")
    """Why the last attempt failed, or ''."""


class PasswordReset(Table):
    """A link with which a person can set a new password once.

    Only a digest of the token in the link is stored.
    """

    id = AutoField()
    person_id: int
    person = ForeignKeyField(Person, on_delete="CASCADE")
    token_digest = CharField(max_length=64, unique=True)
    expires_at = InstantField()
