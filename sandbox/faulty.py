"""A loopback server that fails in the ways in which a cloud, or the network before it, fails.

`serve` takes what to do with a request: one of the functions below, or one made of them. It knows
HTTP only, no cloud, so it serves the tests of all of them.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

LOOPBACK = "127.0.0.1"
BEAT_SECONDS = 0.5
"""How often a trickling answer sends a byte."""


@dataclass(frozen=True)
class Request:
    """One request, and the means to misbehave: the connection itself, and `ended`, which is set
    when the server is to stop, so that nothing waits longer than that."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: socket.socket = field(repr=False)
    ended: threading.Event = field(repr=False)

    @property
    def form(self) -> dict[str, str]:
        """The fields of a form that was posted, the last value of each."""
        return {name: values[-1] for name, values in parse_qs(self.body.decode()).items()}


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes = b""
    content_type: str = "text/xml"
    headers: Mapping[str, str] = field(default_factory=dict)


Behaviour = Callable[[Request], Answer | None]
"""None where no answer is to be sent any more."""


@contextmanager
def serve(
    behaviour: Behaviour,
    *,
    tls: ssl.SSLContext | None = None,
    host: str = LOOPBACK,
    port: int = 0,
) -> Iterator[str]:
    """Yields the address. `sandbox.tls` has contexts good and bad."""
    ended = threading.Event()

    class Handler(_Handler):
        pass

    Handler.behaviour, Handler.ended = staticmethod(behaviour), ended
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
        ended.set()  # After that, as whoever was kept waiting would come back at once.
        thread.join()


@contextmanager
def refusing() -> Iterator[str]:
    """An address that refuses connections: the port is taken, and nobody listens."""
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        yield f"http://{LOOPBACK}:{taken.getsockname()[1]}"


def answering(status: int, body: str = "", content_type: str = "text/xml") -> Behaviour:
    return lambda _: Answer(status, body.encode(), content_type)


def forwarding(upstream: str) -> Behaviour:
    """Be a proxy before another server."""
    address = urlsplit(upstream).netloc

    def behave(request: Request) -> Answer:
        connection = HTTPConnection(address, timeout=10)
        try:
            connection.request(request.method, request.path, request.body, request.headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read(), answer.headers.get_content_type())
        finally:
            connection.close()

    return behave


def slow(seconds: float, then: Behaviour) -> Behaviour:
    """Keep silent for a while first."""

    def behave(request: Request) -> Answer | None:
        return None if request.ended.wait(seconds) else then(request)

    return behave


def trickling(request: Request) -> None:
    """Begin an answer, and send the rest byte by byte for ever: no read timeout notices."""
    request.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while not request.ended.wait(BEAT_SECONDS):
        request.connection.sendall(b" ")


def resetting(request: Request) -> None:
    """Break the connection off within an answer."""
    request.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n<?xml")
    linger = struct.pack("ii", 1, 0)
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    request.connection.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves is what these faults are for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or head and body arrive 40 ms apart
    behaviour: Behaviour
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
        answer = self.behaviour(request)
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
        """Say nothing."""
