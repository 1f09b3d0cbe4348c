"""Loading of SDKs in the background, only for clouds in use."""

from __future__ import annotations

import pytest
from peewee import SqliteDatabase

import models
from tests.conftest import MakeCredentials
from webapp.clouds import CLOUDS
from webapp.warm_up import WarmUp

Loaded = list[str]


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> Loaded:
    """Return the clouds whose SDK was loaded, in order."""
    calls: Loaded = []
    for key, cloud in CLOUDS.items():
        monkeypatch.setattr(cloud, "warm_up", lambda key=key: calls.append(key))
    return calls


def test_only_the_clouds_that_are_used_each_once(
    make_credentials: MakeCredentials, loaded: Loaded
) -> None:
    warm_up = WarmUp()
    warm_up.load_missing()
    assert loaded == []
    make_credentials()  # as another process might
    make_credentials("acme", "More of them")
    warm_up.load_missing()
    warm_up.load_missing()
    assert loaded == ["aws"]


def test_a_cloud_that_is_about_to_be_used(
    loaded: Loaded, make_credentials: MakeCredentials
) -> None:
    warm_up = WarmUp()
    warm_up.request("vmware")
    warm_up.load_missing()
    assert loaded == ["vmware"]


def test_a_database_that_does_not_answer_is_asked_again(
    make_credentials: MakeCredentials, loaded: Loaded
) -> None:
    make_credentials()
    warm_up = WarmUp()
    database = models.database.obj
    models.database.initialize(SqliteDatabase("/nowhere/at/all.db"))
    try:
        warm_up.load_missing()
    finally:
        models.database.initialize(database)
    assert loaded == []
    warm_up.load_missing()
    assert loaded == ["aws"]
