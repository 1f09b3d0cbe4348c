"""Encryption of stored credentials and rotation of keys."""

from __future__ import annotations

import json
import threading

import pytest
from cryptography.fernet import Fernet

from models import CloudCredentials, open_connection, transaction
from tests.conftest import MakeCredentials
from tests.environ import ENVIRON
from webapp.clouds import CLOUDS
from webapp.credentials.vault import BINDING, BindingBroken, Vault, VaultError


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


def test_secrets_are_bound_to_their_row(make_credentials: MakeCredentials, vault: Vault) -> None:
    one, other = make_credentials("acme"), make_credentials("globex")
    for row in (one, other):
        vault.bind(row)
    one.secrets, other.secrets = other.secrets, one.secrets
    for row in (one, other):
        with pytest.raises(BindingBroken, match="enter the secrets again"):
            vault.reveal(row)
    assert vault.unreadable_names() == []


def test_secrets_are_bound_to_the_settings(make_credentials: MakeCredentials, vault: Vault) -> None:
    row = make_credentials()
    vault.bind(row)
    settings = {**row.settings, "endpoint_url": "https://elsewhere.example"}
    CloudCredentials.update(settings=settings).where(CloudCredentials.id == row.id).execute()
    with pytest.raises(BindingBroken):
        vault.reveal(CloudCredentials.get_by_id(row.id))


def test_rows_of_older_versions_can_be_read_and_are_bound_in_the_background(
    make_credentials: MakeCredentials, vault: Vault
) -> None:
    row, unreadable = make_credentials(), make_credentials("acme")
    fields = {field.name for field in CLOUDS["aws"].credential_fields if field.secret}
    stored = as_older_version(row)
    assert stored.keys() == fields
    assert vault.reveal(row)["secret_access_key"] == stored["secret_access_key"]
    lost = Fernet(Fernet.generate_key()).encrypt(b"{}").decode()
    CloudCredentials.update(secrets=lost).where(CloudCredentials.id == unreadable.id).execute()

    assert vault.bind_older_rows() is False

    bound = CloudCredentials.get_by_id(row.id)
    # The older version ignores the additional value, because it is the name of no field.
    assert as_older_version(bound).keys() == {*fields, BINDING}
    assert dict(vault.reveal(bound)) == dict(vault.reveal(row))
    assert bound.revision == row.revision
    assert CloudCredentials.get_by_id(unreadable.id).secrets == lost
    vault.bind_older_rows()
    assert CloudCredentials.get_by_id(row.id).secrets == bound.secrets


def as_older_version(row: CloudCredentials) -> dict[str, str]:
    """Return the decrypted JSON, which older versions merge with the settings."""
    plaintext = Fernet(ENVIRON["CREDENTIALS_KEYS"]).decrypt(row.secrets.encode())
    secrets: dict[str, str] = json.loads(plaintext)
    assert all(isinstance(value, str) for value in secrets.values())
    return secrets


def test_no_credential_field_has_the_name_of_the_binding() -> None:
    names = {field.name for cloud in CLOUDS.values() for field in cloud.credential_fields}
    assert BINDING not in names
