"""Messages are handed to a mail server on a real socket."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from tests.mail.conftest import address_of
from tests.mail.server import PASSWORD, USER, MailServer, mail_server, make_certificate
from webapp.mail import smtp
from webapp.mail.smtp import MessageDelayed, MessageRefused, ServerFailed, deliver

TRICKLE_SECONDS = 20.0


@pytest.fixture
def message() -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"] = "registry@example.com", "nora@example.com"
    message["Subject"] = "Hello"
    message.set_content("Text")
    return message


def test_starttls_and_a_password_protect_the_message(
    message: EmailMessage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "server.pem"
    make_certificate(file)
    with mail_server(file) as server:
        address = replace(address_of(server), scheme="smtp+starttls", user=USER, password=PASSWORD)
        with pytest.raises(ServerFailed, match="CERTIFICATE_VERIFY_FAILED"):
            deliver(address, message)
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        with pytest.raises(ServerFailed, match="535"):
            deliver(replace(address, password="wrong"), message)
        assert not server.received
        deliver(address, message)
    assert server.received[0]["Subject"] == "Hello"


def test_a_server_without_starttls_gets_no_message(
    message: EmailMessage, server: MailServer
) -> None:
    with pytest.raises(ServerFailed, match="STARTTLS"):
        deliver(replace(address_of(server), scheme="smtp+starttls"), message)
    assert not server.received


def test_a_refused_recipient_is_not_a_failure_of_the_server(
    message: EmailMessage, server: MailServer
) -> None:
    server.refused_recipient = "nora@example.com"
    with pytest.raises(MessageRefused, match=r"^550 5\.1\.1"):
        deliver(address_of(server), message)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [("451 4.7.1 Greylisted", MessageDelayed), ("554 5.7.1 Looks like spam", MessageRefused)],
)
def test_the_reply_decides_whether_to_try_again(
    message: EmailMessage, server: MailServer, reply: str, expected: type[Exception]
) -> None:
    server.reply_to_data = reply
    with pytest.raises(expected, match=reply):
        deliver(address_of(server), message)


def test_a_server_that_hangs_up_or_is_down_fails(message: EmailMessage, server: MailServer) -> None:
    server.hangs_up = True
    with pytest.raises(ServerFailed):
        deliver(address_of(server), message)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(ServerFailed, match="refused"):
            deliver(replace(address_of(server), port=port), message)


@pytest.mark.parametrize("limit", ["STEP_SECONDS", "DEADLINE_SECONDS"])
def test_a_server_that_hangs_is_left(
    message: EmailMessage, server: MailServer, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(smtp, limit, 0.3)
    server.hangs = True
    with pytest.raises(ServerFailed):
        deliver(address_of(server), message)


def test_the_deadline_applies_to_a_connection_that_took_longer(
    message: EmailMessage, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = socket.create_connection

    def connect_slowly(*arguments: Any) -> socket.socket:
        time.sleep(0.4)
        return connect(*arguments)

    monkeypatch.setattr(smtp, "DEADLINE_SECONDS", 0.1)
    monkeypatch.setattr(socket, "create_connection", connect_slowly)
    with pytest.raises(ServerFailed, match="the delivery took too long"):
        deliver(address_of(server), message)
    assert not server.received


def test_the_deadline_ends_a_slow_farewell(
    message: EmailMessage, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "DEADLINE_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_accept_and_trickle, args=(listener,))
        thread.start()
        begun = time.monotonic()
        deliver(replace(address_of(server), port=listener.getsockname()[1]), message)
        assert time.monotonic() - begun < TRICKLE_SECONDS
        thread.join()


def test_a_delivery_that_took_too_long_says_no_farewell(server: MailServer) -> None:
    """During the handshake of STARTTLS, the timer finds no connection that it can end."""
    client = smtp._Client(address_of(server))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        client.abort()
        client.sock = ours
        client.leave()
        assert theirs.recv(10) == b""


def _accept_and_trickle(listener: socket.socket) -> None:
    """Accept a message, and answer QUIT with one byte after the other for TRICKLE_SECONDS."""
    connection, _ = listener.accept()
    with connection, suppress(OSError):
        connection.sendall(b"220 ready\r\n")
        lines = connection.makefile("rb")
        for line in lines:
            if line.upper().startswith(b"QUIT"):
                break
            if line.upper().startswith(b"DATA"):
                connection.sendall(b"354 send\r\n")
                while lines.readline() != b".\r\n":
                    pass
            connection.sendall(b"250 ok\r\n")
        for _ in range(int(TRICKLE_SECONDS / 0.1)):
            connection.sendall(b"2")
            time.sleep(0.1)


def test_the_deadline_ends_a_handshake(
    message: EmailMessage, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "DEADLINE_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = replace(address_of(server), scheme="smtps", port=silent.getsockname()[1])
        with pytest.raises(ServerFailed) as raised:
            deliver(address, message)
    # The limit of one step, STEP_SECONDS, would be a timeout.
    assert "timed out" not in str(raised.value)
