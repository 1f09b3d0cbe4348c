"""Encrypt and decrypt cloud credentials, and other texts in the database or in browsers.

No other module encrypts or decrypts such data.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from peewee import chunked

from models import ApiToken, Authenticator, CloudCredentials, Person, Scope, transaction
from webapp.clouds.credentials import CredentialValues, Field
from webapp.monitoring import masking
from webapp.refusals import Refusal

ROTATE_SIZE = 50
"""The maximum number of rows that one transaction re-encrypts."""
BINDING = "bound to"
"""The name under which the digest of a row is encrypted together with the row's secrets.

See `_digest`. No credential field has this name.
"""
PREFIX = "a256gcm."
"""The beginning of a text that AES-256-GCM has encrypted. Older texts are Fernet tokens."""
NONCE_LENGTH = 12
"""The length of a nonce in bytes. Each text has a random nonce.

With random nonces of 96 bits, a key may encrypt at most 2**32 texts (NIST SP 800-38D, 8.3). This is
enough for 10 texts per second for 13 years. Each new key may encrypt the same number of texts.
"""
CREDENTIALS, AUTHENTICATOR, API_TOKEN = "cloud credentials", "authenticator app", "API token"
"""The purposes of the texts in the columns that `Vault.rotate` encrypts again."""
RESPONSE = "response to a repeatable request"
"""The purpose of the responses that `webapp.repeatable_requests` stores for a day."""
FERNET_PURPOSES = frozenset({CREDENTIALS, AUTHENTICATOR, API_TOKEN, RESPONSE})
"""The purposes of the texts that the database stores. Older versions used Fernet for these texts.

A Fernet token does not contain its purpose. So a Fernet token from a browser is never decrypted: it
could have been encrypted for another purpose.
"""


class VaultError(Refusal):
    """Secrets of credentials, an authenticator app or an API token cannot be used.

    The messages of the subclasses do not name the credentials. The check of an image can end with
    such a message, and some people who can see the result are not allowed to see the name.
    """


class KeyLost(VaultError):
    """The secrets were encrypted with a key that is no longer configured, or are damaged."""

    def __init__(self, row: CloudCredentials) -> None:
        super().__init__(
            "The secrets of these credentials can’t be decrypted. Their key is no longer in the "
            "setting CREDENTIALS_KEYS, or the stored secrets are damaged. The operator of the "
            f"registry can add the key to the setting again. Or an admin of {row.scope.label} can "
            "edit the credentials and enter the secrets again."
        )


class BindingBroken(VaultError):
    """The secrets belong to another row, or to other settings of the row."""

    def __init__(self, row: CloudCredentials) -> None:
        super().__init__(
            "The secrets of these credentials don’t match the other fields, because somebody "
            "changed the database directly. The registry doesn’t use the secrets. Ask the operator "
            f"of the registry to find out who did this. Then an admin of {row.scope.label} can "
            "edit the credentials and enter the secrets again."
        )


class Vault:
    """Encrypts with the first key in `keys`, and decrypts with any key in `keys`.

    Each text has a purpose, and can be decrypted only for this purpose. Fernet tokens of older
    versions can be decrypted for each of the FERNET_PURPOSES, and only for these.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = tuple(keys)
        self._ciphers = [AESGCM(key) for key in self.derive_keys(b"AES-256-GCM")]
        # Version 0.2.0 encrypted with Fernet (AES-128-CBC). `rotate` encrypts its texts again.
        self._fernet = MultiFernet([Fernet(key) for key in self._keys])

    def store(
        self, row: CloudCredentials, fields: Iterable[Field], values: Mapping[str, str]
    ) -> None:
        """Set `settings` and `secrets` of `row` from `values`, without saving the row.

        `secrets` contains the secret fields, encrypted. If the row has an ID, the secrets are bound
        to the ID, the cloud and the settings. After you insert a row, call `bind`.
        """
        secret_names = {field.name for field in fields if field.secret}
        row.settings = {name: value for name, value in values.items() if name not in secret_names}
        secrets = {name: value for name, value in values.items() if name in secret_names}
        if row.id is not None:
            secrets[BINDING] = _digest(row)
        row.secrets = self.seal(secrets, CREDENTIALS)

    def bind(self, row: CloudCredentials) -> None:
        """Bind the secrets of a stored row to its ID, cloud and settings. Raises VaultError."""
        row.secrets = self.seal({**self._secrets(row), BINDING: _digest(row)}, CREDENTIALS)
        row.store_secrets()

    def reveal(self, row: CloudCredentials) -> CredentialValues:
        """Return all fields of `row` in plain text. Raises VaultError.

        While the result exists, log lines mask its secrets.
        """
        secrets = self._secrets(row)
        values = CredentialValues({**row.settings, **secrets}, row.scope.account_path)
        masking.mask_while_alive(values, secrets.values())
        return values

    def problem_of(self, row: CloudCredentials) -> VaultError | None:
        """Return why the secrets of `row` cannot be used, or None."""
        try:
            self._secrets(row)
        except VaultError as error:
            return error
        return None

    def unreadable_names(self) -> list[str]:
        """Return the names of all stored credentials that no key can decrypt."""
        return [row.name for row in _all_credentials() if isinstance(self.problem_of(row), KeyLost)]

    def seal(self, values: Mapping[str, Any], purpose: str) -> str:
        """Return JSON values as an encrypted text, which a browser can neither read nor change."""
        return self._encrypt(json.dumps(values).encode(), purpose)

    def unseal(self, text: str, purpose: str) -> dict[str, Any] | None:
        """Return the values of a text from `seal` for this purpose, or None for any other text."""
        plaintext = self._decrypt(text, purpose)
        if plaintext is None:
            return None
        values: dict[str, Any] = json.loads(plaintext)
        return values

    def derive_keys(self, purpose: bytes) -> list[bytes]:
        """Derive a key of 32 bytes for `purpose` from each key. Return them in the same order."""
        return [
            HKDF(hashes.SHA256(), length=32, salt=None, info=purpose).derive(
                base64.urlsafe_b64decode(key)
            )
            for key in self._keys
        ]

    def seal_for(self, person: Person, text: str) -> str:
        """Return `text` encrypted for a person. Only `unseal_for` with this person decrypts it."""
        return self.seal({"person": person.id, "text": text}, AUTHENTICATOR)

    def unseal_for(self, person: Person, sealed: str) -> str | None:
        """Return the text that was encrypted for this person, or None for any other text."""
        values = self.unseal(sealed, AUTHENTICATOR)
        if values is None or values.keys() != {"person", "text"} or values["person"] != person.id:
            return None
        return str(values["text"])

    def rotate(self) -> int:
        """Re-encrypt all secrets with the first key. Return the number of sets of credentials.

        Texts that are needed for a day or less are not re-encrypted. Raises VaultError before any
        change if some credentials cannot be decrypted. Each transaction changes at most ROTATE_SIZE
        rows, so that other writers do not wait long.
        """
        for row in _all_credentials():
            self._reencrypt_secrets(row)
        self._rotate_authenticators()
        self._rotate_tokens()
        count = 0
        for chunk in chunked(list(_all_credentials()), ROTATE_SIZE):
            with transaction():
                for row in chunk:
                    # Somebody may have changed or deleted the row since the query.
                    if row.reload(lock=True):
                        row.secrets = self._reencrypt_secrets(row)
                        row.save(only=[CloudCredentials.secrets])
                        count += 1
        return count

    def bind_older_rows(self) -> bool:
        """Bind the secrets of rows that older versions have saved. Return False: no work remains.

        Rows that cannot be decrypted are not changed.
        """
        unbound = [row for row in _all_credentials() if self._is_unbound(row)]
        for chunk in chunked(unbound, ROTATE_SIZE):
            with transaction():
                for row in chunk:
                    if row.reload(lock=True) and self._is_unbound(row):
                        self.bind(row)
        return False

    def _rotate_authenticators(self) -> None:
        """Re-encrypt the secrets of all authenticator apps. Raises VaultError."""
        for row in Authenticator.select(Authenticator, Person).join(Person):
            rotated = self._reencrypt(row.secret, AUTHENTICATOR)
            if rotated is None:
                raise VaultError(
                    "No key in CREDENTIALS_KEYS can decrypt the authenticator app of "
                    f"{row.person.email}. Restore the key that it was encrypted with, or run "
                    f"`flask --app webapp remove-factors {row.person.email}`, then try again."
                )
            is_unchanged = (Authenticator.id == row.id) & (Authenticator.secret == row.secret)
            Authenticator.update(secret=rotated).where(is_unchanged).execute()

    def _rotate_tokens(self) -> None:
        """Re-encrypt the MAC keys of all API tokens. Raises VaultError."""
        for row in ApiToken.select(ApiToken, Scope).join(Scope):
            rotated = self._reencrypt(row.sealed_key, API_TOKEN)
            if rotated is None:
                raise VaultError(
                    f"No key in CREDENTIALS_KEYS can decrypt the API token “{row.name}” of "
                    f"{row.scope.path or 'Scalr'}. Restore the key that it was encrypted with, or "
                    "revoke the token, then try again."
                )
            # Somebody may have rotated the token since the query.
            is_unchanged = (ApiToken.id == row.id) & (ApiToken.sealed_key == row.sealed_key)
            ApiToken.update_all(sealed_key=rotated).where(is_unchanged).execute()

    def _reencrypt_secrets(self, row: CloudCredentials) -> str:
        """Return the secrets of a row, re-encrypted with the first key. Raises VaultError."""
        rotated = self._reencrypt(row.secrets, CREDENTIALS)
        if rotated is None:
            raise VaultError(
                f"No key in CREDENTIALS_KEYS can decrypt the credentials “{row.name}”. Restore the "
                "key that they were encrypted with, then try again."
            )
        return rotated

    def _is_unbound(self, row: CloudCredentials) -> bool:
        try:
            return BINDING not in self._stored_values(row)
        except KeyLost:
            return False

    def _secrets(self, row: CloudCredentials) -> dict[str, str]:
        """Return the secret fields of a row. Raises VaultError.

        Secrets without a binding are accepted, because older versions saved rows without a binding.
        """
        values = self._stored_values(row)
        binding = values.pop(BINDING, None)
        if binding is not None and binding != _digest(row):
            raise BindingBroken(row)
        return values

    def _stored_values(self, row: CloudCredentials) -> dict[str, str]:
        """Return the secret fields of a row and, if it is bound, its binding. Raises KeyLost."""
        values = self.unseal(row.secrets, CREDENTIALS)
        if values is None:
            raise KeyLost(row)
        return values

    def _encrypt(self, plaintext: bytes, purpose: str) -> str:
        nonce = os.urandom(NONCE_LENGTH)
        ciphertext = self._ciphers[0].encrypt(nonce, plaintext, purpose.encode())
        return PREFIX + base64.urlsafe_b64encode(nonce + ciphertext).decode()

    def _decrypt(self, text: str, purpose: str) -> bytes | None:
        """Return the plaintext, or None if no key decrypts the text for this purpose."""
        if not text.startswith(PREFIX):
            if purpose in FERNET_PURPOSES:
                with suppress(InvalidToken):
                    return self._fernet.decrypt(text.encode())
            return None
        # The text may come from a browser. A text that is not Base64 or is too short for a nonce
        # raises ValueError.
        with suppress(ValueError):
            data = base64.urlsafe_b64decode(text.removeprefix(PREFIX))
            for cipher in self._ciphers:
                with suppress(InvalidTag):
                    nonce, ciphertext = data[:NONCE_LENGTH], data[NONCE_LENGTH:]
                    return cipher.decrypt(nonce, ciphertext, purpose.encode())
        return None

    def _reencrypt(self, text: str, purpose: str) -> str | None:
        """Return the text, encrypted with the first key, or None if no key decrypts the text."""
        plaintext = self._decrypt(text, purpose)
        return None if plaintext is None else self._encrypt(plaintext, purpose)


def _digest(row: CloudCredentials) -> str:
    """Return a digest of the ID, the cloud and the settings of `row`.

    The secrets of the row may be used only with these values. For example, the settings contain the
    address of the server that receives the secrets.
    """
    text = json.dumps([row.reference, row.cloud, row.settings], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _all_credentials() -> Iterable[CloudCredentials]:
    rows: Iterable[CloudCredentials] = CloudCredentials.select().order_by(CloudCredentials.id)
    return rows
