"""The number of requests that a token can send in a minute."""

from __future__ import annotations

import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
from flask import Flask

from tests.api.client import ClientFor
from tests.database.servers import redis_server
from tests.postgresql import free_port
from webapp.tokens import rate_limits
from webapp.tokens.rate_limits import RateLimits

IMAGES = "/account/acme/images"


def set_time(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr(rate_limits, "time", SimpleNamespace(time=lambda: seconds))


@pytest.fixture(autouse=True)
def _three_requests(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    limited = replace(app.extensions["services"], rate_limits=RateLimits("", 3))
    monkeypatch.setitem(app.extensions, "services", limited)
    set_time(monkeypatch, 600.0)


def test_each_answer_says_how_many_requests_are_left(api_of: ClientFor) -> None:
    api = api_of("account-viewer")
    answers = [api.get(IMAGES), api.get("/nothing"), api.get(f"{IMAGES}/999"), api.get(IMAGES)]
    assert [answer.headers.get("RateLimit") for answer in answers] == [
        '"token";r=2;t=60',
        None,
        '"token";r=1;t=60',
        '"token";r=0;t=60',
    ]
    assert answers[0].headers["RateLimit-Policy"] == '"token";q=3;w=60'
    refused = api.get(IMAGES)
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "60"
    assert refused.json is not None
    assert refused.json["type"] == "urn:problem-type:too-many-requests"
    assert api_of("account-editor").get(IMAGES).status_code == 200


def test_the_next_minute_has_its_own_count(
    api_of: ClientFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = api_of("account-viewer")
    assert [api.get(IMAGES).status_code for _ in range(4)] == [200, 200, 200, 429]
    set_time(monkeypatch, 661.0)
    assert api.get(IMAGES).status_code == 200


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
def test_servers_share_the_counts_in_redis() -> None:
    port = free_port()
    one, other = (RateLimits(f"redis://127.0.0.1:{port}/0", 3) for _ in range(2))
    with redis_server(port):
        assert [each.count("token").count for each in (one, other, one)] == [1, 2, 3]
        assert other.count("token").is_exceeded
        assert one.count("another").count == 1
    # Redis has stopped, so each process counts by itself.
    assert one.count("token").count == 1
    assert one.count("token").count == 2
