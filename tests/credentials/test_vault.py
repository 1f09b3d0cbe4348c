"""Encryption of stored credentials and rotation of keys."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet

from models import CloudCredentials
from tests.conftest import ENVIRON, MakeCredentials
from webapp.credentials.vault import Vault, VaultError


def test_secrets_are_not_readable_at_rest(make_credentials: MakeCredentials, vault: Vault) -> None:
    row = CloudCredentials.get_by_id(make_credentials().id)
    stored = f"{row.settings} {row.secrets}"
    assert "not-a-secret-at-all" not in stored
    assert row.settings["access_key_id"] == "AKIAEXAMPLE"
    assert vault.reveal(row)["secret_access_key"] == "not-a-secret-at-all"


def test_revealed_values_do_not_print_themselves(
    make_credentials: MakeCredentials, vault: Vault
) -> None:
    assert "not-a-secret-at-all" not in repr(vault.reveal(make_credentials()))


def test_rotation_encrypts_with_the_new_key(make_credentials: MakeCredentials) -> None:
    row = make_credentials()
    old_key, new_key = ENVIRON["CREDENTIALS_KEYS"], Fernet.generate_key().decode()
    assert Vault([new_key, old_key]).rotate() == 1
    row = CloudCredentials.get_by_id(row.id)
    assert Vault([new_key]).reveal(row)["secret_access_key"] == "not-a-secret-at-all"
    with pytest.raises(VaultError, match="CREDENTIALS_KEYS"):
        Vault([old_key]).reveal(row)


def test_rotation_without_the_old_key_changes_nothing(
    make_credentials: MakeCredentials, vault: Vault
) -> None:
    row = make_credentials()
    with pytest.raises(VaultError, match="can decrypt"):
        Vault([Fernet.generate_key().decode()]).rotate()
    assert CloudCredentials.get_by_id(row.id).secrets == row.secrets
