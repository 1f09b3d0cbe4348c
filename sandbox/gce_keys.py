"""Keys of the sandbox's service accounts, and verification of the tokens that the keys sign.

The `private_key_id` in a key file is the public key, and each token contains this ID. So the
sandbox can verify tokens without storing keys. It accepts any key of its service accounts, for
example a key that an earlier process created. Like Google, it verifies the signature of a token,
and that the token is for Compute Engine.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from functools import cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sandbox.gce_images import OWN_PROJECT, SOVEREIGN_PROJECT

EMAIL = f"image-registry@{OWN_PROJECT}.iam.gserviceaccount.com"
AUDIENCE = "https://compute.googleapis.com/"
SOVEREIGN_EMAIL = "image-registry@acme-images.eu0.iam.gserviceaccount.com"
SOVEREIGN_UNIVERSE = "apis-berlin-build0.goog"
ACCOUNTS = {
    EMAIL: AUDIENCE,
    SOVEREIGN_EMAIL: f"https://compute.{SOVEREIGN_UNIVERSE}/",
}
"""The audience of valid tokens by service account."""
EXPONENT = 65537
BITS = 2048
SKEW_SECONDS = 300
"""The maximum difference between the clocks of a client and of the sandbox."""


class BadToken(Exception):
    """The token is missing or not valid. `reason` is Google's code for the problem."""

    def __init__(self, reason: str = "CREDENTIALS_MISSING") -> None:
        super().__init__(reason)
        self.reason = reason


@cache
def key_file() -> str:
    """Return the content of a JSON key file.

    Each process creates only one key, because creating a key is slow.
    """
    key = rsa.generate_private_key(EXPONENT, BITS)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    modulus = key.public_key().public_numbers().n.to_bytes(BITS // 8, "big")
    document = {
        "type": "service_account",
        "project_id": OWN_PROJECT,
        "private_key_id": base64.urlsafe_b64encode(modulus).decode(),
        "private_key": pem,
        "client_email": EMAIL,
        "client_id": "112233445566778899001",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": "https://oauth2.googleapis.com/token",
        "universe_domain": "googleapis.com",
    }
    return json.dumps(document, indent=2)


def sovereign_key_file() -> str:
    """Return the content of a key file for a service account in the sovereign cloud in Germany."""
    document = {
        **json.loads(key_file()),
        "project_id": SOVEREIGN_PROJECT,
        "client_email": SOVEREIGN_EMAIL,
        "universe_domain": SOVEREIGN_UNIVERSE,
    }
    return json.dumps(document, indent=2)


def require_token(authorization: str) -> None:
    """Raise BadToken unless the header Authorization contains a valid token for Compute Engine."""
    scheme, _, token = authorization.partition(" ")
    if scheme != "Bearer":
        raise BadToken
    try:
        head, claims, signature = token.split(".")
        signed = f"{head}.{claims}".encode()
        kid = str(_json(head)["kid"])
        _public_key(kid).verify(_bytes(signature), signed, padding.PKCS1v15(), SHA256())
        token_claims = _json(claims)
    except (ValueError, KeyError, TypeError, InvalidSignature) as error:
        raise BadToken("ACCESS_TOKEN_TYPE_UNSUPPORTED") from error
    account = token_claims.get("iss")
    audience = ACCOUNTS.get(account) if isinstance(account, str) else None
    if token_claims.get("sub") != account or token_claims.get("aud") != audience or not audience:
        raise BadToken("ACCOUNT_STATE_INVALID")
    if not _is_current(token_claims):
        raise BadToken("ACCESS_TOKEN_EXPIRED")


def _public_key(kid: str) -> rsa.RSAPublicKey:
    modulus = int.from_bytes(_bytes(kid), "big")
    return rsa.RSAPublicNumbers(EXPONENT, modulus).public_key()


def _is_current(claims: dict[str, Any]) -> bool:
    issued, expires, now = claims.get("iat"), claims.get("exp"), time.time()
    if not isinstance(issued, int) or not isinstance(expires, int) or expires - issued > 3600:
        return False
    return issued <= now + SKEW_SECONDS and expires > now - SKEW_SECONDS


def _json(part: str) -> dict[str, Any]:
    content = json.loads(_bytes(part))
    if not isinstance(content, dict):
        raise TypeError
    return content


def _bytes(part: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError from error
