"""When a session was last used is saved in the background, at most every five minutes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from flask import Flask

import models
from models import SignInSession
from tests.conftest import ClientOf, Clock
from tests.views.test_statement_counts import recorded_statements
from webapp.jobs import ticker
from webapp.jobs.ticker import Ticker
from webapp.people import last_seen
from webapp.people.last_seen import LastSeen
from webapp.web.services import Services

IMAGES = "/account/acme/images"


def seen() -> datetime:
    moment: datetime = SignInSession.get().seen_at
    return moment


def last_seen_of(app: Flask) -> LastSeen:
    services: Services = app.extensions["services"]
    return services.last_seen


def test_a_page_writes_nothing(db: Flask, client_of: ClientOf, clock: Clock) -> None:
    client, begin = client_of("account-viewer"), clock.now
    clock.go_to(begin + timedelta(minutes=5))
    with recorded_statements() as statements:
        assert client.get(IMAGES).status_code == 200
    assert not [each for each in statements if not each.startswith(("SELECT", "WITH"))]
    with models.open_connection():
        assert seen() == begin
        last_seen_of(db).save()
        assert seen() == clock.now


def test_the_ticker_saves_the_time_in_every_process(
    db: Flask, client_of: ClientOf, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of("account-viewer")
    clock.go_to(clock.now + timedelta(minutes=5))
    client.get(IMAGES)
    monkeypatch.setattr(ticker, "PERIODIC_WORK", {})
    monkeypatch.setattr(ticker, "WORK_OF_EACH_PROCESS", {"last seen": last_seen_of(db).save})
    with models.open_connection():
        Ticker().tick()
        assert seen() == clock.now


def test_the_time_is_saved_at_most_every_five_minutes(
    db: Flask, client_of: ClientOf, clock: Clock
) -> None:
    client, begin = client_of("account-viewer"), clock.now
    for seconds in (1, 150, 299):
        clock.go_to(begin + timedelta(seconds=seconds))
        client.get(IMAGES)
    with models.open_connection(), recorded_statements() as statements:
        last_seen_of(db).save()
    assert statements == []


def test_simultaneous_writes_keep_the_latest_time(
    db: Flask, client_of: ClientOf, clock: Clock
) -> None:
    for _ in range(3):
        client_of("account-viewer")
    with models.open_connection():
        rows, begin = list(SignInSession.select()), clock.now

    def noted(minutes: int) -> LastSeen:
        clock.go_to(begin + timedelta(minutes=minutes))
        process = LastSeen()
        for row in rows:
            process.remember(row)
        return process

    def save(process: LastSeen) -> None:
        with models.open_connection():
            process.save()

    processes = [noted(minutes) for minutes in (30, 10, 20, 40)]
    with ThreadPoolExecutor(len(processes)) as pool:
        list(pool.map(save, processes))
    with models.open_connection():
        assert min(row.seen_at for row in SignInSession.select()) > begin
    save(noted(60))
    save(noted(50))
    with models.open_connection():
        assert {row.seen_at for row in SignInSession.select()} == {begin + timedelta(minutes=60)}


def test_many_sessions_are_saved_in_chunks(
    db: Flask, client_of: ClientOf, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_seen, "CHUNK_SIZE", 2)
    for _ in range(5):
        client_of("account-viewer")
    process = last_seen_of(db)
    clock.go_to(clock.now + timedelta(minutes=6))
    with models.open_connection():
        for row in SignInSession.select():
            process.remember(row)
        with recorded_statements() as statements:
            process.save()
        assert len(statements) == 3
        assert {row.seen_at for row in SignInSession.select()} == {clock.now}
