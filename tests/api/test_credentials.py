"""Cloud credentials with the API: their secrets are never returned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from models import CloudCredentials, RepeatableRequest
from sandbox import aws
from tests.api.client import ApiClient, ClientFor
from tests.conftest import MakeCredentials
from webapp.credentials.vault import Vault

CREDENTIALS = "/account/acme/credentials"
SECRET = "a-secret-that-nobody-may-see"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with aws.start() as url:
        yield url


@pytest.fixture
def api(api_of: ClientFor) -> ApiClient:
    return api_of("account-admin")


@pytest.fixture
def body(endpoint: str) -> dict[str, Any]:
    values = {
        "access_key_id": "AKIAIOSFODNN7EXAMPLE",
        "secret_access_key": SECRET,
        "endpoint_url": endpoint,
    }
    return {"cloud": "aws", "name": "Build", "values": values}


def test_credentials_are_added_without_showing_their_secrets(
    api: ApiClient, api_of: ClientFor, body: dict[str, Any], vault: Vault,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    key = {"Idempotency-Key": "add"}
    added = api.post(CREDENTIALS, body, headers=key)
    assert added.status_code == 201
    found: Any = added.json
    assert found["values"]["access_key_id"] == "AKIAIOSFODNN7EXAMPLE"
    assert found["checked_at"] is not None
    url = f"{CREDENTIALS}/{found['id']}"
    assert added.headers["Location"].endswith(url)
    listed = api.get(CREDENTIALS)
    single = api.get(url)
    assert single.headers["ETag"] == added.headers["ETag"]
    log = api.get("/account/acme/audit")
    repeated = api.post(CREDENTIALS, body, headers=key)
    assert repeated.json == found
    for answer in (added, listed, single, log, repeated):
        assert SECRET not in answer.text
    assert SECRET not in caplog.text
    assert SECRET not in str(RepeatableRequest.get().__data__)
    assert vault.reveal(CloudCredentials.get())["secret_access_key"] == SECRET
    seen: Any = api_of("account-editor").get(url).json
    assert (seen["name"], seen["values"]) == ("Build", None)


def test_a_failed_check_adds_nothing(api: ApiClient, body: dict[str, Any]) -> None:
    body["values"]["endpoint_url"] = "http://127.0.0.1:9"
    answer = api.post(CREDENTIALS, body)
    assert answer.status_code == 504
    assert SECRET not in answer.text
    assert not CloudCredentials.select().exists()
    assert api.post(CREDENTIALS, {**body, "check": False}).status_code == 201


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"cloud": "awz"}, "cloud"),
        ({"name": ""}, "name"),
        ({"values": {"access_key": "x"}}, "access_key"),
        ({"values": {}}, "access_key_id"),
    ],
)
def test_a_wrong_value_is_an_error_of_its_field(
    api: ApiClient, body: dict[str, Any], changes: dict[str, Any], field: str
) -> None:
    answer = api.post(CREDENTIALS, {**body, **changes})
    assert answer.status_code == 422
    assert answer.json is not None
    assert answer.json["errors"][0]["field"] == field
    assert SECRET not in answer.text


def test_an_edit_keeps_the_secrets(
    api: ApiClient, make_credentials: MakeCredentials, endpoint: str, vault: Vault
) -> None:
    row = make_credentials("acme", "Build", endpoint)
    url, etag = f"{CREDENTIALS}/{row.id}", {"If-Match": f'"{row.revision}"'}
    assert api.patch(url, {"name": "New"}).status_code == 428
    edited = api.patch(url, {"name": "New"}, headers=etag)
    assert edited.status_code == 200
    assert edited.json["name"] == "New"  # type: ignore[index]
    stored = CloudCredentials.get()
    assert vault.reveal(stored)["secret_access_key"] == "not-a-secret-at-all"
    assert api.patch(url, {"name": "Again"}, headers=etag).status_code == 412
    new_server = {"values": {"endpoint_url": "http://127.0.0.2:9"}, "check": False}
    refused = api.patch(url, new_server, headers={"If-Match": "*"})
    assert refused.status_code == 422
    assert "Enter the secrets again" in refused.json["detail"]  # type: ignore[index]
    assert api.post(f"{url}/check").status_code == 200


def test_credentials_are_deleted_where_they_are_owned(
    api: ApiClient, api_of: ClientFor, make_credentials: MakeCredentials
) -> None:
    row = make_credentials("acme", "Build")
    below = f"/environment/acme/production/credentials/{row.id}"
    any_version = {"If-Match": "*"}
    assert api_of("environment-admin").get(below).status_code == 200
    assert api_of("environment-admin").delete(below, headers=any_version).status_code == 403
    assert api.delete(f"{CREDENTIALS}/{row.id}", headers=any_version).status_code == 202
    assert api.get(f"{CREDENTIALS}/{row.id}").status_code == 404


def test_the_locations_come_from_the_cloud(
    api_of: ClientFor, make_credentials: MakeCredentials, endpoint: str
) -> None:
    row = make_credentials("", "Sandbox", endpoint)
    api = api_of("account-editor")
    found: Any = api.get(f"/account/acme/clouds/aws/locations?credentials={row.id}").json
    assert "us-east-1" in [each["key"] for each in found["items"]]
    assert api.get("/account/acme/clouds/aws/locations?credentials=99").status_code == 422
    assert api.get(f"/account/acme/clouds/nix/locations?credentials={row.id}").status_code == 404
