"""Cloud credentials in and out of encryption. The only place that sees both sides."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from models import CloudCredentials, transaction
from webapp.clouds.base import CredentialValues, Field


class VaultError(Exception):
    """The secrets were encrypted with a key that is not configured any more."""


class Vault:
    """Encrypts with the first of `keys`, decrypts with any of them."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    def store(
        self, row: CloudCredentials, fields: Iterable[Field], values: Mapping[str, str]
    ) -> None:
        """Put `values` into `row`, the secret ones encrypted. Does not save the row."""
        secret = {field.name for field in fields if field.secret}
        row.settings = {name: value for name, value in values.items() if name not in secret}
        secrets = {name: value for name, value in values.items() if name in secret}
        row.secrets = self._fernet.encrypt(json.dumps(secrets).encode()).decode()

    def reveal(self, row: CloudCredentials) -> CredentialValues:
        """All fields, in the clear. Raises VaultError."""
        try:
            secrets = json.loads(self._fernet.decrypt(row.secrets.encode()))
        except InvalidToken as error:
            raise VaultError(
                f"The credentials “{row.name}” were encrypted with a key that CREDENTIALS_KEYS "
                "does not hold any more. Enter their secrets again, or bring the key back."
            ) from error
        return CredentialValues({**row.settings, **secrets})

    def rotate(self) -> int:
        """Encrypt every row again with the first key; returns how many. Raises VaultError and
        changes nothing if one of them cannot be decrypted."""
        with transaction():
            rows = list(CloudCredentials.select())
            for row in rows:
                try:
                    row.secrets = self._fernet.rotate(row.secrets.encode()).decode()
                except InvalidToken as error:
                    raise VaultError(f"No key decrypts the credentials “{row.name}”.") from error
                row.save(only=[CloudCredentials.secrets])
        return len(rows)
