"""Validate the certificates that people enter for a private cloud, and write them to files."""

from __future__ import annotations

import hashlib
import ssl
import tempfile
import threading
from functools import cache
from pathlib import Path

from webapp.clouds.errors import InvalidCredentials

MAX_LENGTH = 64 * 1024
"""The maximum length of entered certificates, in characters. About thirty certificates fit."""


def require_certificates(pem: str, field: str) -> None:
    """Raise InvalidCredentials unless `pem` is empty or contains certificates in PEM format.

    Also raises InvalidCredentials if `pem` contains a private key. `field` is the name of the
    credential field that contains `pem`.
    """
    if not pem:
        return
    if "PRIVATE KEY" in pem:
        raise InvalidCredentials("This contains a private key. Enter only the certificate.", field)
    if len(pem) > MAX_LENGTH:
        raise InvalidCredentials(
            "This is too long for a certificate. Enter only the certificates that are needed.",
            field,
        )
    try:
        # OpenSSL ignores all text after a NUL character, and PostgreSQL rejects this character.
        if "\0" in pem:
            raise ValueError("NUL")  # noqa: TRY301
        ssl.create_default_context(cadata=pem)
    except (ssl.SSLError, ValueError, TypeError) as error:
        raise InvalidCredentials(
            "This isn’t a certificate in PEM format. Paste the complete certificate, from "
            "-----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----.",
            field,
        ) from error


def ca_file(pem: str) -> str:
    """Return the path of a file that contains `pem`, for SDKs that accept only a file.

    The file is deleted when the process ends.
    """
    # Without the lock, two threads could create two folders. The cache of `_folder` refers to only
    # one of them, so Python would delete the other.
    with _lock:
        path = Path(_folder().name) / f"{hashlib.sha256(pem.encode()).hexdigest()}.pem"
        if not path.exists():
            path.write_text(pem)
    return str(path)


_lock = threading.Lock()


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="image-registry-")
