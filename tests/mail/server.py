"""A mail server on a loopback port, with STARTTLS and a password. A test can make it fail."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.postgresql import free_port

HOST, USER, PASSWORD = "127.0.0.1", "registry", "Canary password"


@dataclass
class MailServer:
    """A running server. A test sets the attributes that make it fail."""

    port: int
    received: list[EmailMessage] = field(default_factory=list)
    refused_recipient: str = ""
    reply_to_data: str = "250 OK"
    hangs_up: bool = False
    """Whether the server ends the connection in the middle of a message."""
    hangs: bool = False

    async def handle_RCPT(  # noqa: N802  aiosmtpd calls it
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: Any
    ) -> str:
        if address == self.refused_recipient:
            return f"550 5.1.1 <{address}> unknown"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802  aiosmtpd calls it
        self, server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        if self.hangs:
            await asyncio.sleep(60)
        if self.hangs_up:
            cast(Any, server).transport.abort()
            return ""
        if self.reply_to_data.startswith("250"):
            content = cast(bytes, envelope.content)
            message = message_from_bytes(content, policy=policy.default)
            self.received.append(message)
        return self.reply_to_data


class _Connection(SMTP):
    """The server’s end of one connection."""

    is_lost = False

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.is_lost = True


class _Controller(Controller):
    """A controller that closes the connections when it stops. aiosmtpd’s leaves them open."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._connections: list[_Connection] = []

    def factory(self) -> _Connection:
        connection = _Connection(self.handler, **self.SMTP_kwargs)
        self._connections.append(connection)
        return connection

    def stop(self, no_assert: bool = False) -> None:
        asyncio.run_coroutine_threadsafe(self._close_connections(), self.loop).result(10)
        super().stop(no_assert)

    async def _close_connections(self) -> None:
        while left := [each for each in self._connections if not each.is_lost]:
            for each in left:
                if each.transport is not None:
                    cast(Any, each.transport).abort()
            await asyncio.sleep(0.001)


def _check(*arguments: Any) -> AuthResult:
    data = arguments[-1]
    is_right = isinstance(data, LoginPassword) and data == LoginPassword(
        USER.encode(), PASSWORD.encode()
    )
    return AuthResult(success=is_right, handled=False)


@contextmanager
def mail_server(certificate: Path | None = None) -> Iterator[MailServer]:
    """Run a server. With a certificate, it requires STARTTLS and the password."""
    server = MailServer(free_port())
    options: dict[str, Any] = {}
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        options = {
            "tls_context": context,
            "require_starttls": True,
            "authenticator": _check,
            "auth_required": True,
        }
    controller = _Controller(server, hostname=HOST, port=server.port, **options)
    controller.start()
    try:
        yield server
    finally:
        controller.stop()


def make_certificate(file: Path) -> None:
    """Write the key and the certificate of a server at HOST to a file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    moment = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(moment - timedelta(days=1))
        .not_valid_after(moment + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    file.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
        + certificate.public_bytes(pem)
    )
