"""The metrics of a process: its memory, and the database connections that it uses."""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from webapp import database
from webapp.database import pool
from webapp.monitoring import metrics
from webapp.monitoring.metrics import PoolUse


@pytest.mark.parametrize(("platform", "expected"), [("darwin", 3_000), ("freebsd14", 3_072_000)])
def test_the_unit_of_the_memory_depends_on_the_system(
    monkeypatch: pytest.MonkeyPatch, platform: str, expected: int
) -> None:
    monkeypatch.setattr(metrics, "Path", lambda _: Path("/nowhere/statm"))
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(resource, "getrusage", lambda _: SimpleNamespace(ru_maxrss=3_000))
    assert metrics._resident_bytes() == expected


def test_a_connection_that_stays_in_use_counts_in_every_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use = PoolUse()
    monkeypatch.setattr(pool, "pool_use", use)
    connections = database.open_database(f"sqlite:///{tmp_path}/registry.db")
    with connections.connection_context():
        assert [use.sample() for _ in range(3)] == [1, 1, 1]
    assert [use.sample() for _ in range(3)] == [1, 0, 0]
