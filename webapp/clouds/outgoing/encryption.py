"""Decide which connections to clouds must be encrypted. The setting is REQUIRE_TLS.

A connection to this machine needs no encryption, because its data never leaves the machine.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from webapp.clouds.outgoing.endpoints import NotConnected
from webapp.settings import is_this_machine

_is_required = False


class NotEncrypted(NotConnected):
    """A connection was refused, because it would not be encrypted. The message is for the log."""


def configure(*, required: bool) -> None:
    """Set whether this process requires encryption. `required` is the value of REQUIRE_TLS."""
    global _is_required  # noqa: PLW0603  one rule per process, set when the process starts
    _is_required = required


def must_encrypt(host: str) -> bool:
    """Return whether a connection to `host` must be encrypted with a verified certificate."""
    return _is_required and not is_this_machine(host)


def forbids(url: str) -> bool:
    """Return whether a connection to `url` must be encrypted, but would not be."""
    parts = urlsplit(url)
    return parts.scheme.lower() != "https" and must_encrypt(parts.hostname or "")
