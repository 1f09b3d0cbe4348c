"""Certificates that a person enters for a private cloud: checked, and handed to an SDK."""

from __future__ import annotations

import hashlib
import ssl
import tempfile
import threading
from functools import cache
from pathlib import Path

from webapp.clouds.base import InvalidCredentials

MAX_LENGTH = 64 * 1024
"""Of some thirty certificates."""


def require_certificates(pem: str, field: str) -> None:
    """Raises InvalidCredentials unless `pem` is one or more certificates, or ''."""
    if not pem:
        return
    if "PRIVATE KEY" in pem:
        raise InvalidCredentials("This holds a private key. Enter the certificate alone.", field)
    if len(pem) > MAX_LENGTH:
        raise InvalidCredentials("This is far too long for a few certificates.", field)
    try:
        if "\0" in pem:  # OpenSSL stops reading there, and a database refuses it.
            raise ValueError("NUL")  # noqa: TRY301
        ssl.create_default_context(cadata=pem)
    except (ssl.SSLError, ValueError, TypeError) as error:
        raise InvalidCredentials(
            "This is not a certificate in PEM form, which begins with -----BEGIN CERTIFICATE-----. "
            "Paste the whole of it.",
            field,
        ) from error


def ca_file(pem: str) -> str:
    """The path of a file with `pem`, for SDKs that take nothing else. It is gone with the
    process."""
    with _making:  # Two at once would make two folders, and lose one with the files in it.
        path = Path(_folder().name) / f"{hashlib.sha256(pem.encode()).hexdigest()}.pem"
        if not path.exists():
            path.write_text(pem)
    return str(path)


_making = threading.Lock()


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="image-registry-")
