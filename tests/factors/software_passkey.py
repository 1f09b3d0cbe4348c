"""A software authenticator for tests: it creates and uses passkeys as a browser and a device do."""

from __future__ import annotations

import hashlib
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

PRESENT, VERIFIED, HAS_CREDENTIAL = 0x01, 0x04, 0x40


def text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def data(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class SoftwarePasskey:
    """One passkey. `create` and `use` return the answer of the browser, as passkeys.js sends it.

    A test changes `origin`, `rp_id`, `verifies` or `count` to get a wrong answer.
    """

    origin: str = "http://localhost"
    rp_id: str = "localhost"
    verifies: bool = True
    count: int = 0
    """The signature counter. 0 means that the device has none."""
    user_handle: str = ""
    credential: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def create(self, options: dict[str, Any]) -> str:
        self.user_handle = options["user"]["id"]
        client = self._client_data("webauthn.create", options["challenge"])
        numbers = self.key.public_key().public_numbers()
        x, y = (number.to_bytes(32, "big") for number in (numbers.x, numbers.y))
        public_key = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: x, -3: y})
        credential = (
            bytes(16) + len(self.credential).to_bytes(2, "big") + self.credential + public_key
        )
        attestation = {
            "fmt": "none",
            "attStmt": {},
            "authData": self._authenticator_data(HAS_CREDENTIAL) + credential,
        }
        return self._answer(
            clientDataJSON=text(client),
            attestationObject=text(cbor2.dumps(attestation)),
            transports=["internal", "unknown to the registry"],
        )

    def use(self, options: dict[str, Any]) -> str:
        if self.count:
            self.count += 1
        client = self._client_data("webauthn.get", options["challenge"])
        signed = self._authenticator_data(0)
        signature = self.key.sign(signed + hashlib.sha256(client).digest(), ec.ECDSA(SHA256()))
        return self._answer(
            clientDataJSON=text(client),
            authenticatorData=text(signed),
            signature=text(signature),
            userHandle=self.user_handle,
        )

    def _client_data(self, kind: str, challenge: str) -> bytes:
        values = {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        return json.dumps(values).encode()

    def _authenticator_data(self, flags: int) -> bytes:
        flags |= PRESENT | (VERIFIED if self.verifies else 0)
        digest = hashlib.sha256(self.rp_id.encode()).digest()
        return digest + bytes([flags]) + self.count.to_bytes(4, "big")

    def _answer(self, **response: object) -> str:
        identifier = text(self.credential)
        return json.dumps(
            {"id": identifier, "rawId": identifier, "type": "public-key", "response": response}
        )
