"""Servers between the command `images` and the registry, on loopback."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from sandbox import tls

HOST = "registry.example.com"


@contextmanager
def serve(handle: Callable[[socket.socket], None]) -> Iterator[int]:
    """Accept connections on the port that is yielded, and handle each in a thread."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=handle, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def read_request(connection: socket.socket) -> bytes:
    """Return a whole HTTP request."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [
        int(line.partition(b":")[2])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    ]
    while len(body) < sum(lengths):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def ask(url: str, request: bytes) -> bytes:
    """Send a request to the registry, and return its answer."""
    with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0)) as upstream:
        upstream.sendall(request)
        return b"".join(iter(lambda: upstream.recv(65536), b""))


def pipe(source: socket.socket, target: socket.socket) -> None:
    """Copy all bytes until one of the connections is closed."""
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@contextmanager
def unreliable(url: str, *, method: bytes, losses: int, answer: bytes = b"") -> Iterator[str]:
    """Yield the URL of a server that loses the first answers of the registry to a method.

    Instead of a lost answer, the client gets `answer`.
    """
    lost: list[bytes] = []

    def handle(connection: socket.socket) -> None:
        with connection:
            request = read_request(connection)
            reply = ask(url, request)
            if request.startswith(method) and len(lost) < losses:
                lost.append(request)
                reply = answer
            connection.sendall(reply)

    with serve(handle) as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def behind_tls_and_proxy(url: str) -> Iterator[tuple[str, list[bytes]]]:
    """Serve the registry as https://registry.example.com, which only a proxy can reach.

    Yields the URL of the proxy, and the first lines of the requests that it gets.
    """
    context = tls.authority().context(addresses=(HOST,))

    def end_tls(plain: socket.socket) -> None:
        with suppress(ssl.SSLError), context.wrap_socket(plain, server_side=True) as connection:
            connection.sendall(ask(url, read_request(connection)))

    heads: list[bytes] = []

    def tunnel(connection: socket.socket) -> None:
        with connection, socket.create_connection(("127.0.0.1", tls_port)) as upstream:
            heads.append(read_request(connection))
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            thread = threading.Thread(target=pipe, args=(upstream, connection), daemon=True)
            thread.start()
            pipe(connection, upstream)
            thread.join()

    with serve(end_tls) as tls_port, serve(tunnel) as port:
        yield f"http://127.0.0.1:{port}", heads
