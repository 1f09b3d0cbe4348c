"""Sign texts that browsers store, with HMAC-SHA-256.

No other module creates a serializer of itsdangerous, which signs with SHA-1 by default. Each use
has a salt of its own, so a text is valid only for this use.
"""

from __future__ import annotations

from hashlib import sha1, sha256
from typing import Any

from itsdangerous import URLSafeSerializer, URLSafeTimedSerializer

Options = dict[str, Any]

SIGNER: Options = {"digest_method": sha256, "key_derivation": "hmac"}
OLDER_SIGNERS: tuple[Options, ...] = (
    {"digest_method": sha1, "key_derivation": "hmac"},
    {"digest_method": sha1, "key_derivation": "django-concat"},
)
"""The signers of older versions: of the state cookie, and of all other texts.

They only verify texts, so that an upgrade interrupts nobody. The device cookie is valid for a year,
so they are needed for a year after the first release that signs with SHA-256.
"""


def serializer(secret_key: str, salt: str) -> URLSafeSerializer:
    """Return a serializer that signs JSON values."""
    return URLSafeSerializer(
        secret_key, salt, signer_kwargs=SIGNER, fallback_signers=[*OLDER_SIGNERS]
    )


def timed_serializer(secret_key: str, salt: str, **options: Any) -> URLSafeTimedSerializer:
    """Return a serializer that signs JSON values together with the time."""
    return URLSafeTimedSerializer(
        secret_key, salt, signer_kwargs=SIGNER, fallback_signers=[*OLDER_SIGNERS], **options
    )
