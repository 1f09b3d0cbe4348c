"""TLS certificates for loopback servers.

Each process has a certificate authority, which clients can trust. A server certificate can be
valid, expired, or issued by an authority that the clients do not know.
"""

from __future__ import annotations

import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)
ADDRESSES = ("127.0.0.1", "127.0.0.2")
"""The addresses in a server certificate, unless the caller passes other addresses.

By default, VMware's SDK does not verify the certificate of a server at 127.0.0.1, so tests use
127.0.0.2 too.
"""


@dataclass(frozen=True)
class Authority:
    """A certificate authority. Clients that trust `pem` trust all certificates of the authority."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def context(
        self, *, addresses: tuple[str, ...] = ADDRESSES, valid_for: timedelta = 800 * DAY
    ) -> ssl.SSLContext:
        """Return a server's TLS context. The certificate has expired if `valid_for` is negative."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "both.pem"
            path.write_bytes(self.issue(addresses, valid_for))
            context.load_cert_chain(path)
        return context

    def issue(
        self, addresses: tuple[str, ...] = ADDRESSES, valid_for: timedelta = 800 * DAY
    ) -> bytes:
        """Return a new server certificate and its private key, both in PEM format."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [
            x509.IPAddress(ip_address(address)) if address[0].isdigit() else x509.DNSName(address)
            for address in addresses
        ]
        builder = _builder("sandbox", key, self.certificate.subject, valid_for).add_extension(
            x509.SubjectAlternativeName(names), critical=False
        )
        return _pem(key) + builder.sign(self.key, SHA256()).public_bytes(Encoding.PEM)


def create_authority() -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Sandbox authority")])
    builder = _builder("Sandbox authority", key, subject, 3650 * DAY)
    basic = x509.BasicConstraints(ca=True, path_length=0)
    return Authority(key, builder.add_extension(basic, critical=True).sign(key, SHA256()))


@cache
def authority() -> Authority:
    """Return the authority of this process."""
    return create_authority()


def load_or_create(folder: Path) -> Authority:
    """Return the authority that is stored in `folder`. If there is none, create and store one.

    After a restart, the sandbox uses the same authority. So its certificates still match the CA
    certificate in stored credentials.
    """
    path = folder / "sandbox_authority.pem"
    if not path.exists():
        created = create_authority()
        new = path.with_suffix(".new")  # An interruption must not leave an incomplete file.
        new.unlink(missing_ok=True)
        new.touch(mode=0o600)
        new.write_bytes(_pem(created.key) + created.pem.encode())
        new.replace(path)
    text = path.read_bytes()
    key = load_pem_private_key(text, password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return Authority(key, x509.load_pem_x509_certificate(text))


def trusted() -> ssl.SSLContext:
    """Return the context of a server that clients trust if they trust `authority()`."""
    return authority().context()


def expired() -> ssl.SSLContext:
    """Return the context of a server whose certificate has expired."""
    return authority().context(valid_for=-DAY)


def untrusted() -> ssl.SSLContext:
    """Return the context of a server with a certificate of an unknown authority."""
    return create_authority().context()


def _builder(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: x509.Name, valid_for: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, now + valid_for) - DAY)
        .not_valid_after(now + valid_for)
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
