"""Certificates that a person enters for a private cloud: checked, and handed to an SDK."""

from __future__ import annotations

import hashlib
import ssl
import tempfile
from functools import cache
from pathlib import Path

from webapp.clouds.base import InvalidCredentials


def require_certificates(pem: str, field: str) -> None:
    """Raises InvalidCredentials unless `pem` is one or more certificates, or ''."""
    if not pem:
        return
    if "PRIVATE KEY" in pem:
        raise InvalidCredentials("This holds a private key. Enter the certificate alone.", field)
    try:
        ssl.create_default_context(cadata=pem)
    except (ssl.SSLError, ValueError) as error:
        raise InvalidCredentials(
            "This is not a certificate in PEM form, which begins with -----BEGIN CERTIFICATE-----. "
            "Paste the whole of it.",
            field,
        ) from error


def ca_file(pem: str) -> str:
    """The path of a file with `pem`, for SDKs that take nothing else. It is gone with the
    process."""
    path = Path(_folder().name) / f"{hashlib.sha256(pem.encode()).hexdigest()}.pem"
    if not path.exists():
        fresh = path.with_suffix(f".{id(object())}")
        fresh.write_text(pem)
        fresh.replace(path)  # Whoever finds it finds all of it.
    return str(path)


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="image-registry-")
