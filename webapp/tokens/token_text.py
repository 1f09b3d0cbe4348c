"""The text of tokens: `imr_<key>_<secret><checksum>`.

The key identifies the token and is not secret. The checksum is the CRC-32 of the text before it.
With the checksum, a mistyped text is refused without a query, and scanners for secrets rarely
mistake other texts for tokens.
"""

from __future__ import annotations

import re
import secrets
import string
import zlib

PREFIX = "imr_"
KEY_LENGTH, SECRET_LENGTH, CHECKSUM_LENGTH = 12, 32, 6
KEY_ALPHABET = string.digits + string.ascii_lowercase
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_TEXT = re.compile(
    rf"({PREFIX}([0-9a-z]{{{KEY_LENGTH}}})_[0-9A-Za-z]{{{SECRET_LENGTH}}})"
    rf"([0-9A-Za-z]{{{CHECKSUM_LENGTH}}})"
)


def new_key() -> str:
    """Return a random key for a new token."""
    return _random(KEY_ALPHABET, KEY_LENGTH)


def new_text(key: str) -> str:
    """Return a text for the token with this key. Its secret has 190 random bits."""
    body = f"{PREFIX}{key}_{_random(ALPHABET, SECRET_LENGTH)}"
    return body + checksum(body)


def key_in(text: str) -> str | None:
    """Return the key in the text of a token, or None if the text or its checksum is wrong."""
    match = _TEXT.fullmatch(text)
    return match[2] if match and checksum(match[1]) == match[3] else None


def checksum(body: str) -> str:
    """Return the CRC-32 of the text before the checksum, as six digits in base 62."""
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
