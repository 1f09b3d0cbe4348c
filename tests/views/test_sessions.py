"""The page Sessions."""

from __future__ import annotations

from datetime import timedelta

from flask.testing import FlaskClient

import models
from models import SignInSession
from tests.conftest import ClientOf, Clock
from tests.views.pages import visible_text

IMAGES = "/account/acme/images"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


def is_signed_in(client: FlaskClient) -> bool:
    return client.get("/sessions").status_code == 200


def describe(client: FlaskClient, browser: str, address: str) -> int:
    """Store where the newest session was started, and return its ID."""
    with models.open_connection():
        row = SignInSession.select().order_by(SignInSession.id.desc()).get()
        row.browser, row.address = browser, address
        row.save()
        return int(row.id)


def test_the_only_session_can_sign_out(client_of: ClientOf) -> None:
    client = client_of("account-viewer")
    describe(client, "Firefox on Linux", "192.0.2.7")
    page = client.get("/sessions")
    text = visible_text(page)
    assert "Firefox on Linux This browser 192.0.2.7" in text
    assert "You’re signed in only in this browser." in text
    assert "Sign out everywhere else" not in text
    assert 'action="/sign-out"' in page.text


def test_other_sessions_are_listed_and_ended(client_of: ClientOf, clock: Clock) -> None:
    here = client_of("account-viewer")
    describe(here, "Firefox on Linux", "192.0.2.7")
    clock.go_to(clock.now + timedelta(hours=1))
    phone = client_of("account-viewer")
    phone_id = describe(phone, "Chrome on iPhone", "2001:db8::1")
    desk = client_of("account-viewer")
    describe(desk, "Edge on Windows", "")
    strangers = client_of("account-editor")
    describe(strangers, "Opera on Android", "")
    page = here.get("/sessions")
    text = visible_text(page)
    assert text.index("Firefox on Linux") < text.index("Edge on Windows Unknown")
    assert text.index("Edge on Windows Unknown") < text.index("Chrome on iPhone 2001:db8::1")
    assert "Opera" not in text
    assert f'datetime="{clock.now.isoformat()}"' in page.text
    assert page.text.count("This browser") == 1
    ended = here.post(f"/sessions/{phone_id}/end", follow_redirects=True)
    assert "Signed out of Chrome on iPhone." in visible_text(ended)
    assert [is_signed_in(each) for each in (here, phone, desk, strangers)] == [
        True, False, True, True,
    ]  # fmt: skip
    again = here.post(f"/sessions/{phone_id}/end", follow_redirects=True)
    assert "This session has already ended." in visible_text(again)


def test_all_other_sessions_are_ended_at_once(client_of: ClientOf) -> None:
    here, *others = (client_of("account-viewer") for _ in range(3))
    stranger = client_of("account-editor")
    page = here.post("/sessions/end-others", follow_redirects=True)
    assert "You’re signed out everywhere else." in visible_text(page)
    assert "You’re signed in only in this browser." in visible_text(page)
    assert [is_signed_in(each) for each in (here, *others, stranger)] == [True, False, False, True]


def test_nobody_ends_the_session_of_another_person(client_of: ClientOf) -> None:
    victim = client_of("account-viewer")
    session_id = describe(victim, "Firefox on Linux", "")
    attacker = client_of("scalr-admin")
    answer = attacker.post(f"/sessions/{session_id}/end", follow_redirects=True)
    assert "This session has already ended." in visible_text(answer)
    attacker.post("/sessions/end-others")
    assert is_signed_in(victim)


def test_expired_sessions_are_not_listed(client_of: ClientOf, clock: Clock) -> None:
    old = client_of("account-viewer")
    describe(old, "Opera on Android", "")
    clock.go_to(clock.now + timedelta(hours=13))
    text = visible_text(client_of("account-viewer").get("/sessions"))
    assert "Opera" not in text
    assert "You’re signed in only in this browser." in text


def test_signing_in_stores_the_browser(client_of: ClientOf) -> None:
    client = client_of("nobody")
    form = {"email": "account-viewer@example.com", "password": "correct horse battery"}
    headers = {"Origin": "http://localhost", "User-Agent": FIREFOX}
    client.post("/sign-in", data=form, headers=headers)
    assert "Firefox on Linux This browser 127.0.0.1" in visible_text(client.get("/sessions"))
