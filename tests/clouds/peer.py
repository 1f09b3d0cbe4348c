"""The base class of peers. A peer has what the contract tests need to know about one cloud.

A peer starts a server on this machine that takes the role of the cloud and has the image `known`.
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
    """The data and servers for one cloud."""

    cloud: ClassVar[Cloud]
    known: ClassVar[Locator]
    """An image that the server has."""
    known_name: ClassVar[str]
    """The name of `known` in the cloud, or '' if the cloud has no names."""
    unknown: ClassVar[Locator]
    """An image that does not exist."""
    in_other_location: ClassVar[Locator | None] = None
    """The ID of an image, with another location than its own. None for clouds without locations."""
    at_unknown_location: ClassVar[Locator | None] = None
    """An image in a location that does not exist. None for clouds without locations."""
    alias: ClassVar[Locator | None] = None
    """An alias that currently refers to `known`, such as `latest` or a family.

    None if this cloud has no aliases.
    """
    pasted: ClassVar[Mapping[str, str]]
    """Pasted texts and their canonical IDs."""
    invalid_ids: ClassVar[tuple[str, ...]]
    """Texts that are not image IDs of this cloud."""
    secret: ClassVar[str] = SECRET
    """A text that no log or repr may contain. Each secret field contains this text, or is a part of
    it."""
    tls: ClassVar[ssl.SSLContext | None] = None
    """The TLS context of a server that the credentials trust. None if the cloud also uses http."""

    @abstractmethod
    def start(self) -> AbstractContextManager[str]:
        """Serve the cloud and yield the URL to pass to `credentials`."""

    @abstractmethod
    def credentials(self, url: str) -> CredentialValues:
        """Return valid credentials for a server at this URL.

        Even if the cloud requires https, tests may pass a URL that begins with http.
        """

    @abstractmethod
    def rejecting(self) -> faulty.Behavior:
        """Return the behavior of a cloud that does not accept the credentials."""

    @abstractmethod
    def denying(self) -> faulty.Behavior:
        """Return the behavior of a cloud that accepts the credentials, but denies the call."""

    @abstractmethod
    def throttling(self) -> faulty.Behavior:
        """Return the behavior of a cloud that refuses the call because there were too many."""

    def serve(self, behavior: faulty.Behavior) -> AbstractContextManager[str]:
        """Serve a behavior in place of the cloud, and yield the URL."""
        return faulty.serve(behavior, tls=self.tls)
