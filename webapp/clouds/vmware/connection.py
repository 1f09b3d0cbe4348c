"""Connections to a vCenter for pyVmomi's SOAP client.

Each connection has time limits. Whenever a connection connects or reconnects, it verifies the
server's certificate as the credentials require.

pyVmomi's own connections are not used, because they verify too little. They check a thumbprint only
if the certificate cannot be verified in another way. For this check, they turn off the verification
of the connection. When the connection reconnects later, it verifies nothing.

This module imports pyVmomi, so it is imported only on first use.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import ssl
from collections.abc import Mapping
from http.client import HTTPException, HTTPResponse, HTTPSConnection, IncompleteRead
from typing import Any
from urllib.parse import urlsplit

from pyVmomi.SoapAdapter import SoapStubAdapter

from webapp.clouds.errors import CloudUnreachable
from webapp.clouds.outgoing.calls import ResponseCounter, current_call
from webapp.clouds.outgoing.connections import LimitedConnection, LimitedResponse
from webapp.clouds.outgoing.endpoints import connect
from webapp.clouds.vmware import ids

CONNECT_SECONDS = 2.5
READ_SECONDS = 5.0
PIECE_BYTES = 64 * 1024
OLDEST_VERSION = "vim.version.version10"
"""The API version of vSphere 6.0, which every later vCenter also supports."""
PATH = "/sdk"
"""The path of the SOAP API in the URL of a vCenter."""
NOT_VSPHERE = (
    "The server at the vCenter URL didn’t respond like a vCenter. Check the URL in the "
    "credentials, and whether a proxy answers instead of the vCenter."
)
_BROWSER_PATHS = {"ui", "vsphere-client", "mob"}
"""The first path segments in the URLs of a vCenter's web pages. People may paste such a URL."""
_HASH_NAMES = {40: "sha1", 64: "sha256"}
"""The hash algorithm by the number of digits in a thumbprint."""


class ConnectTimeout(TimeoutError):
    """The connection was not established in time."""


class UnexpectedHttpStatus(HTTPException):
    """The response is not from the SOAP API of a vCenter. `status` is its HTTP status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP status {status}")
        self.status = status


def make_stub(credentials: Mapping[str, str]) -> SoapStubAdapter:
    """Return a SOAP client for the vCenter. pyVmomi calls such a client a stub.

    The client connects when it is used for the first time.
    """
    url = urlsplit(credentials["vcenter_url"])
    path = url.path.rstrip("/")
    if not path or path.split("/")[1] in _BROWSER_PATHS:
        path = PATH
    thumbprint = ""
    if credentials.get("verification") == "thumbprint":
        thumbprint = ids.parse_thumbprint(credentials["thumbprint"])
    return _Stub(url.hostname or "", url.port or 443, path, _ssl_context(credentials), thumbprint)


def _ssl_context(credentials: Mapping[str, str]) -> ssl.SSLContext:
    verification = credentials.get("verification") or "verify"
    if verification == "verify":
        return ssl.create_default_context(cadata=credentials.get("ca") or None)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class _Stub(SoapStubAdapter):
    """A SOAP client. Threads can share it, because each call takes a connection from a pool."""

    def __init__(
        self, host: str, port: int, path: str, context: ssl.SSLContext, thumbprint: str
    ) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            host=host,
            port=port,
            path=path,
            version=OLDEST_VERSION,
            sslContext=context,
            # pyVmomi would decompress a response of any size.
            acceptCompressedResponses=False,
        )
        self.scheme = VCenterConnection  # type: ignore[assignment]
        self.schemeArgs = {"context": context, "thumbprint": thumbprint}

    def __del__(self) -> None:
        if hasattr(self, "pool"):
            self.DropConnections()  # type: ignore[no-untyped-call]


class _Response(LimitedResponse):
    """A response that is read completely before pyVmomi parses it. Its content is counted.

    Without this class, pyVmomi would parse each part of a response as soon as the part arrives, so
    the parser of a slow response would wait for the network. In the meantime, no other response
    could be parsed, because only one response is parsed at a time (see `outgoing.budgets`).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._content: io.BytesIO | None = None

    def read(self, amt: int | None = None) -> bytes:
        """Read a part of the response. Raises IncompleteRead if the response ends early."""
        if self._content is None:
            try:
                self._content = self._read_and_count()
            except Exception:
                self.close()  # pyVmomi closes only the connection, not the response.
                raise
        return self._content.read(amt)

    def _read_and_count(self) -> io.BytesIO:
        counter = ResponseCounter()
        content = io.BytesIO()
        while piece := super().read(PIECE_BYTES):
            counter.count(piece)
            content.write(piece)
        # http.client does not raise this exception if a response is read in parts.
        if self.length:
            raise IncompleteRead(content.getvalue(), self.length)
        counter.end()
        content.seek(0)
        return content


class VCenterConnection(LimitedConnection, HTTPSConnection):
    """A connection that verifies the server, as `context` and `thumbprint` require.

    The server is verified again each time the connection reconnects.
    """

    response_class = _Response

    def __init__(self, host: str, port: int, *, context: ssl.SSLContext, thumbprint: str) -> None:
        super().__init__(host, port, timeout=CONNECT_SECONDS, context=context)
        self._create_connection = connect
        self._thumbprint = thumbprint
        """The thumbprint of the only trusted certificate.

        If it is '', `context` determines which certificates are trusted.
        """

    def connect(self) -> None:
        self.timeout = CONNECT_SECONDS
        try:
            super().connect()
        except TimeoutError as error:
            raise ConnectTimeout(*error.args) from error
        self.timeout = READ_SECONDS
        self.sock.settimeout(min(READ_SECONDS, current_call().seconds_left()))
        if self._thumbprint and not _has_thumbprint(self.sock, self._thumbprint):
            self.close()
            raise CloudUnreachable(
                "The certificate of the vCenter doesn’t have the thumbprint in the credentials, so "
                "the password was not sent. Ask your vCenter administrator whether the certificate "
                "was renewed. If it was, enter the new thumbprint in the credentials."
            )

    def getresponse(self) -> HTTPResponse:
        """Return the response. Raises an exception if it can't be from the SOAP API of a vCenter.

        The SOAP API responds with XML and the status 200 or 500. pyVmomi would accept any XML, and
        some texts that are not XML.
        """
        response = super().getresponse()
        is_xml = "xml" in response.headers.get("Content-Type", "xml").lower()
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            is_xml = False  # No compressed response was requested.
        if response.status not in {200, 500} or (response.status == 500 and not is_xml):
            self.close()
            raise UnexpectedHttpStatus(response.status)
        if not is_xml:
            self.close()
            raise CloudUnreachable(NOT_VSPHERE)
        return response


def _has_thumbprint(tls_socket: Any, thumbprint: str) -> bool:
    certificate = tls_socket.getpeercert(binary_form=True) or b""
    digest = hashlib.new(_HASH_NAMES[len(thumbprint)], certificate).hexdigest()
    return hmac.compare_digest(digest, thumbprint)
