"""The personal tokens of a person, which the API lists and revokes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import models
from models import ApiToken
from tests.api.client import ApiClient, ClientFor
from tests.tokens.helpers import entries_with


def id_of(api: ApiClient) -> int:
    found: Any = api.get("/tokens/current").json
    return int(found["id"])


def test_a_person_lists_and_revokes_their_tokens(api_of: ClientFor) -> None:
    api, lost = api_of("account-admin"), api_of("account-admin")
    stranger = api_of("stranger")
    of_scope = api_of("account-admin", is_personal=False)
    listed: Any = api.get("/tokens").json
    assert {each["id"] for each in listed["items"]} == {id_of(api), id_of(lost)}
    assert all(each["is_personal"] and "text" not in each for each in listed["items"])
    path = f"/tokens/{id_of(lost)}"
    for other in (stranger, of_scope):
        assert other.get(path).status_code == 404
        assert other.delete(path).status_code == 404
    assert of_scope.get("/tokens").json == {"items": []}
    assert of_scope.get("/tokens/current").status_code == 200
    found: Any = api.get(path).json
    assert found in listed["items"]
    assert api.delete(path).status_code == 204
    assert lost.get("/scopes").status_code == 401
    assert api.get(path).status_code == 404
    assert entries_with("token.revoke")[-1].subject == found["name"]


def test_a_token_neither_creates_nor_rotates_another_personal_token(api_of: ClientFor) -> None:
    """A stolen token must end for good as soon as it is revoked."""
    api, other = api_of("account-admin"), api_of("account-admin")
    later = (models.now() + timedelta(hours=1)).isoformat()
    before = ApiToken.select(ApiToken.id, ApiToken.mac).order_by(ApiToken.id).tuples()[:]
    body = {"name": "mine", "role": "viewer", "expires_at": later}
    assert api.post("/tokens", body).status_code == 405
    assert api.post(f"/tokens/{id_of(other)}/rotate", {"expires_at": later}).status_code == 404
    path = f"/account/acme/tokens/{id_of(other)}"
    assert api.post(f"{path}/rotate", {"expires_at": later}).status_code == 404
    assert api.delete(path).status_code == 404
    after = ApiToken.select(ApiToken.id, ApiToken.mac).order_by(ApiToken.id).tuples()[:]
    assert after == before
