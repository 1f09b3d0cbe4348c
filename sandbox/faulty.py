"""A loopback server that fails in the same ways as a cloud, or as the network in front of a cloud.

The parameter of `serve` is a behavior: a function that handles each request. Some behaviors below
call another behavior. This module knows only HTTP, so the tests of all clouds can use it.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

LOOPBACK = "127.0.0.1"
BYTE_INTERVAL_SECONDS = 0.5
"""The time between two bytes of a response that is sent byte by byte."""


@dataclass(frozen=True)
class Request:
    """One request, with the objects that a behavior needs in order to fail.

    `connection` is the socket. The server sets the event `ended` when it stops. A behavior that
    waits must wait for this event, so that the behavior ends with the server.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: socket.socket = field(repr=False)
    ended: threading.Event = field(repr=False)

    @property
    def form(self) -> dict[str, str]:
        """The last value of each field in a form that the client has posted."""
        return {name: values[-1] for name, values in parse_qs(self.body.decode()).items()}


@dataclass(frozen=True)
class Answer:
    """An HTTP response."""

    status: int
    body: bytes = b""
    content_type: str = "text/xml"
    headers: Mapping[str, str] = field(default_factory=dict)


Behavior = Callable[[Request], Answer | None]
"""A function that returns the response to a request. If it returns None, the server sends nothing
more and closes the connection."""


@contextmanager
def serve(
    behavior: Behavior,
    *,
    tls: ssl.SSLContext | None = None,
    host: str = LOOPBACK,
    port: int = 0,
) -> Iterator[str]:
    """Serve `behavior` and yield the URL. `sandbox.tls` has valid and invalid TLS contexts."""
    ended = threading.Event()

    class Handler(_Handler):
        pass

    Handler.behavior, Handler.ended = staticmethod(behavior), ended
    server = _Server((host, port), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://{host}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        # Set `ended` only after `shutdown`. When the behaviors end, their connections are closed,
        # and the clients send their requests again. A running server would handle these requests.
        ended.set()
        thread.join()


@contextmanager
def refusing() -> Iterator[str]:
    """Yield a URL that refuses connections: its port is bound, but no server listens."""
    with socket.socket() as not_listening:
        not_listening.bind((LOOPBACK, 0))
        yield f"http://{LOOPBACK}:{not_listening.getsockname()[1]}"


def answering(status: int, body: str = "", content_type: str = "text/xml") -> Behavior:
    """Return a behavior that gives the same response to each request."""
    return lambda _: Answer(status, body.encode(), content_type)


def forwarding(upstream: str) -> Behavior:
    """Return a behavior that forwards requests to another server."""
    address = urlsplit(upstream).netloc

    def behave(request: Request) -> Answer:
        connection = HTTPConnection(address, timeout=10)
        try:
            connection.request(request.method, request.path, request.body, request.headers)
            response = connection.getresponse()
            return Answer(response.status, response.read(), response.headers.get_content_type())
        finally:
            connection.close()

    return behave


def slow(seconds: float, then: Behavior) -> Behavior:
    """Return a behavior that waits, and then behaves like `then`."""

    def behave(request: Request) -> Answer | None:
        return None if request.ended.wait(seconds) else then(request)

    return behave


def trickling(request: Request) -> None:
    """Begin a response, and send its content byte by byte, which never causes a read timeout."""
    request.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while not request.ended.wait(BYTE_INTERVAL_SECONDS):
        request.connection.sendall(b" ")


def trickling_until_closed(request: Request) -> None:
    """Send content byte by byte, in a response that ends only when the connection is closed."""
    request.connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    while not request.ended.wait(BYTE_INTERVAL_SECONDS):
        request.connection.sendall(b" ")


def trickling_headers(request: Request) -> None:
    """Send the beginning of a response byte by byte, with headers that never end."""
    request.connection.sendall(b"HTTP/1.1 200 OK\r\nX-Endless: ")
    while not request.ended.wait(BYTE_INTERVAL_SECONDS):
        request.connection.sendall(b"x")


def never_beginning(request: Request) -> None:
    """Send status 100 again and again, but never the response that this status announces."""
    while not request.ended.wait(BYTE_INTERVAL_SECONDS / 100):
        request.connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


def endless(request: Request) -> None:
    """Send a response that never ends, as fast as the client reads it."""
    request.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n\r\n<a>")
    while not request.ended.is_set():
        request.connection.sendall(b"<a>" * 20_000)


def endless_chunk_size(request: Request) -> None:
    """Send a chunked response whose first chunk size is a line without an end."""
    request.connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not request.ended.is_set():
        request.connection.sendall(b"0" * 65_536)


def gzip_bomb(megabytes: int) -> Behavior:
    """Return a behavior whose compressed response has `megabytes` MB when it is decompressed."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    piece = b" " * 1024 * 1024
    body = b"".join(compressor.compress(piece) for _ in range(megabytes)) + compressor.flush()
    return lambda _: Answer(200, body, "text/xml", {"Content-Encoding": "gzip"})


def redirecting(url: str) -> Behavior:
    """Return a behavior that redirects each request to `url`."""
    return lambda _: Answer(307, headers={"Location": url})


def resetting(request: Request) -> None:
    """Begin a response, and reset the connection before the response is complete."""
    request.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n<?xml")
    linger = struct.pack("ii", 1, 0)
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    request.connection.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore errors, because clients close their connections during these behaviors."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # Otherwise, the body arrives 40 ms after the headers.
    behavior: Behavior
    ended: threading.Event

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        request = Request(
            self.command,
            self.path,
            dict(self.headers.items()),
            self.rfile.read(length),
            self.connection,
            self.ended,
        )
        answer = self.behavior(request)
        self.close_connection = answer is None
        if answer is not None:
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

    do_GET = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_POST  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Log nothing."""
