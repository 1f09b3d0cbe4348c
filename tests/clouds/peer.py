"""Peers: what the contract tests need to know about each adapter.

A peer starts a server on this machine that takes the role of the cloud and has a known image.
"""

from __future__ import annotations

import ssl
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import ClassVar

from sandbox import faulty
from webapp.clouds.base import Cloud
from webapp.clouds.credentials import CredentialValues
from webapp.clouds.locators import Locator

SECRET = "wJalrXUtnFEMI/bPxRfiCYEXAMPLEKEY"


class Peer(ABC):
    cloud: ClassVar[Cloud]
    known: ClassVar[Locator]
    known_name: ClassVar[str]
    unknown: ClassVar[Locator]
    in_other_location: ClassVar[Locator | None] = None
    """An image that is in a different location. None for clouds without locations."""
    at_unknown_location: ClassVar[Locator | None] = None
    """An image in a location that does not exist. None for clouds without locations."""
    alias: ClassVar[Locator | None] = None
    """A reference that currently resolves to `known`, such as `latest` or a family.

    None if this cloud has no such references.
    """
    pasted: ClassVar[Mapping[str, str]]
    """Pasted texts and their canonical IDs."""
    invalid_ids: ClassVar[tuple[str, ...]]
    secret: ClassVar[str] = SECRET
    """A text that no log or repr may contain. Each secret field contains it or is part of it."""
    tls: ClassVar[ssl.SSLContext | None] = None
    """The TLS context that this cloud's SDK trusts, if the SDK uses only TLS."""

    @abstractmethod
    def start(self) -> AbstractContextManager[str]:
        """Serve the cloud and yield the URL to pass to `credentials`."""

    @abstractmethod
    def credentials(self, url: str) -> CredentialValues:
        """Return valid credentials for a cloud at this URL.

        `url` may begin with http although `tls` requires https.
        """

    @abstractmethod
    def rejecting(self) -> faulty.Behavior:
        """Return the behavior of a cloud that does not accept the credentials."""

    @abstractmethod
    def denying(self) -> faulty.Behavior:
        """Return the behavior of a cloud that accepts the credentials, but denies the call."""

    @abstractmethod
    def throttling(self) -> faulty.Behavior: ...

    def serve(self, behavior: faulty.Behavior) -> AbstractContextManager[str]:
        return faulty.serve(behavior, tls=self.tls)
