"""Encrypt and decrypt cloud credentials, and texts that browsers store.

No other module encrypts or decrypts them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from peewee import chunked

from models import CloudCredentials, transaction
from webapp.clouds.credentials import CredentialValues, Field
from webapp.monitoring import masking
from webapp.refusals import Refusal

ROTATE_SIZE = 50
"""The maximum number of rows that one transaction re-encrypts."""


class VaultError(Refusal):
    """The secrets were encrypted with a key that is no longer configured."""


class Vault:
    """Encrypts with the first key in `keys`, and decrypts with any key in `keys`."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    def store(
        self, row: CloudCredentials, fields: Iterable[Field], values: Mapping[str, str]
    ) -> None:
        """Set the columns of `row` from `values`. Encrypt the secret fields. Don't save the row."""
        secret_names = {field.name for field in fields if field.secret}
        row.settings = {name: value for name, value in values.items() if name not in secret_names}
        secrets = {name: value for name, value in values.items() if name in secret_names}
        row.secrets = self._fernet.encrypt(json.dumps(secrets).encode()).decode()

    def reveal(self, row: CloudCredentials) -> CredentialValues:
        """Return all fields of `row` in plain text. Raises VaultError.

        While the result exists, log lines mask its secrets.
        """
        try:
            secrets = json.loads(self._fernet.decrypt(row.secrets.encode()))
        except InvalidToken as error:
            raise VaultError(
                f"The credentials “{row.name}” were encrypted with a key that is no longer in "
                "CREDENTIALS_KEYS. Restore the key, or delete the credentials and add them again."
            ) from error
        values = CredentialValues({**row.settings, **secrets}, row.scope.account_path)
        masking.mask_while_alive(values, secrets.values())
        return values

    def unreadable_names(self) -> list[str]:
        """Return the names of all stored credentials that no key can decrypt."""
        names = []
        for row in CloudCredentials.select().order_by(CloudCredentials.id):
            try:
                self.reveal(row)
            except VaultError:
                names.append(row.name)
        return names

    def seal(self, values: Mapping[str, Any]) -> str:
        """Return JSON values as a text that a browser can store, but neither read nor change."""
        return self._fernet.encrypt(json.dumps(values).encode()).decode()

    def unseal(self, text: str) -> dict[str, Any] | None:
        """Return the values of a text that `seal` returned, or None for any other text."""
        try:
            values: dict[str, Any] = json.loads(self._fernet.decrypt(text.encode()))
        except InvalidToken:
            return None
        return values

    def rotate(self) -> int:
        """Re-encrypt every row with the first key and return the number of rows.

        First, check that every row can be decrypted, and raise VaultError otherwise. Then each
        transaction changes at most ROTATE_SIZE rows, so that other writers do not wait long.
        """
        for row in _each_row():
            self._rotated(row)
        count = 0
        for chunk in chunked(list(_each_row()), ROTATE_SIZE):
            with transaction():
                for row in chunk:
                    # Somebody may have changed or deleted the row since the query.
                    if row.reload(lock=True):
                        row.secrets = self._rotated(row)
                        row.save(only=[CloudCredentials.secrets])
                        count += 1
        return count

    def _rotated(self, row: CloudCredentials) -> str:
        """Return the secrets of a row, re-encrypted with the first key. Raises VaultError."""
        try:
            return self._fernet.rotate(row.secrets.encode()).decode()
        except InvalidToken as error:
            raise VaultError(
                f"No key in CREDENTIALS_KEYS can decrypt the credentials “{row.name}”. Nothing was "
                "changed. Restore the key that they were encrypted with."
            ) from error


def _each_row() -> Iterable[CloudCredentials]:
    rows: Iterable[CloudCredentials] = CloudCredentials.select().order_by(CloudCredentials.id)
    return rows
