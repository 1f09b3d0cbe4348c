"""Rotating tokens with the API, also if the client does not receive the answer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

import models
from models import ApiToken
from tests.api.client import ApiClient, ClientFor
from tests.conftest import Clock

ROTATE = "/tokens/current/rotate"
KEY = {"Idempotency-Key": "rotation-1"}


def body(hours: float = 1) -> dict[str, str]:
    return {"expires_at": (models.now() + timedelta(hours=hours)).isoformat()}


@pytest.mark.parametrize("is_personal", [True, False])
def test_a_repeated_rotation_gets_the_new_text_with_the_old_one(
    api_of: ClientFor, is_personal: bool
) -> None:
    api, sent = api_of("account-admin", is_personal=is_personal), body()
    first: Any = api.post(ROTATE, sent, headers=KEY)
    again: Any = api.post(ROTATE, sent, headers=KEY)
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.json == first.json
    assert again.headers["Idempotency-Replayed"] == "true"
    new = ApiClient(api.client, first.json["text"])
    assert new.get("/tokens/current").status_code == 200


def test_the_old_text_gets_nothing_but_the_stored_answer(api_of: ClientFor) -> None:
    api, sent = api_of("account-admin"), body()
    api.post(ROTATE, sent, headers=KEY)
    before = ApiToken.get().mac
    assert api.get("/tokens/current").status_code == 401
    assert api.post(ROTATE, sent).status_code == 401
    assert api.post(ROTATE, sent, headers={"Idempotency-Key": "another"}).status_code == 401
    assert api.post(ROTATE, body(0.5), headers=KEY).status_code == 422
    views = "/account/acme/views"
    assert api.post(views, {"name": "new"}, headers={"Idempotency-Key": "view"}).status_code == 401
    assert ApiToken.get().mac == before
    wrong = ApiClient(api.client, "imr_" + "0" * 51)
    assert wrong.post(ROTATE, sent, headers=KEY).status_code == 401


def test_the_old_text_ends_after_five_minutes(api_of: ClientFor, clock: Clock) -> None:
    api, sent = api_of("account-admin"), body()
    api.post(ROTATE, sent, headers=KEY)
    clock.go_to(clock.now + timedelta(minutes=4))
    assert api.post(ROTATE, sent, headers=KEY).status_code == 200
    clock.go_to(clock.now + timedelta(minutes=2))
    assert api.post(ROTATE, sent, headers=KEY).status_code == 401


def test_the_errors_of_a_rotation_say_what_to_choose(api_of: ClientFor) -> None:
    answer = api_of("account-admin").post(ROTATE, body(24 * 30))
    assert answer.status_code == 422
    assert answer.json is not None
    assert answer.json["detail"].startswith("Choose a time no later than ")
    assert "create" not in answer.json["detail"]
