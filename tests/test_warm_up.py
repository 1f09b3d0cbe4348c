"""Loading of SDKs in the background, only for clouds in use."""

from __future__ import annotations

import pytest

import models
from tests.conftest import MakeCredentials
from webapp.clouds import CLOUDS
from webapp.database.sqlite import SqlitePool
from webapp.warm_up import WarmUp

Loaded = list[str]


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> Loaded:
    """Return the clouds whose SDK was loaded, in order."""
    calls: Loaded = []
    for key, cloud in CLOUDS.items():
        monkeypatch.setattr(cloud, "warm_up", lambda key=key: calls.append(key))
    return calls


def test_each_cloud_in_use_is_loaded_once(
    make_credentials: MakeCredentials, loaded: Loaded
) -> None:
    warm_up = WarmUp()
    warm_up.load_missing()
    assert loaded == []
    make_credentials()  # Another process may also add credentials.
    make_credentials("acme", "More of them")
    warm_up.load_missing()
    warm_up.load_missing()
    assert loaded == ["aws"]


def test_a_requested_cloud_is_loaded(loaded: Loaded, make_credentials: MakeCredentials) -> None:
    warm_up = WarmUp()
    warm_up.request("vmware")
    warm_up.load_missing()
    assert loaded == ["vmware"]


def test_loading_is_retried_after_a_database_error(
    make_credentials: MakeCredentials, loaded: Loaded
) -> None:
    make_credentials()
    warm_up = WarmUp()
    database = models.database.obj
    models.database.initialize(SqlitePool("/nowhere/at/all.db"))
    try:
        warm_up.load_missing()
    finally:
        models.database.initialize(database)
    assert loaded == []
    warm_up.load_missing()
    assert loaded == ["aws"]
