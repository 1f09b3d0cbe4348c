"""The sandbox's Compute Engine: which tokens it accepts, and what its lists contain."""

from __future__ import annotations

import base64
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from sandbox import gce_images, gce_keys
from tests.clouds.gce.peer import gce_credentials
from tests.clouds.helpers import run_python
from webapp.clouds.errors import CredentialsRejected
from webapp.clouds.gce.adapter import Gce
from webapp.clouds.gce.ids import parse
from webapp.clouds.locators import Locator

ROOT = Path(__file__).parents[3]
NOW = int(time.time())
VALID_CLAIMS: dict[str, Any] = {
    "iss": gce_keys.EMAIL,
    "sub": gce_keys.EMAIL,
    "aud": gce_keys.AUDIENCE,
    "iat": NOW,
    "exp": NOW + 3600,
}


def sandbox_key() -> dict[str, str]:
    """Return the fields of the sandbox's key file."""
    key: dict[str, str] = json.loads(gce_keys.key_file())
    return key


def token(claims: object, kid: str | None = None, private: rsa.RSAPrivateKey | None = None) -> str:
    """Return a signed token. By default, the sandbox's key signs it and is named in its header."""
    sandbox_private = load_pem_private_key(sandbox_key()["private_key"].encode(), password=None)
    assert isinstance(sandbox_private, rsa.RSAPrivateKey)
    head = {"alg": "RS256", "kid": sandbox_key()["private_key_id"] if kid is None else kid}
    parts = [base64.urlsafe_b64encode(json.dumps(each).encode()) for each in (head, claims)]
    signed = b".".join(parts)
    signature = (private or sandbox_private).sign(signed, padding.PKCS1v15(), SHA256())
    return b".".join([signed, base64.urlsafe_b64encode(signature)]).decode()


def request_image(
    cloud_url: str, authorization: str, path: str = gce_images.ACME_IMAGE.image_id
) -> Any:
    return requests.get(
        f"{cloud_url}/compute/v1/projects/{path}",
        headers={"Authorization": authorization},
        timeout=5,
    )


def test_a_valid_token_is_accepted(cloud_url: str) -> None:
    assert request_image(cloud_url, f"Bearer {token(VALID_CLAIMS)}").status_code == 200


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        ("", "CREDENTIALS_MISSING"),
        ("Basic c2VzYW1l", "CREDENTIALS_MISSING"),
        ("Bearer x", "ACCESS_TOKEN_TYPE_UNSUPPORTED"),
        ("Bearer a.b.c", "ACCESS_TOKEN_TYPE_UNSUPPORTED"),
        (f"Bearer {token(VALID_CLAIMS)[:-20]}", "ACCESS_TOKEN_TYPE_UNSUPPORTED"),
        (f"Bearer {token([])}", "ACCESS_TOKEN_TYPE_UNSUPPORTED"),
        (f"Bearer {token(VALID_CLAIMS, kid='0123')}", "ACCESS_TOKEN_TYPE_UNSUPPORTED"),
        (f"Bearer {token(VALID_CLAIMS, kid='ä')}", "ACCESS_TOKEN_TYPE_UNSUPPORTED"),
        (f"Bearer {token({**VALID_CLAIMS, 'iss': 'who@example.com'})}", "ACCOUNT_STATE_INVALID"),
        (
            f"Bearer {token({**VALID_CLAIMS, 'aud': 'https://example.com/'})}",
            "ACCOUNT_STATE_INVALID",
        ),
        (f"Bearer {token({**VALID_CLAIMS, 'exp': NOW - 600})}", "ACCESS_TOKEN_EXPIRED"),
        (f"Bearer {token({**VALID_CLAIMS, 'iat': NOW + 86_400})}", "ACCESS_TOKEN_EXPIRED"),
        (f"Bearer {token({**VALID_CLAIMS, 'exp': NOW + 9999})}", "ACCESS_TOKEN_EXPIRED"),
        (f"Bearer {token({**VALID_CLAIMS, 'exp': None})}", "ACCESS_TOKEN_EXPIRED"),
    ],
)
def test_invalid_tokens_are_rejected(cloud_url: str, authorization: str, reason: str) -> None:
    answer = request_image(cloud_url, authorization)
    assert answer.status_code == 401
    assert answer.json()["error"]["details"][0]["reason"] == reason


def test_the_private_key_of_another_key_is_rejected(cloud_url: str) -> None:
    other = rsa.generate_private_key(65537, 2048)
    assert (
        request_image(cloud_url, f"Bearer {token(VALID_CLAIMS, private=other)}").status_code == 401
    )
    pem = json.loads(_key_of_another_process())["private_key"]
    mixed = json.dumps({**sandbox_key(), "private_key": pem})
    with pytest.raises(CredentialsRejected):
        Gce().check(gce_credentials(cloud_url, service_account_key=mixed))


def test_a_key_of_an_earlier_process_is_accepted(cloud_url: str) -> None:
    stored = _key_of_another_process()
    assert stored != gce_keys.key_file()
    credentials = gce_credentials(cloud_url, service_account_key=stored)
    assert Gce().check(credentials).account == gce_images.OWN_PROJECT
    locator = Locator("", gce_images.ACME_IMAGE.image_id)
    assert Gce().describe(credentials, locator).name == gce_images.ACME_IMAGE.name


def _key_of_another_process() -> str:
    code = "from sandbox import gce_keys; print(gce_keys.key_file())"
    return run_python(code)


def test_lists_come_in_pages(cloud_url: str) -> None:
    own = [each.name for each in gce_images.CATALOG if each.project == gce_images.OWN_PROJECT]
    names: list[str] = []
    page = "?maxResults=3"
    while page:
        path = f"{gce_images.OWN_PROJECT}/global/images{page}"
        answer = request_image(cloud_url, f"Bearer {token(VALID_CLAIMS)}", path).json()
        names += [each["name"] for each in answer["items"]]
        following = answer.get("nextPageToken")
        page = f"?maxResults=3&pageToken={following}" if following else ""
    assert names == sorted(own)


def test_names_never_change() -> None:
    assert gce_images.NOBLE.image_id == (
        "ubuntu-os-cloud/global/images/ubuntu-2404-noble-amd64-v20261118"
    )
    ids = [known.image_id for known in gce_images.CATALOG]
    assert len(set(ids)) == len(ids) == len({known.number for known in gce_images.CATALOG})
    for known in gce_images.CATALOG:
        assert parse(known.image_id).value == known.image_id
        assert re.fullmatch("[0-9]{19}", known.number)
