"""Scopes, clouds, members, tokens, views and the audit log with the API."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

import models
from models import Invitation, Membership, SavedView, Scope
from tests.api.client import ApiClient, ClientFor
from tests.conftest import ActorOf, MakeImage, ScopeAt
from tests.factors.helpers import add_authenticator
from webapp.clouds import CLOUDS
from webapp.credentials.vault import Vault

ACME = "/account/acme"


def later(days: float = 0.5) -> str:
    return (models.now() + timedelta(days=days)).isoformat()


def test_a_token_sees_its_scope_and_the_scopes_below(api_of: ClientFor) -> None:
    found: Any = api_of("account-editor").get("/scopes").json
    assert [(each["path"], each["role"]) for each in found["items"]] == [
        ("acme", "editor"),
        ("acme/production", "editor"),
        ("acme/staging", "editor"),
    ]
    assert found["total"] == 3
    assert found["items"][1]["label"] == "Environment acme / production"
    assert found["items"][1]["url"].endswith("/api/v1/environment/acme/production")
    assert len(api_of("scalr-viewer").get("/scopes").json["items"]) == 6  # type: ignore[index]
    only: Any = api_of("environment-viewer").get("/scopes?q=prod").json
    assert [each["path"] for each in only["items"]] == ["acme/production"]


def test_environments_are_created_renamed_and_deleted(api_of: ClientFor) -> None:
    api = api_of("account-admin")
    created = api.post(f"{ACME}/environments", {"name": "New One"})
    assert created.status_code == 201
    assert created.headers["Location"].endswith("/environment/acme/new-one")
    again = api.post(f"{ACME}/environments", {"name": "New One"})
    assert again.status_code == 422
    assert again.json["errors"][0]["field"] == "name"  # type: ignore[index]
    stale = api.patch(f"{ACME}/environments/new-one", {"name": "x1"}, headers={"If-Match": '"9"'})
    assert stale.status_code == 412
    renamed: Any = api.patch(f"{ACME}/environments/new-one", {"name": "Renamed"}).json
    assert (renamed["name"], renamed["path"]) == ("Renamed", "acme/new-one")
    wrong = api.post(f"{ACME}/environments/new-one/delete", {"name": "New One"})
    assert wrong.status_code == 422
    assert api.post(f"{ACME}/environments/new-one/delete", {"name": "Renamed"}).status_code == 202
    assert Scope.at("acme/new-one") is None
    assert api.patch(f"{ACME}/environments/nothing", {"name": "x1"}).status_code == 404
    listed: Any = api.get(f"{ACME}/environments").json
    assert [each["name"] for each in listed["items"]] == ["production", "staging"]


def test_accounts_are_created_at_scalr(api_of: ClientFor) -> None:
    api = api_of("scalr-admin")
    assert api.post("/scalr/accounts", {"name": "initech"}).status_code == 201
    listed: Any = api.get("/scalr/accounts?q=ini").json
    assert [each["path"] for each in listed["items"]] == ["initech"]
    assert api.post("/scalr/environments", {"name": "x1"}).status_code == 404


def test_the_clouds_are_listed_with_the_values_of_their_credentials(api_of: ClientFor) -> None:
    found: Any = api_of("account-viewer").get("/clouds").json
    assert [each["key"] for each in found["items"]] == list(CLOUDS)
    for each in found["items"]:
        assert any(field["secret"] for field in each["credential_fields"])


def test_members_are_changed_and_removed(api_of: ClientFor) -> None:
    api = api_of("account-admin")
    listed: Any = api.get(f"{ACME}/members?q=account-viewer").json
    (member,) = listed["items"]
    assert (member["role"], member["scope"]["path"]) == ("viewer", "acme")
    url = f"{ACME}/members/{member['id']}"
    assert api.put(url, {"role": "editor"}).json["role"] == "editor"  # type: ignore[index]
    assert api.put(url, {"role": "owner"}).status_code == 422
    assert api.post(f"{url}/sign-out").status_code == 204
    assert api.delete(url).status_code == 204
    assert api.delete(url).status_code == 404
    of_scalr = Membership.select().join(Scope).where(Scope.path == "").first()
    assert api.delete(f"{ACME}/members/{of_scalr.id}").status_code == 404


def test_members_without_a_required_second_factor_are_marked(
    api_of: ClientFor, actor_of: ActorOf, vault: Vault
) -> None:
    api = api_of("account-admin")
    with models.open_connection():
        for who in ("account-admin", "account-editor"):
            add_authenticator(actor_of(who).person, vault)

    def marked() -> set[str]:
        listed: Any = api.get(f"{ACME}/members").json
        return {each["name"] for each in listed["items"] if each["lacks_second_factor"]}

    assert not marked(), "the scope requires no second factor"
    assert api.put(f"{ACME}/second-factor", {"required": True}).status_code == 200
    assert marked() == {"account-viewer"}, "roles at Scalr still count"
    listed: Any = api.get(f"{ACME}/members?q=account-viewer").json
    changed: Any = api.put(f"{ACME}/members/{listed['items'][0]['id']}", {"role": "editor"}).json
    assert (changed["role"], changed["lacks_second_factor"]) == ("editor", True)


def test_invitations_are_created_and_withdrawn(api_of: ClientFor) -> None:
    api = api_of("account-admin")
    wrong = api.post(f"{ACME}/invitations", {"email": "nobody", "role": "viewer"})
    assert wrong.status_code == 422
    assert wrong.json["errors"][0]["field"] == "email"  # type: ignore[index]
    created = api.post(f"{ACME}/invitations", {"email": "New@Example.com", "role": "viewer"})
    assert created.status_code == 201
    assert created.json["link"].startswith("http://localhost/invitation/")  # type: ignore[index]
    listed: Any = api.get(f"{ACME}/invitations").json
    (invitation,) = listed["items"]
    assert invitation["email"] == "new@example.com"
    assert "token" not in str(invitation)
    url = f"{ACME}/invitations/{invitation['id']}"
    assert api.delete(url).status_code == 204
    assert api.delete(url).status_code == 404
    assert not Invitation.select().exists()


def test_a_token_creates_only_weaker_tokens(api_of: ClientFor) -> None:
    api = api_of("account-admin", is_personal=False)
    body = {"name": "ci", "role": "editor", "expires_at": later()}
    created = api.post(f"{ACME}/tokens", body)
    assert created.status_code == 201
    new: Any = created.json
    assert new["text"].startswith(f"imr_{new['key']}_")
    made = ApiClient(api.client, new["text"])
    assert made.get(f"{ACME}/images").status_code == 200
    assert made.get(f"{ACME}/tokens").status_code == 403
    current: Any = made.get("/tokens/current").json
    assert (current["name"], current["role"], current["is_personal"]) == ("ci", "editor", False)
    assert "text" not in current
    listed: Any = api.get(f"{ACME}/tokens").json
    assert "ci" in [each["name"] for each in listed["items"]]
    assert new["text"] not in str(listed)
    too_long = api.post(f"{ACME}/tokens", {**body, "name": "ci2", "expires_at": later(30)})
    assert too_long.status_code == 422
    assert too_long.json["errors"][0]["field"] == "expires_at"  # type: ignore[index]
    url = f"{ACME}/tokens/{new['id']}"
    rotated: Any = api.post(f"{url}/rotate", {"expires_at": later()}).json
    assert rotated["key"] == new["key"]
    assert made.get(f"{ACME}/images").status_code == 401
    assert ApiClient(api.client, rotated["text"]).get(f"{ACME}/images").status_code == 200
    assert api.delete(url).status_code == 204
    assert ApiClient(api.client, rotated["text"]).get(f"{ACME}/images").status_code == 401
    assert api.get(url).status_code == 404


def test_a_token_revokes_itself(api_of: ClientFor) -> None:
    api = api_of("account-viewer")
    rotated: Any = api.post("/tokens/current/rotate", {"expires_at": later()}).json
    assert api.get("/tokens/current").status_code == 401
    api = ApiClient(api.client, rotated["text"])
    assert api.delete("/tokens/current").status_code == 204
    assert api.get("/tokens/current").status_code == 401


def test_a_repeated_request_shows_the_text_of_its_token_again(api_of: ClientFor) -> None:
    api = api_of("account-admin")
    body = {"name": "once", "role": "viewer", "expires_at": later()}
    first, again = (
        api.post(f"{ACME}/tokens", body, headers={"Idempotency-Key": "k1"}) for _ in range(2)
    )
    assert first.json == again.json
    assert first.json["text"] not in str(models.RepeatableRequest.get().__data__)  # type: ignore[index]


def test_views(api_of: ClientFor, make_image: MakeImage) -> None:
    make_image("acme", name="wanted")
    api = api_of("account-editor")
    body = {"name": "Wanted", "q": "wanted os:ubuntu", "sort": "name", "shared": True}
    created = api.post(f"{ACME}/views", body)
    assert created.status_code == 201
    view: Any = created.json
    assert {**body, "name": "Wanted"}.items() <= view.items()
    assert api.post(f"{ACME}/views", body).status_code == 422
    viewer = api_of("account-viewer")
    listed: Any = viewer.get(f"{ACME}/views").json
    assert [(each["name"], each["is_own"]) for each in listed["items"]] == [("Wanted", False)]
    found: Any = viewer.get(f"{ACME}/images?view={view['id']}").json
    assert [each["name"] for each in found["items"]] == ["wanted"]
    url = f"{ACME}/views/{view['id']}"
    assert viewer.patch(url, {"name": "Mine"}).status_code == 403
    assert viewer.delete(url).status_code == 403
    edited: Any = api.patch(url, {"name": "Other", "shared": False}).json
    assert (edited["name"], edited["shared"]) == ("Other", False)
    assert viewer.delete(url).status_code == 404
    assert api.delete(url, headers={"If-Match": '"1"'}).status_code == 412
    assert api.delete(url).status_code == 204
    assert not SavedView.select().exists()


def test_the_audit_log_names_the_token(api_of: ClientFor, make_image: MakeImage) -> None:
    image = make_image("acme")
    editor = api_of("account-editor", is_personal=False)
    editor.post(f"{ACME}/images/{image.id}/tags", {"add": ["new"]})
    api = api_of("account-admin")
    log: Any = api.get(f"{ACME}/audit?q=did:edit&limit=1").json
    (entry,) = log["items"]
    assert entry["action"] == "image.edit"
    assert entry["token"].startswith("account-editor ")
    assert entry["changes"] == [{"field": "tags", "before": [], "after": ["new"]}]
    single: Any = api.get(f"{ACME}/audit/{entry['id']}").json
    assert single == entry
    today: Any = api.get(f"{ACME}/audit?q=did:edit+at:{models.today()}").json
    assert today["items"] == [entry]
    assert api.get(f"{ACME}/audit?q=dit:edit").status_code == 400
    assert api.get(f"{ACME}/audit/99999").status_code == 404


def test_the_overview_has_the_numbers_of_the_page(
    api_of: ClientFor, make_image: MakeImage, actor_of: ActorOf, scope: ScopeAt
) -> None:
    make_image("acme", 1)
    make_image("", 2)
    found: Any = api_of("account-viewer").get(f"{ACME}/overview").json
    assert found["total"] == 2
    bars = [bar for chart in found["charts"] for bar in chart["bars"]]
    assert {"cloud:aws", "os:ubuntu"} <= {bar["q"] for bar in bars}


@pytest.mark.parametrize("path", ["/scalr/tokens", "/account/globex/tokens"])
def test_the_tokens_of_other_scopes_do_not_exist(api_of: ClientFor, path: str) -> None:
    assert api_of("account-admin").get(path).status_code == 404
