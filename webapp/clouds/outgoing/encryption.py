"""Whether every connection to a cloud must be encrypted, as the setting REQUIRE_TLS says.

Connections to this machine need no encryption, because they never leave it.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from webapp.clouds.outgoing.endpoints import NotConnected
from webapp.settings import is_this_machine

_is_required = False


class NotEncrypted(NotConnected):
    """A connection was refused, because it would not be encrypted. The message is for the log."""


def configure(*, required: bool) -> None:
    """Set whether this process requires encryption, which is the value of REQUIRE_TLS."""
    global _is_required  # noqa: PLW0603  one rule per process, set when the process starts
    _is_required = required


def must_encrypt(host: str) -> bool:
    """Return whether a connection to `host` must be encrypted with a verified certificate."""
    return _is_required and not is_this_machine(host)


def forbids(url: str) -> bool:
    """Return whether the URL of a server leads to a connection that would not be encrypted."""
    parts = urlsplit(url)
    return parts.scheme.lower() != "https" and must_encrypt(parts.hostname or "")
