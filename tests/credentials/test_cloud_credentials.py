"""Cloud credentials: the scopes that can use them, how they are checked, and who sees secrets."""

from __future__ import annotations

import io
import re

import pytest
from cryptography.fernet import Fernet

from models import AuditEntry, CloudCredentials, Scope
from tests.conftest import ActorOf, ClientOf, MakeCredentials, ScopeAt
from webapp.access import Actor, Forbidden
from webapp.clouds import CLOUDS
from webapp.clouds.errors import CloudUnreachable
from webapp.credentials import cloud_credentials
from webapp.credentials.cloud_credentials import CredentialsError
from webapp.credentials.vault import BindingBroken, Vault

VALUES = {"access_key_id": "AKIAEXAMPLE", "secret_access_key": "hunter2-hunter2"}


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("", ["of Scalr"]),
        ("acme", ["of acme", "of Scalr"]),
        ("acme/production", ["of production", "of acme", "of Scalr"]),
        ("globex/lab", ["of Scalr"]),
    ],
)
def test_the_nearest_usable_credentials_come_first(
    make_credentials: MakeCredentials, scope: ScopeAt, path: str, names: list[str]
) -> None:
    make_credentials("", "of Scalr")
    make_credentials("acme", "of acme")
    make_credentials("acme/production", "of production")
    assert [row.name for row in cloud_credentials.usable_at(scope(path))] == names
    assert cloud_credentials.usable_at(scope(path), "azure") == []


def add(actor: Actor, scope: Scope, vault: Vault, **values: str) -> CloudCredentials:
    name = values.pop("name", "mine")
    entered = {**VALUES, **values}
    return cloud_credentials.add(actor, scope, vault, "aws", name, entered, checked=False)


def test_credentials_can_be_added_without_a_check(
    actor_of: ActorOf, scope: ScopeAt, vault: Vault
) -> None:
    row = add(actor_of("account-admin"), scope("acme"), vault, access_key_id="  AKIAEXAMPLE ")
    stored = CloudCredentials.get_by_id(row.id)
    assert (stored.account, stored.checked_at) == ("", None)
    assert stored.settings["partition"] == "aws"
    assert vault.reveal(stored)["access_key_id"] == "AKIAEXAMPLE"


def test_credentials_that_the_cloud_rejects_are_not_saved(
    actor_of: ActorOf, scope: ScopeAt, vault: Vault
) -> None:
    entered = {**VALUES, "endpoint_url": "http://127.0.0.1:9"}
    with pytest.raises(CloudUnreachable) as caught:
        cloud_credentials.add(actor_of("account-admin"), scope("acme"), vault, "aws", "x", entered)
    assert VALUES["secret_access_key"] not in str(caught.value)
    assert CloudCredentials.select().count() == 0


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"access_key_id": ""}, "access_key_id"),
        ({"access_key_id": "with blanks inside"}, "access_key_id"),
        ({"secret_access_key": " "}, "secret_access_key"),
        ({"role_arn": "not-an-arn"}, "role_arn"),
        ({"partition": "moon"}, "partition"),
        ({"endpoint_url": "ftp://example.com"}, "endpoint_url"),
        ({"endpoint_url": "http://"}, "endpoint_url"),
        ({"endpoint_url": "http://user:pass@example.com"}, "endpoint_url"),
        ({"endpoint_url": "http://[broken"}, "endpoint_url"),
    ],
)
def test_invalid_input_is_refused_at_its_field(
    actor_of: ActorOf, scope: ScopeAt, vault: Vault, wrong: dict[str, str], field: str
) -> None:
    with pytest.raises(CredentialsError) as caught:
        add(actor_of("account-admin"), scope("acme"), vault, **wrong)
    assert caught.value.field == field


def test_names_are_unique_in_a_scope(actor_of: ActorOf, scope: ScopeAt, vault: Vault) -> None:
    admin = actor_of("scalr-admin")
    add(admin, scope("acme"), vault)
    add(admin, scope("globex"), vault)
    with pytest.raises(CredentialsError, match="already has credentials"):
        add(admin, scope("acme"), vault)


@pytest.mark.parametrize("who", ["account-editor", "environment-admin", "stranger"])
def test_only_admins_of_the_scope_add_credentials(
    actor_of: ActorOf, scope: ScopeAt, vault: Vault, who: str
) -> None:
    with pytest.raises(Forbidden):
        add(actor_of(who), scope("acme"), vault)


def test_an_empty_secret_does_not_replace_the_stored_secret(
    actor_of: ActorOf, scope: ScopeAt, vault: Vault
) -> None:
    admin = actor_of("account-admin")
    row = add(admin, scope("acme"), vault, session_token="a-token")
    entered = {"access_key_id": "AKIAOTHER", "secret_access_key": "", "session_token": ""}
    cloud_credentials.edit(
        admin, row, vault, "renamed", entered, cleared=["session_token"], checked=False
    )
    stored = vault.reveal(CloudCredentials.get_by_id(row.id))
    assert stored["secret_access_key"] == VALUES["secret_access_key"]
    assert stored["session_token"] == ""
    assert stored["access_key_id"] == "AKIAOTHER"
    entry = AuditEntry.get(AuditEntry.action == "credentials.edit")
    assert entry.changes == {
        "name": ["mine", "renamed"],
        "access_key_id": ["AKIAEXAMPLE", "AKIAOTHER"],
        "session_token": ["(secret)", "(secret)"],
    }


def test_a_stored_secret_is_not_sent_to_a_new_url(
    actor_of: ActorOf, scope: ScopeAt, vault: Vault
) -> None:
    admin = actor_of("account-admin")
    row = add(admin, scope("acme"), vault)
    elsewhere = {**VALUES, "secret_access_key": "", "endpoint_url": "https://elsewhere.example"}
    with pytest.raises(CredentialsError, match="Enter the secrets again"):
        cloud_credentials.edit(admin, row, vault, "mine", elsewhere, checked=False)
    entered = {**elsewhere, "secret_access_key": "entered-again"}
    cloud_credentials.edit(admin, row, vault, "mine", entered, checked=False)
    assert vault.reveal(row)["endpoint_url"] == "https://elsewhere.example"


@pytest.mark.parametrize(
    "change",
    [
        {"verification": "off"},
        {"verification": "thumbprint", "thumbprint": "AB:" * 19 + "AB"},
        {"ca": "another"},
        {"ca": ""},
    ],
)
def test_a_stored_secret_is_not_sent_to_a_server_that_proves_its_identity_differently(
    actor_of: ActorOf,
    scope: ScopeAt,
    vault: Vault,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, str],
) -> None:
    monkeypatch.setattr(CLOUDS["vmware"], "validate", lambda _values: None)
    admin = actor_of("account-admin")
    values = {
        "vcenter_url": "https://vcenter.example.com",
        "username": "reader",
        "password": "hunter2-hunter2",
        "verification": "verify",
        "ca": "one",
    }
    row = cloud_credentials.add(
        admin, scope("acme"), vault, "vmware", "mine", values, checked=False
    )
    changed = {**values, "password": "", **change}
    with pytest.raises(CredentialsError, match="Enter the secrets again") as caught:
        cloud_credentials.edit(admin, row, vault, "mine", changed, checked=False)
    assert caught.value.field == "password"
    changed["password"] = values["password"]
    cloud_credentials.edit(admin, row, vault, "mine", changed, checked=False)
    assert vault.reveal(row)["password"] == values["password"]


def test_added_credentials_are_bound_to_their_row(
    actor_of: ActorOf, scope: ScopeAt, vault: Vault
) -> None:
    one = add(actor_of("account-admin"), scope("acme"), vault)
    other = add(actor_of("scalr-admin"), scope("globex"), vault)
    one.secrets = CloudCredentials.get_by_id(other.id).secrets
    assert isinstance(vault.problem_of(one), BindingBroken)


def test_credentials_without_their_key_say_what_to_do_and_accept_new_secrets(
    client_of: ClientOf, make_credentials: MakeCredentials, vault: Vault
) -> None:
    row = make_credentials("acme")
    row.secrets = Fernet(Fernet.generate_key()).encrypt(b"{}").decode()
    row.save()
    client = client_of("account-admin")
    listed = client.get("/account/acme/credentials").text
    assert "enter the secrets again" in listed
    page = client.get(f"/account/acme/credentials/{row.id}/edit").text
    assert "CREDENTIALS_KEYS" in page
    assert "keep the stored value" not in page
    url = f"/account/acme/images/new/aws/confirm?credentials={row.id}&location=us-east-1"
    look_up = client.get(f"{url}&image_id=ami-0123456789abcdef0")
    assert look_up.status_code == 422
    assert "enter the secrets again" in look_up.text

    form = {**row.settings, "name": row.name, "skip_check": "y", "revision": row.revision}
    url = f"/account/acme/credentials/{row.id}/edit"
    assert "Secret access key is required." in client.post(url, data=form).text
    assert client.post(url, data={**form, "secret_access_key": "new-secret"}).status_code == 303
    stored = CloudCredentials.get_by_id(row.id)
    assert vault.reveal(stored)["secret_access_key"] == "new-secret"
    assert "enter the secrets again" not in client.get("/account/acme/credentials").text


def test_no_secret_reaches_the_audit_log(actor_of: ActorOf, scope: ScopeAt, vault: Vault) -> None:
    admin = actor_of("account-admin")
    row = add(admin, scope("acme"), vault)
    cloud_credentials.edit(
        admin, row, vault, "mine", {**VALUES, "secret_access_key": "new-secret"}, checked=False
    )
    cloud_credentials.start_deletion(admin, row)
    entries = str(list(AuditEntry.select().dicts()))
    assert "credentials.delete" in entries
    assert "hunter2" not in entries
    assert "new-secret" not in entries


def test_inherited_credentials_are_not_owned(
    actor_of: ActorOf, scope: ScopeAt, make_credentials: MakeCredentials
) -> None:
    row, admin = make_credentials("acme"), actor_of("scalr-admin")
    assert cloud_credentials.find_owned(admin, scope("acme"), row.id) == row
    assert cloud_credentials.find_owned(admin, scope(""), row.id) is None


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("credentials/new/aws", "Add AWS credentials"),
        ("credentials/{id}/edit", "Edit Production"),
        ("credentials/{id}/delete", "Delete Production"),
    ],
)
def test_page_titles_name_the_credentials(
    client_of: ClientOf,
    make_credentials: MakeCredentials,
    path: str,
    title: str,
) -> None:
    row = make_credentials("acme", "Production")
    page = client_of("account-admin").get(f"/account/acme/{path.format(id=row.id)}").text
    assert title in re.search(r"<h1>.*?</h1>", page, re.DOTALL)[0]  # type: ignore[index]


def test_all_missing_values_are_reported_at_once(client_of: ClientOf) -> None:
    client = client_of("account-admin")
    url = "/account/acme/credentials/new/gce"
    page = client.post(url, data={"name": "", "service_account_key": ""})
    assert page.status_code == 422
    assert "Enter a name." in page.text
    assert "Service account key is required." in page.text
    upload = (io.BytesIO(b"no key"), "key.json")
    page = client.post(url, data={"name": "", "service_account_key_file": upload})
    assert "Enter a name." in page.text
    assert "Service account key is required." not in page.text
