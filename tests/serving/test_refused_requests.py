"""Requests that the server or the application refuses get a page that says what to do."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests import served
from tests.api.client import ROOT
from tests.served import Server
from tests.views.pages import visible_text
from webapp.api.problems import KINDS, MEDIA_TYPE, TYPE_PREFIX
from webapp.tokens import token_text
from webapp.web import plain_pages
from webapp.web.error_pages import TEXTS
from webapp.web.security import HEADERS

HOST = b"Host: localhost\r\n"
FORM = HOST + b"Content-Type: application/x-www-form-urlencoded\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("refused")
    environ = {**served.app_environ(folder), "LOG_REQUESTS": "true"}
    with served.serve_app(environ, folder / "log") as it:
        yield it


def answer_to(server: Server, request: bytes) -> tuple[int, dict[str, str], str]:
    """Return the status, headers and body of the answer to these bytes."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=60) as client:
        client.sendall(request)
        answer = b"".join(iter(lambda: client.recv(65536), b"")).decode()
    head, _, body = answer.partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    names = [line.partition(": ")[0] for line in lines]
    assert len(names) == len(set(names))
    return int(first.split()[1]), dict(line.split(": ", 1) for line in lines), body


@pytest.mark.parametrize(
    ("status", "request_bytes", "is_plain"),
    [
        (414, b"GET /?q=" + b"x" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", True),
        (414, b"GET /?q=" + b"x" * 500_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", True),
        (431, b"GET / HTTP/1.1\r\n" + HOST + b"Cookie: " + b"x" * 9000 + b"\r\n\r\n", True),
        (431, b"GET / HTTP/1.1\r\n" + HOST + b"A: b\r\n" * 200 + b"\r\n", True),
        (400, b"GET / HTTP/1.1\r\n" + HOST + b"<script>: b\r\n\r\n", True),
        (400, b"GET / HTTP/1.1\r\n" + HOST + b"A: \x00\r\n\r\n", True),
        (400, b"<script>alert(1)</script>\r\n\r\n", True),
        (400, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: x\r\n\r\n", True),
        (400, b"GET /sign-in?q=%00 HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n", False),
        (
            413,
            b"POST /sign-in HTTP/1.1\r\nConnection: close\r\n"
            + FORM
            + b"Content-Length: 3000000\r\n\r\n"
            + b"x" * 3_000_000,
            False,
        ),
    ],
)
def test_the_page_says_what_happened_and_what_to_do_next(
    server: Server, status: int, request_bytes: bytes, is_plain: bool
) -> None:
    found, headers, body = answer_to(server, request_bytes)
    assert found == status
    title = re.search("<h1[^>]*>(.*?)</h1>", body)
    assert title
    if status == 413:
        assert "Sign in, and then choose the file" in visible_text(body)
    else:
        assert title[1] == TEXTS[status][0]
        assert TEXTS[status][1] in visible_text(body)
    assert "<script>alert" not in body
    policy = plain_pages.POLICY if is_plain else HEADERS["Content-Security-Policy"]
    expected = {**HEADERS, "Content-Security-Policy": policy, "Cache-Control": "no-store"}
    assert {name: headers.get(name) for name in expected} == expected
    assert headers["Content-Type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("connection", [b"", b"Connection: close\r\n"])
def test_a_client_can_send_the_rest_of_a_body_that_was_refused(
    server: Server, connection: bytes
) -> None:
    head = b"POST /sign-in HTTP/1.1\r\n" + connection + FORM + b"Content-Length: 13000000\r\n\r\n"
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=60) as client:
        client.sendall(head)
        assert client.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 413"
        client.sendall(b"x" * 13_000_000)
        assert client.recv(65536).startswith(b"HTTP/1.1 413")


API = f"GET {ROOT}/scopes".encode()


@pytest.mark.parametrize(
    ("kind", "request_bytes"),
    [
        ("url-too-long", API + b"?q=" + b"x" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n"),
        ("url-too-long", b"\r\n" + API + b"?q=" + b"x" * 500_000 + b" HTTP/1.1\r\n" + HOST),
        ("url-too-long", API.replace(b" ", b" http://localhost") + b"x" * 9000 + b" HTTP/1.1\r\n"),
        ("headers-too-large", API + b" HTTP/1.1\r\n" + HOST + b"A: " + b"x" * 9000 + b"\r\n\r\n"),
        ("headers-too-large", API + b" HTTP/1.1\r\n" + HOST + b"A: b\r\n" * 200 + b"\r\n"),
        ("invalid-request", API + b" HTTP/1.1\r\n" + HOST + b"<script>: b\r\n\r\n"),
        ("invalid-request", API + b" HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: x\r\n\r\n"),
    ],
)
def test_the_api_answers_with_a_problem(server: Server, kind: str, request_bytes: bytes) -> None:
    status, headers, body = answer_to(server, request_bytes)
    problem = json.loads(body)
    assert (status, problem["title"]) == KINDS[kind]
    assert (problem["type"], problem["status"]) == (TYPE_PREFIX + kind, status)
    assert problem["detail"]
    assert "script" not in body
    expected = {**HEADERS, "Cache-Control": "no-store", "Content-Type": MEDIA_TYPE}
    assert {name: headers.get(name) for name in expected} == expected
    assert (
        f"refused a request to the API ({problem['request_id']}): {kind}" in server.log.read_text()
    )
    assert headers["X-Request-ID"] == problem["request_id"]


def test_the_second_request_of_a_connection_decides_about_its_own_answer(server: Server) -> None:
    """A page and a request to the API can come over the same connection."""
    first = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"
    too_long = b"?q=" + b"x" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n"
    address = urlsplit(server.url)
    for start, media_type in ((API, MEDIA_TYPE), (b"GET /account/acme", "text/html")):
        with socket.create_connection((address.hostname, address.port), timeout=60) as client:
            client.sendall(first)
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
            client.sendall(start + too_long)
            answer = b"".join(iter(lambda: client.recv(65536), b"")).decode()
        assert "HTTP/1.1 414 " in answer
        assert f"Content-Type: {media_type}" in answer


@pytest.mark.parametrize(
    "request_text",
    [
        "GET /api/v1/scopes HTTP/1.1\r\n{host}Authorization Bearer {token}\r\n\r\n",
        "GET /api/v1/scopes HTTP/1.1\r\n{host}Authorization : Bearer {token}\r\n\r\n",
        "GET /api/v1/{token} HTTP/1.1\r\nConnection: close\r\n{host}\r\n",
        "GET /{token}?token={token} HTTP/1.1\r\nConnection: close\r\n{host}\r\n",
        "GET /api/v1/scopes?token={token} x HTTP/1.1\r\n{host}\r\n",
        "{token} /api/v1/scopes HTTP/1.1\r\n{host}\r\n",
        "GET /api/v1/scopes HTTP/1.1\r\nTransfer-Encoding: {token}\r\n{host}\r\n",
        "GET /api/v1/scopes HTTP/1.1\r\nExpect: {token}\r\n{host}\r\n",
    ],
)
def test_a_token_in_the_wrong_place_is_not_logged(server: Server, request_text: str) -> None:
    token = token_text.new_text(token_text.new_key())
    request = request_text.format(host=HOST.decode(), token=token)
    _, _, body = answer_to(server, request.encode())
    assert token not in body
    server.check_log()
