"""Parsing of instants in ISO 8601."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from webapp.clouds.instants import parse_instant


def test_a_time_without_a_zone_is_in_utc() -> None:
    assert parse_instant("2026-01-31T10:00:00") == datetime(2026, 1, 31, 10, tzinfo=UTC)
    assert parse_instant("2026-01-31T10:00:00-07:00") == datetime(2026, 1, 31, 17, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    ["", "soon", None, 5, "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00"],
)
def test_any_other_value_is_no_time(value: object) -> None:
    assert parse_instant(value) is None
