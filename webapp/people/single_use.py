"""Make sure that the response of an identity provider or of a passkey is used only once.

The application creates a random text for each expected response: the state that an identity
provider sends back, or the challenge that a passkey signs. After the response, the application
stores the digest of this text, and refuses another response with the same text.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta

from peewee import IntegrityError

import models
from models import UsedAnswer, delete_chunk, transaction
from webapp.refusals import Refusal

RETENTION = timedelta(minutes=20)
"""How long a used text is stored. No text may be valid for longer, see `is_current`."""
CLOCK_DIFFERENCE = timedelta(minutes=5)
"""A text is valid at all servers whose clocks differ by at most this time."""


class AlreadyUsed(Refusal):
    """Another request has used the same response."""

    def __init__(self) -> None:
        super().__init__("This sign-in was already used. Sign in again.")


def is_current(began: float, lifetime: timedelta) -> bool:
    """Return whether a text that is valid for `lifetime` has not expired.

    `began` is when the text was created, in seconds since the epoch. It comes from the clock of the
    server that created the text, and this clock may be ahead. `lifetime` must be at most RETENTION
    minus twice the CLOCK_DIFFERENCE.
    """
    age = models.now().timestamp() - began
    return -CLOCK_DIFFERENCE.total_seconds() <= age <= lifetime.total_seconds()


def spend(text: str) -> None:
    """Make sure that no other request uses the same text. Raises AlreadyUsed."""
    try:
        with transaction():
            UsedAnswer.create(digest=hashlib.sha256(text.encode()).hexdigest())
    except IntegrityError as error:
        raise AlreadyUsed from error


def purge_chunk() -> bool:
    """Delete some used texts that have expired. Return whether more of them may exist."""
    return delete_chunk(UsedAnswer, UsedAnswer.at < models.now() - RETENTION)
