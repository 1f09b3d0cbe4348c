"""The way to a vCenter: pyVmomi's SOAP over a connection of ours, which has time limits and trusts
what the credentials say, in every connection that is made. Imports pyVmomi, so it is itself
imported on first use only.

pyVmomi's own connection verifies nothing at 127.0.0.1 unless it is given a context, and looks at a
thumbprint only where the certificate cannot be verified otherwise, and only the first time.
"""

from __future__ import annotations

import hashlib
import hmac
import ssl
from collections.abc import Mapping
from http.client import HTTPException, HTTPResponse, HTTPSConnection, IncompleteRead
from typing import Any
from urllib.parse import urlsplit

from pyVmomi.SoapAdapter import SoapStubAdapter

from webapp.clouds.base import CloudUnreachable
from webapp.clouds.vmware import ids as vmware_ids

CONNECT_SECONDS = 2.5
READ_SECONDS = 5.0
OLDEST = "vim.version.version10"
"""The API of vSphere 6.0, which every later vCenter speaks as well."""
PATH = "/sdk"
_OF_THE_CLIENT = {"ui", "vsphere-client", "mob"}
"""What paths begin with that people copy out of the browser."""
NOT_VSPHERE = (
    "What answers there does not speak like a vCenter. Check the vCenter URL of the credentials; a "
    "proxy in between may be answering, too."
)
_HASHES = {40: "sha1", 64: "sha256"}
"""By the number of digits."""


class ConnectTimeout(TimeoutError):
    """No connection came about in time."""


class HttpStatus(HTTPException):
    """An answer that is no SOAP."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP status {status}")
        self.status = status


def stub_for(credentials: Mapping[str, str]) -> SoapStubAdapter:
    """Sends nothing yet."""
    url = urlsplit(credentials["vcenter_url"])
    path = url.path.rstrip("/")
    if not path or path.split("/")[1] in _OF_THE_CLIENT:
        path = PATH
    pinned = ""
    if credentials.get("verification") == "thumbprint":
        pinned = vmware_ids.thumbprint(credentials["thumbprint"])
    return _Stub(url.hostname or "", url.port or 443, path, _context(credentials), pinned)


def _context(credentials: Mapping[str, str]) -> ssl.SSLContext:
    how = credentials.get("verification") or "verify"
    if how == "verify":
        return ssl.create_default_context(cadata=credentials.get("ca") or None)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class _Stub(SoapStubAdapter):
    """Safe to share between threads: each call takes a connection of its own out of a pool."""

    def __init__(
        self, host: str, port: int, path: str, context: ssl.SSLContext, pinned: str
    ) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            host=host, port=port, path=path, version=OLDEST, sslContext=context
        )
        self.scheme = _Connection  # type: ignore[assignment]
        self.schemeArgs = {"context": context, "pinned": pinned}

    def __del__(self) -> None:
        if hasattr(self, "pool"):
            self.DropConnections()  # type: ignore[no-untyped-call]


class _Answer(HTTPResponse):
    def read(self, amt: int | None = None) -> bytes:
        """Read in pieces, an answer that breaks off would look like one that is whole."""
        piece = super().read(amt)
        if amt and not piece and self.length:
            raise IncompleteRead(piece, self.length)
        return piece


class _Connection(HTTPSConnection):
    """Verifies what it connects to, also when it does so again after having been closed."""

    response_class = _Answer

    def __init__(self, host: str, port: int, *, context: ssl.SSLContext, pinned: str) -> None:
        super().__init__(host, port, timeout=CONNECT_SECONDS, context=context)
        self._pinned = pinned
        """The thumbprint of the one certificate that is trusted; '' leaves it to the context."""

    def connect(self) -> None:
        try:
            super().connect()
        except TimeoutError as error:
            raise ConnectTimeout(*error.args) from error
        self.sock.settimeout(READ_SECONDS)
        if self._pinned and not _has_thumbprint(self.sock, self._pinned):
            self.close()
            raise CloudUnreachable(
                "The vCenter shows another certificate than the one with this thumbprint, so the "
                "password was not sent. Ask whoever runs the vCenter: if the certificate was "
                "renewed, edit the credentials and enter the new thumbprint."
            )

    def getresponse(self) -> HTTPResponse:
        """pyVmomi would make the best of anything that is XML, and of some things that are not."""
        answer = super().getresponse()
        is_xml = "xml" in answer.headers.get("Content-Type", "xml").lower()
        if answer.status not in {200, 500} or (answer.status == 500 and not is_xml):
            self.close()
            raise HttpStatus(answer.status)
        if not is_xml:
            self.close()
            raise CloudUnreachable(NOT_VSPHERE)
        return answer


def _has_thumbprint(connected: Any, pinned: str) -> bool:
    certificate = connected.getpeercert(binary_form=True) or b""
    digest = hashlib.new(_HASHES[len(pinned)], certificate).hexdigest()
    return hmac.compare_digest(digest, pinned)
