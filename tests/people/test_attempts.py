"""Attempts to sign in are slowed down, and nobody is locked out."""

from __future__ import annotations

import math
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask

from tests.cast import PASSWORD
from tests.conftest import ClientOf
from tests.postgresql import free_port
from tests.views.pages import visible_text
from webapp.people import accounts, attempts, sessions
from webapp.people.accounts import HashingBusy
from webapp.people.attempts import Attempts, TooManyAttempts
from webapp.people.sessions import SignInRefused

EMAIL = "account-editor@example.com"
CLIENT = "10.0.0.1"
SITE = {"Origin": "http://localhost"}


class Monotonic:
    """The clock of the process, which a test moves."""

    def __init__(self) -> None:
        self.seconds = 1_000_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def monotonic(monkeypatch: pytest.MonkeyPatch) -> Monotonic:
    clock = Monotonic()
    monkeypatch.setattr(attempts, "monotonic", clock)
    return clock


def delay(counted: Attempts, email: str, address: str, device_id: str = "") -> int:
    """Make an attempt. Return 0 if it is allowed, or the seconds until it is allowed."""
    try:
        counted.begin(email, address, device_id)
    except TooManyAttempts as error:
        return error.retry_after
    return 0


def test_the_delay_doubles_with_each_attempt_up_to_a_quarter_of_an_hour(
    monotonic: Monotonic,
) -> None:
    counted, delays = Attempts(""), []
    for _ in range(5):
        assert delay(counted, EMAIL, CLIENT) == 0
    for _ in range(20):
        delays.append(delay(counted, EMAIL, CLIENT))
        monotonic.seconds += delays[-1]
        assert delay(counted, EMAIL, CLIENT) == 0
    assert delays[:8] == [1, 2, 4, 8, 16, 32, 64, 128]
    assert delays == sorted(delays)
    assert delays[-1] == 900


def test_mistakes_of_many_people_behind_one_address_do_not_add_up(monotonic: Monotonic) -> None:
    counted = Attempts("")
    for number in range(500):
        assert delay(counted, f"n{number}@example.com", CLIENT) == 0
        monotonic.seconds += 30


def test_refused_attempts_do_not_make_the_delay_longer(monotonic: Monotonic) -> None:
    counted = Attempts("")
    for _ in range(5):
        assert delay(counted, EMAIL, CLIENT) == 0
    assert [delay(counted, EMAIL, CLIENT) for _ in range(50)] == [1] * 50
    monotonic.seconds += 1
    assert delay(counted, EMAIL, CLIENT) == 0


def test_a_stranger_does_not_lock_a_person_out(monotonic: Monotonic) -> None:
    counted = Attempts("")
    for _ in range(200):
        delay(counted, EMAIL, "192.0.2.66")
        monotonic.seconds += 10
    assert delay(counted, EMAIL, "192.0.2.66") or delay(counted, EMAIL, "192.0.2.66")
    assert delay(counted, EMAIL, CLIENT) == 0


def test_strangers_with_many_addresses_delay_others_by_at_most_a_minute(
    monotonic: Monotonic,
) -> None:
    counted = Attempts("")
    passed = 0
    for number in range(1000):
        passed += not delay(counted, EMAIL, f"192.0.{number // 250}.{number % 250}")
    assert passed == 50
    for number in range(20):
        monotonic.seconds += 60
        assert not delay(counted, EMAIL, f"198.51.100.{number}")
    assert delay(counted, EMAIL, CLIENT) == 60
    assert delay(counted, "other@example.com", CLIENT) == 0
    assert delay(counted, EMAIL, CLIENT, "device") == 0


def test_a_device_has_a_count_of_its_own_for_each_person(monotonic: Monotonic) -> None:
    counted = Attempts("")
    assert [delay(counted, EMAIL, CLIENT, "stolen") for _ in range(11)] == [0] * 10 + [1]
    assert delay(counted, EMAIL, CLIENT, "mine") == 0
    assert delay(counted, EMAIL, CLIENT) == 0


def test_a_client_that_tries_many_people_is_slowed_down(monotonic: Monotonic) -> None:
    counted = Attempts("")
    results = [delay(counted, f"n{number}@example.com", CLIENT) for number in range(31)]
    assert results == [0] * 30 + [1]


def test_an_ipv6_network_is_one_client(monotonic: Monotonic) -> None:
    counted = Attempts("")
    results = [delay(counted, EMAIL, f"2001:db8::{number}") for number in range(1, 7)]
    assert results == [0] * 5 + [1]
    assert delay(counted, EMAIL, "2001:db8:0:1::1") == 0


def test_the_count_falls_with_time(monotonic: Monotonic) -> None:
    counted = Attempts("")
    for _ in range(5):
        delay(counted, EMAIL, CLIENT)
    monotonic.seconds += 2 * 900
    assert [delay(counted, EMAIL, CLIENT) for _ in range(3)] == [0, 0, 1]
    monotonic.seconds += 6 * 900
    assert [delay(counted, EMAIL, CLIENT) for _ in range(6)] == [0] * 5 + [1]


def test_the_memory_for_counts_is_limited(
    monotonic: Monotonic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "MAX_COUNTS", 10)
    counted = Attempts("")
    for number in range(100):
        delay(counted, f"{number}@example.com", f"192.0.2.{number}")
    assert len(counted._in_process._counts) == 10


def test_a_sign_in_forgets_the_attempts_of_the_person_at_the_client(
    db: Flask, monotonic: Monotonic
) -> None:
    counted = Attempts("")
    for _ in range(3):
        for _ in range(4):
            with pytest.raises(SignInRefused):
                sessions.sign_in(EMAIL, "wrong", CLIENT, counted)
        assert sessions.sign_in(EMAIL, PASSWORD, CLIENT, counted).email == EMAIL
    counts = counted._in_process._counts.items()
    assert {key.split(":")[0]: math.ceil(count.number) for key, count in counts} == {
        "client": 12,
        "person": 12,
    }


@pytest.mark.usefixtures("monotonic")
def test_simultaneous_attempts_are_counted_before_the_password_is_checked(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty attempts arrive at once. Only the five attempts without a delay are checked.

    The clock stands still, because on a busy machine the first delay, a second, could end before
    all attempts have arrived.
    """
    counted, checked, may_end = Attempts(""), [], threading.Event()

    def check(_person: object, password: str) -> bool:
        checked.append(password)
        return not may_end.wait(20)

    monkeypatch.setattr(accounts, "verify_password", check)

    def attempt(number: int) -> str:
        with app.app_context():
            try:
                sessions.sign_in(EMAIL, f"guess {number}", CLIENT, counted)
            except (SignInRefused, TooManyAttempts) as error:
                if isinstance(error, TooManyAttempts):
                    refused.release()
                return type(error).__name__
        return "signed in"

    refused = threading.Semaphore(0)
    with ThreadPoolExecutor(20) as pool:
        results = [pool.submit(attempt, number) for number in range(20)]
        for _ in range(15):
            assert refused.acquire(timeout=20)
        may_end.set()
        outcomes = [result.result(20) for result in results]
    assert len(checked) == 5
    assert outcomes.count("SignInRefused") == 5
    assert outcomes.count("TooManyAttempts") == 15


@pytest.fixture
def busy_hashing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Use up all turns to hash a password, as four other requests would."""
    monkeypatch.setattr(accounts, "HASHING_WAIT_SECONDS", 0.05)
    turns = threading.BoundedSemaphore(accounts.HASHES_AT_ONCE)
    monkeypatch.setattr(accounts, "_hashing_slots", turns)
    for _ in range(accounts.HASHES_AT_ONCE):
        assert turns.acquire(blocking=False)
    yield
    turns.release()


def test_a_process_hashes_only_a_few_passwords_at_once(
    db: Flask, busy_hashing: None, client_of: ClientOf
) -> None:
    counted = Attempts("")
    for _ in range(20):
        with pytest.raises(HashingBusy):
            sessions.sign_in(EMAIL, PASSWORD, CLIENT, counted)
    accounts._hashing_slots.release()
    assert sessions.sign_in(EMAIL, PASSWORD, CLIENT, counted)
    assert accounts._hashing_slots.acquire(blocking=False)


def test_a_busy_registry_says_when_to_try_again(busy_hashing: None, client_of: ClientOf) -> None:
    form = {"email": EMAIL, "password": PASSWORD}
    page = client_of("nobody").post("/sign-in", data=form, headers=SITE)
    assert (page.status_code, page.headers["Retry-After"]) == (503, "5")
    assert "Try again in a few seconds." in visible_text(page)
    assert f'value="{EMAIL}"' in page.text
    form = {"current_password": PASSWORD, "password": "a whole new password"}
    page = client_of("account-editor").post("/password", data=form)
    assert (page.status_code, page.headers["Retry-After"]) == (503, "5")
    assert "Try again in a few seconds." in visible_text(page)


def test_the_browser_of_the_person_is_not_delayed_by_strangers(
    client_of: ClientOf, monotonic: Monotonic
) -> None:
    mine, new, stranger = client_of("nobody"), client_of("nobody"), client_of("nobody")
    form = {"email": EMAIL, "password": PASSWORD}
    assert mine.post("/sign-in", data=form, headers=SITE).status_code == 303
    mine.post("/sign-out")
    wrong = {**form, "password": "wrong"}
    statuses = [stranger.post("/sign-in", data=wrong, headers=SITE).status_code for _ in range(5)]
    assert statuses == [422] * 5
    page = new.post("/sign-in", data=form, headers=SITE)  # The same address as the stranger's.
    assert page.status_code == 429
    assert page.headers["Retry-After"] == "1"
    assert "Too many attempts with a wrong password. Try again in one second." in visible_text(page)
    cookie = mine.get_cookie("device")
    assert cookie is not None
    stranger.set_cookie("device", f"{cookie.value[:-1]}{'A' if cookie.value[-1] != 'A' else 'B'}")
    assert mine.post("/sign-in", data=form, headers=SITE).status_code == 303


def test_a_device_of_another_person_is_not_trusted(
    client_of: ClientOf, monotonic: Monotonic
) -> None:
    client = client_of("nobody")
    own = {"email": "account-viewer@example.com", "password": PASSWORD}
    client.post("/sign-in", data=own, headers=SITE)
    client.post("/sign-out")
    wrong = {"email": EMAIL, "password": "wrong"}
    statuses = [client.post("/sign-in", data=wrong, headers=SITE).status_code for _ in range(6)]
    assert statuses == [422] * 5 + [429]


@pytest.mark.parametrize("value", ["", "x", "W10.x.y", "a" * 4000])
def test_a_hostile_device_cookie_is_ignored(client_of: ClientOf, value: str) -> None:
    client = client_of("nobody")
    client.set_cookie("device", value)
    form = {"email": EMAIL, "password": PASSWORD}
    assert client.post("/sign-in", data=form, headers=SITE).status_code == 303


@pytest.mark.parametrize("url", ["redis://127.0.0.1:{}/0", "redis+cluster://127.0.0.1:{}"])
def test_attempts_are_counted_in_the_process_while_redis_is_down(
    caplog: pytest.LogCaptureFixture, url: str
) -> None:
    counted = Attempts(url.format(free_port()))
    assert [delay(counted, EMAIL, CLIENT) for _ in range(6)] == [0] * 5 + [1]
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_redis_that_hangs_delays_only_the_first_sign_in(
    db: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as never_answers:
        counted = Attempts(f"redis://127.0.0.1:{never_answers.getsockname()[1]}/0")
        for _ in range(3):
            assert sessions.sign_in(EMAIL, PASSWORD, CLIENT, counted)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
