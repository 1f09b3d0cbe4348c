"""Encryption of stored credentials and rotation of keys."""

from __future__ import annotations

import threading

import pytest
from cryptography.fernet import Fernet

from models import CloudCredentials, open_connection, transaction
from tests.conftest import MakeCredentials
from tests.environ import ENVIRON
from webapp.clouds import CLOUDS
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


def test_rotation_waits_for_an_edit_and_encrypts_its_values(
    make_credentials: MakeCredentials, vault: Vault
) -> None:
    row = make_credentials()
    new_key = Fernet.generate_key().decode()
    rotating = Vault([new_key, ENVIRON["CREDENTIALS_KEYS"]])
    counts: list[int] = []

    def rotate() -> None:
        with open_connection():
            counts.append(rotating.rotate())

    thread = threading.Thread(target=rotate)
    with transaction():
        row.reload(lock=True)
        thread.start()
        thread.join(0.5)
        values = {**vault.reveal(row), "secret_access_key": "a-newer-secret"}
        vault.store(row, CLOUDS["aws"].credential_fields, values)
        row.save()
    thread.join()
    assert counts == [1]
    row.reload()
    assert Vault([new_key]).reveal(row)["secret_access_key"] == "a-newer-secret"
