"""The connections for all SDKs: each read and each write ends by the deadline of the call.

botocore and `requests` use connections of urllib3, and pyVmomi uses connections of http.client. The
connections of urllib3 are subclasses of http.client.HTTPConnection. So one mixin for HTTPConnection
limits all connections.

This module imports `requests`, so it is imported only on first use of an SDK or single sign-on.
"""

from __future__ import annotations

import contextlib
import io
import socket
from collections.abc import Generator
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.exceptions import NameResolutionError, NewConnectionError
from urllib3.util import Retry

from webapp.clouds.outgoing import calls, encryption
from webapp.clouds.outgoing.calls import ResponseCounter, ResponseTooLarge, current_call
from webapp.clouds.outgoing.encryption import NotEncrypted
from webapp.clouds.outgoing.endpoints import connect, require_allowed_behind_proxy

MAX_HEAD_BYTES = 1024 * 1024
"""The number of bytes by which a response on a connection may exceed MAX_RESPONSE_BYTES.

These additional bytes are for the headers and the sizes of chunks, which are not content.
"""


class _LimitedReader(io.RawIOBase):
    """A reader that fails at the deadline of the call, or at the maximum size of a response."""

    def __init__(self, raw: io.RawIOBase, connection: socket.socket) -> None:
        self._raw, self._connection = raw, connection
        self._call = current_call()
        self._timeout = connection.gettimeout()
        self._bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        try:
            left = self._call.seconds_left()
            self._set_timeout(left if self._timeout is None else min(self._timeout, left))
            try:
                size: int | None = self._raw.readinto(buffer)
            except TimeoutError:
                self._call.seconds_left()
                raise
            self._bytes += size or 0
            if self._bytes > calls.MAX_RESPONSE_BYTES + MAX_HEAD_BYTES:
                raise self._call.fail(ResponseTooLarge())
        except calls.LimitExceeded:
            shut_down(self._connection)
            raise
        return size

    def _set_timeout(self, seconds: float) -> None:
        with contextlib.suppress(OSError):  # The connection may be closed already.
            self._connection.settimeout(seconds)

    def close(self) -> None:
        super().close()
        self._raw.close()


class LimitedResponse(HTTPResponse):
    """A response that is read through a `_LimitedReader`."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_LimitedReader(self.fp.detach(), sock))


class LimitedConnection(HTTPConnection):
    """A mixin for connections of http.client. A connection may serve several calls in turn."""

    response_class = LimitedResponse

    def putrequest(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        """Begin a request. Raises LimitExceeded if the call has reached a limit.

        Also raises NotConnected if a request through a proxy is for a host that the rules of
        `endpoints` forbid.
        """
        call = current_call()
        left = call.seconds_left()
        call.end_parsing()
        if self.sock:
            timeout = self.timeout if isinstance(self.timeout, int | float) else left
            self.sock.settimeout(min(timeout, left))
        if url.startswith(("http:", "https:")):  # A request to a proxy has a complete URL.
            require_allowed_behind_proxy(urlsplit(url).hostname or "")
        super().putrequest(method, url, *args, **kwargs)

    def getresponse(self) -> Any:
        try:
            response = super().getresponse()
        except calls.LimitExceeded:
            self.close()
            raise
        current_call().set_retry_after(_retry_after(response))
        return response


def _retry_after(response: Any) -> float:
    """Return the seconds in the header Retry-After, or 0. A date in this header is ignored."""
    value = response.headers.get("Retry-After", "").strip()
    return float(value) if value.isascii() and value.isdecimal() and len(value) < 10 else 0.0


class _LimitedUrllib3Connection(LimitedConnection):
    """A mixin for connections of urllib3."""

    def _new_conn(self) -> socket.socket:
        """Return a connected socket.

        Raises NameResolutionError or NewConnectionError, as urllib3's method does. Also raises
        LimitExceeded, and NotConnected if the rules forbid a host behind a proxy. The cause of a
        NewConnectionError is NotEncrypted if REQUIRE_TLS forbids the connection.
        """
        connection: Any = self
        # `_tunnel_host` is an attribute of http.client.
        is_proxy = bool(connection.proxy or connection._tunnel_host)  # noqa: SLF001
        if connection._tunnel_host:  # noqa: SLF001
            require_allowed_behind_proxy(connection._tunnel_host)  # noqa: SLF001
        try:
            self._require_encryption()
            return connect(
                (connection._dns_host, self.port),  # noqa: SLF001  urllib3's method uses it too
                self.timeout,
                self.source_address,  # type: ignore[attr-defined]
                connection.socket_options,
                is_proxy=is_proxy,
            )
        except socket.gaierror as error:
            raise NameResolutionError(self.host, connection, error) from error
        except OSError as error:
            raise NewConnectionError(connection, str(error)) from error

    def _require_encryption(self) -> None:
        """Raise NotEncrypted if this connection needs TLS, but does not use it."""
        connection: Any = self
        if isinstance(self, urllib3.connection.HTTPSConnection):
            return
        # Behind a proxy, no host counts as this machine: the cloud may be anywhere.
        host = "" if connection.proxy else connection._dns_host  # noqa: SLF001
        if encryption.must_encrypt(host):
            raise NotEncrypted("REQUIRE_TLS does not allow a connection without TLS")

    def getresponse(self) -> Any:
        response = super().getresponse()
        response.__class__ = _LimitedBody
        return response


class _LimitedBody(urllib3.HTTPResponse):
    """A response whose body is also limited after decompression.

    urllib3 creates its responses itself, so `getresponse` changes the class of each response.
    """

    def stream(self, *args: Any, **kwargs: Any) -> Generator[bytes, None, None]:
        counter = ResponseCounter()
        for piece in super().stream(*args, **kwargs):
            try:
                counter.count(piece)
            except Exception:
                self.close()
                raise
            yield piece
        counter.end()


def limited_pools(
    http: type[HTTPConnection], https: type[HTTPConnection]
) -> dict[str, type[urllib3.HTTPConnectionPool]]:
    """Return classes for urllib3's connection pools, by the scheme of a URL.

    `http` and `https` are classes of urllib3's connections. Each pool uses a subclass with the
    limits of the current call.
    """
    return {
        "http": _limited_pool(urllib3.HTTPConnectionPool, http),
        "https": _limited_pool(urllib3.HTTPSConnectionPool, https),
    }


def _limited_pool(
    pool: type[urllib3.HTTPConnectionPool], connection: type[HTTPConnection]
) -> type[urllib3.HTTPConnectionPool]:
    connection_class = type(
        f"Limited{connection.__name__}", (_LimitedUrllib3Connection, connection), {}
    )
    return type(f"Limited{pool.__name__}", (pool,), {"ConnectionCls": connection_class})


_POOLS = limited_pools(urllib3.connection.HTTPConnection, urllib3.connection.HTTPSConnection)


class _Adapter(HTTPAdapter):
    """The adapter of `requests`, with limited connections."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


ONE_RETRY = Retry(
    total=1,
    connect=0,
    allowed_methods=None,
    backoff_factor=0,
    status_forcelist=(502, 503, 504),
    raise_on_status=False,
    respect_retry_after_header=False,
)
"""The second attempt helps if the server has closed a pooled connection, or has failed briefly.
Requests with any HTTP method are retried, because the adapters only read images and log in."""
NO_RETRY = Retry(total=False, redirect=False, raise_on_status=False)


def configure_session(session: requests.Session, retry: Retry = ONE_RETRY) -> None:
    """Make a session use limited connections, and ignore the environment of this server.

    For example, the session ignores the proxies and the `.netrc` file of the environment.

    The session follows no redirects, because a redirect could send the credentials to any server.
    """
    session.trust_env = False
    session.get_redirect_target = lambda _: None  # type: ignore[method-assign, assignment]
    for scheme in ("https://", "http://"):
        session.mount(scheme, _Adapter(max_retries=retry))


def shut_down(connection: socket.socket) -> None:
    """End a connection, even if another object still refers to its socket."""
    with contextlib.suppress(OSError):
        # This is the method of the base class. The method of a TLS socket would remove the TLS
        # layer, and a later read would then fail in another way.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
