"""What the contract's tests need to know of an adapter. A peer is a server on loopback that stands
for the cloud, with an image that is known to be there."""

from __future__ import annotations

import ssl
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import ClassVar

from sandbox import faulty
from webapp.clouds.base import Cloud, CredentialValues, Locator

SECRET = "wJalrXUtnFEMI/bPxRfiCYEXAMPLEKEY"


class Peer(ABC):
    cloud: ClassVar[Cloud]
    known: ClassVar[Locator]
    known_name: ClassVar[str]
    unknown: ClassVar[Locator]
    elsewhere: ClassVar[Locator | None] = None
    """An image that is in another location; None where none has one."""
    nowhere: ClassVar[Locator | None] = None
    """A location that does not exist; None where there are none."""
    moving: ClassVar[Locator | None] = None
    """A reference that stands for `known` at present: `latest`, a family. None where this cloud
    has none."""
    pasted: ClassVar[Mapping[str, str]]
    """What people paste, and the canonical id that it stands for."""
    not_ids: ClassVar[tuple[str, ...]]
    secret: ClassVar[str] = SECRET
    """What must show nowhere: each secret field holds it, or is part of it."""
    tls: ClassVar[ssl.SSLContext | None] = None
    """What a server needs that this cloud's SDK is to trust, where it speaks TLS only."""

    @abstractmethod
    def start(self) -> AbstractContextManager[str]:
        """Serve; the address is what `credentials` takes."""

    @abstractmethod
    def credentials(self, address: str) -> CredentialValues:
        """Good ones, for a cloud at this address, which may begin with http where `tls` wants
        https."""

    @abstractmethod
    def rejecting(self) -> faulty.Behaviour:
        """A cloud that does not know who is asking."""

    @abstractmethod
    def denying(self) -> faulty.Behaviour:
        """A cloud that knows who is asking, and does not allow it."""

    @abstractmethod
    def throttling(self) -> faulty.Behaviour: ...

    def serve(self, behaviour: faulty.Behaviour) -> AbstractContextManager[str]:
        return faulty.serve(behaviour, tls=self.tls)
