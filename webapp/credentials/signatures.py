"""Sign texts that browsers store, with HMAC-SHA-256.

No other module creates a serializer of itsdangerous, which signs with SHA-1 by default. Each
purpose has its own salt, so a text is valid only for its purpose.
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
"""The signers of older versions: the first for the state cookie, the second for all other texts.

`webapp.web.session_cookies` explains the cookies. These signers only verify texts, so that texts
from before an upgrade stay valid. The device cookie is valid for a year, so remove these signers
only a year after the first release that signs with SHA-256.
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
