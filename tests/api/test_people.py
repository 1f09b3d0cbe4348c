"""People at Scalr with the API."""

from __future__ import annotations

from typing import Any

from models import ApiToken, Person
from tests.api.client import ClientFor
from tests.conftest import ActorOf

PEOPLE = "/scalr/people"


def test_an_admin_of_scalr_disables_enables_and_removes_a_person(
    api_of: ClientFor, actor_of: ActorOf
) -> None:
    api, person = api_of("scalr-admin"), actor_of("account-editor").person
    of_person = api_of("account-editor")
    found: Any = api.get(f"{PEOPLE}?q=account-editor").json
    assert found["total"] == 1
    assert found["items"][0]["email"] == person.email
    assert found["items"][0]["roles"] == [
        {"role": "editor", "scope": {"level": "account", "path": "acme"}}
    ]
    url = f"{PEOPLE}/{person.id}"
    disabled: Any = api.post(f"{url}/disable")
    assert disabled.json["is_disabled"]
    assert of_person.get("/tokens/current").status_code == 401
    assert not ApiToken.select().where(ApiToken.person == person).exists()
    again = api.post(f"{url}/disable")
    assert again.status_code == 422
    assert "has already been disabled" in again.text
    assert not api.post(f"{url}/enable").json["is_disabled"]  # type: ignore[index]
    assert api.get(url).json["role_count"] == 1  # type: ignore[index]
    assert api.delete(url).status_code == 204
    assert api.get(url).status_code == 404
    assert Person.get_by_id(person.id).removed_at is not None


def test_nobody_removes_themselves_or_a_service_person(
    api_of: ClientFor, actor_of: ActorOf
) -> None:
    api, own = api_of("scalr-admin"), actor_of("scalr-admin").person
    answer = api.delete(f"{PEOPLE}/{own.id}")
    assert answer.status_code == 422
    api_of("account-admin", is_personal=False)
    service = Person.get(Person.is_service)
    assert api.post(f"{PEOPLE}/{service.id}/enable").status_code == 404
    assert api.get("/account/acme/people").status_code == 404
