"""Encryption of stored credentials and rotation of keys."""

from __future__ import annotations

import json
import threading
from base64 import urlsafe_b64decode
from collections.abc import Callable

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from models import CloudCredentials, open_connection, transaction
from tests.conftest import MakeCredentials
from tests.environ import ENVIRON
from webapp.clouds import CLOUDS
from webapp.credentials.vault import (
    API_TOKEN,
    AUTHENTICATOR,
    BINDING,
    CREDENTIALS,
    PREFIX,
    RESPONSE,
    BindingBroken,
    KeyLost,
    Vault,
    VaultError,
)
from webapp.factors.authenticator import SET_UP
from webapp.single_sign_on.identities import PENDING_LINK
from webapp.views.conflicts import VERSIONS
from webapp.web.resumed_forms import UNSENT_FORM


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
    row, unreadable = as_older_version(make_credentials()), make_credentials("acme")
    assert vault.reveal(row)["secret_access_key"] == "not-a-secret-at-all"
    lost = Fernet(Fernet.generate_key()).encrypt(b"{}").decode()
    CloudCredentials.update(secrets=lost).where(CloudCredentials.id == unreadable.id).execute()

    assert vault.bind_older_rows() is False

    bound = CloudCredentials.get_by_id(row.id)
    assert BINDING in stored_values(bound, vault)
    assert dict(vault.reveal(bound)) == dict(vault.reveal(row))
    assert bound.revision == row.revision
    assert CloudCredentials.get_by_id(unreadable.id).secrets == lost
    vault.bind_older_rows()
    assert CloudCredentials.get_by_id(row.id).secrets == bound.secrets


def test_rotation_encrypts_texts_of_version_0_2_0_with_aes_256_gcm(
    make_credentials: MakeCredentials, vault: Vault
) -> None:
    row = as_older_version(make_credentials())
    assert vault.rotate() == 1
    row = CloudCredentials.get_by_id(row.id)
    assert row.secrets.startswith(PREFIX)
    assert vault.reveal(row)["secret_access_key"] == "not-a-secret-at-all"


def as_older_version(row: CloudCredentials) -> CloudCredentials:
    """Store the secrets as version 0.2.0 did: encrypted with Fernet, and not bound to the row."""
    secrets = json.dumps({"secret_access_key": "not-a-secret-at-all"}).encode()
    row.secrets = Fernet(ENVIRON["CREDENTIALS_KEYS"]).encrypt(secrets).decode()
    row.store_secrets()
    return row


def stored_values(row: CloudCredentials, vault: Vault) -> dict[str, str]:
    return vault.unseal(row.secrets, CREDENTIALS) or {}


def test_texts_are_encrypted_with_aes_256_gcm_and_a_key_from_hkdf(vault: Vault) -> None:
    """Decrypt without the code of the application, so that the format cannot change unnoticed."""
    text = vault.seal({"name": "value"}, "purpose")
    data = urlsafe_b64decode(text.removeprefix("a256gcm."))
    derivation = HKDF(SHA256(), length=32, salt=None, info=b"AES-256-GCM")
    key = derivation.derive(urlsafe_b64decode(ENVIRON["CREDENTIALS_KEYS"]))
    assert json.loads(AESGCM(key).decrypt(data[:12], data[12:], b"purpose")) == {"name": "value"}
    assert vault.seal({"name": "value"}, "purpose") != text


def test_a_text_is_valid_only_for_its_purpose(vault: Vault) -> None:
    text = vault.seal({"key": "value"}, API_TOKEN)
    assert vault.unseal(text, API_TOKEN) == {"key": "value"}
    assert vault.unseal(text, CREDENTIALS) is None


def test_texts_of_version_0_2_0_are_valid_only_in_the_database(vault: Vault) -> None:
    """Fernet tokens have no purpose, so a token from a browser may be for another purpose."""
    text = Fernet(ENVIRON["CREDENTIALS_KEYS"]).encrypt(b'{"key": "value"}').decode()
    for purpose in (CREDENTIALS, AUTHENTICATOR, API_TOKEN, RESPONSE):
        assert vault.unseal(text, purpose) == {"key": "value"}
    for purpose in (UNSENT_FORM, VERSIONS, SET_UP, PENDING_LINK):
        assert vault.unseal(text, purpose) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-4],
        lambda text: text[:20],
        lambda text: text[: len(PREFIX)],
        lambda text: text.removeprefix(PREFIX),
        lambda text: text[:30] + ("A" if text[30] != "A" else "B") + text[31:],
        lambda text: f"{text[:-1]}é",
        lambda text: f"{text}A",
    ],
    ids=["truncated", "short", "empty", "no prefix", "changed", "no Base64", "bad padding"],
)
def test_a_changed_text_cannot_be_decrypted(
    change: Callable[[str], str], make_credentials: MakeCredentials, vault: Vault
) -> None:
    row = make_credentials()
    row.secrets = change(row.secrets)
    row.store_secrets()
    assert vault.unseal(row.secrets, CREDENTIALS) is None
    with pytest.raises(KeyLost):
        vault.reveal(row)
    with pytest.raises(VaultError, match="can decrypt"):
        vault.rotate()


def test_no_credential_field_has_the_name_of_the_binding() -> None:
    names = {field.name for cloud in CLOUDS.values() for field in cloud.credential_fields}
    assert BINDING not in names
