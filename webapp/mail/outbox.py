"""The mails that wait to be sent.

A use case calls `post` in the transaction of its change, so that the database stores the change and
the mail together or not at all. The row of a mail contains neither its text nor the token of its
link, so somebody who reads the database cannot use the link.
"""

from __future__ import annotations

import enum
import secrets
from datetime import timedelta

import models
from models import Invitation, OutgoingMail, database_clock, delete_chunk
from webapp.monitoring import metrics

ATTEMPT_SECONDS = 90.0
"""The seconds that a process may take to send a mail.

Afterwards, another process may send the mail.
"""
LIFETIME = timedelta(days=1)
"""How long the outbox tries to send a mail, unless the mail has another lifetime."""
REFUSED_RETENTION = timedelta(days=7)
"""How long the outbox stores a mail that can't be sent, so that pages can show this."""
MAX_PROBLEMS = 10
"""The maximum number of failed mails that a page lists."""
_enabled = False


class Kind(enum.StrEnum):
    """The kinds of mails. The template of a kind has the same name."""

    INVITATION = "invitation"
    PASSWORD_RESET = "password-reset"  # noqa: S105  not a password
    PASSWORD_CHANGED = "password-changed"  # noqa: S105  not a password
    NEW_SIGN_IN = "new-sign-in"
    SESSIONS_ENDED = "sessions-ended"
    ROLE_CHANGED = "role-changed"
    FACTOR_ADDED = "factor-added"
    FACTOR_REMOVED = "factor-removed"
    IDENTITY_LINKED = "identity-linked"
    IDENTITY_UNLINKED = "identity-unlinked"
    FACTOR_REQUIREMENT = "factor-requirement"


def configure(*, enabled: bool) -> None:
    """Set whether this installation sends mails."""
    global _enabled  # noqa: PLW0603  set once, at start
    _enabled = enabled


def is_enabled() -> bool:
    """Return whether this installation sends mails."""
    return _enabled


def post(
    kind: Kind,
    recipient: str,
    *,
    invitation: Invitation | None = None,
    lifetime: timedelta = LIFETIME,
    **details: str,
) -> None:
    """Store a mail to an e-mail address. Do nothing if this installation sends no mails.

    `details` are the values for the template.
    """
    if not _enabled:
        return
    OutgoingMail.create(
        kind=kind,
        key=secrets.token_hex(16),
        recipient=recipient,
        invitation=invitation,
        details=details,
        created_at=models.now(),
        expires_at=models.now() + lifetime,
        next_attempt_at=0.0,
    )


def claim() -> OutgoingMail | None:
    """Return the next mail to send, and count an attempt to send it.

    New mails come first, then the mail whose next attempt has been due for longest. For
    ATTEMPT_SECONDS, no other process gets the same mail. Return None if no mail is due, or if
    another process has just claimed the mail.
    """
    is_waiting = ~OutgoingMail.refused & (OutgoingMail.expires_at > models.now())
    is_due = OutgoingMail.next_attempt_at <= database_clock()
    order = (OutgoingMail.next_attempt_at, OutgoingMail.id)
    mail: OutgoingMail | None = (
        OutgoingMail.select().where(is_waiting & is_due).order_by(*order).first()
    )
    if mail is None:
        return None
    is_unclaimed = (OutgoingMail.id == mail.id) & (OutgoingMail.attempts == mail.attempts)
    mail.attempts += 1
    claimed = OutgoingMail.update(
        attempts=mail.attempts, next_attempt_at=database_clock() + ATTEMPT_SECONDS
    )
    return mail if claimed.where(is_unclaimed).execute() else None


def delete(mail: OutgoingMail) -> None:
    """Delete a mail that was sent, or that is no longer needed."""
    mail.delete_instance()


def postpone(mail: OutgoingMail, seconds: float, error: str) -> None:
    """Delay the next attempt to send a mail by some seconds.

    `error` says why the last attempt failed.
    """
    OutgoingMail.update(next_attempt_at=database_clock() + seconds, error=error[:255]).where(
        OutgoingMail.id == mail.id
    ).execute()


def refuse(mail: OutgoingMail, error: str) -> None:
    """Record that a mail can't be sent (`smtp.MessageRefused`), so that no process tries again.

    `error` says why the mail can't be sent.
    """
    OutgoingMail.update(
        refused=True, error=error[:255], details={}, expires_at=models.now() + REFUSED_RETENTION
    ).where(OutgoingMail.id == mail.id).execute()


def purge_chunk() -> bool:
    """Delete some mails that have expired. Return whether more of them may exist."""
    has_expired = OutgoingMail.expires_at <= models.now()
    unsent = OutgoingMail.select().where(has_expired & ~OutgoingMail.refused).count()
    metrics.MAILS.labels("expired").inc(unsent)
    return delete_chunk(OutgoingMail, has_expired, 10_000)


def problems() -> list[OutgoingMail]:
    """Return the first mails whose last attempt failed, at most MAX_PROBLEMS."""
    has_failed = (OutgoingMail.error != "") & (OutgoingMail.expires_at > models.now())
    query = OutgoingMail.select().where(has_failed).order_by(OutgoingMail.id)
    return list(query.limit(MAX_PROBLEMS))
