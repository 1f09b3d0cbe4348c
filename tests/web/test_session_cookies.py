"""Session cookies of servers whose clocks differ."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from itsdangerous import TimestampSigner

from tests.cast import PASSWORD
from tests.conftest import ClientOf

MINUTES, DAYS = timedelta(minutes=1), timedelta(days=1)


def sign_with_clock(monkeypatch: pytest.MonkeyPatch, ahead: timedelta) -> None:
    """Sign cookies with a clock that is this far ahead. They are read with the real clock."""
    moment = int(time.time() + ahead.total_seconds())
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda _self: moment)


@pytest.mark.parametrize("ahead", [5 * MINUTES, -5 * MINUTES, -30 * DAYS])
def test_a_person_who_signed_in_at_one_server_is_signed_in_at_another_with_another_clock(
    client_of: ClientOf, monkeypatch: pytest.MonkeyPatch, ahead: timedelta
) -> None:
    client = client_of("nobody")
    with monkeypatch.context() as other_server:
        sign_with_clock(other_server, ahead)
        form = {"email": "account-editor@example.com", "password": PASSWORD}
        headers = {"Origin": "http://localhost"}
        assert client.post("/sign-in", data=form, headers=headers).status_code == 303
    assert client.get("/account/acme/images").status_code == 200


@pytest.mark.parametrize("ahead", [-32 * DAYS, 2 * DAYS])
def test_a_cookie_that_is_too_old_or_far_in_the_future_is_refused(
    client_of: ClientOf, monkeypatch: pytest.MonkeyPatch, ahead: timedelta
) -> None:
    """An ended session is forgotten after a while, so its cookie must not be valid for longer."""
    client = client_of("account-editor")
    with monkeypatch.context() as other_server:
        sign_with_clock(other_server, ahead)
        with client.session_transaction() as session:
            session["day"] = 0
    assert client.get("/account/acme/images").status_code == 303


def test_a_changed_cookie_is_refused(client_of: ClientOf) -> None:
    client = client_of("account-editor")
    cookie = client.get_cookie("session")
    assert cookie is not None
    client.set_cookie("session", f"x{cookie.value}")
    assert client.get("/account/acme/images").status_code == 303
