"""Fixtures for tests in which the database does not work."""

from __future__ import annotations

import pytest

from webapp.database import outages


@pytest.fixture(autouse=True)
def no_outage() -> None:
    """Begin each test without an outage, because the outages belong to the process."""
    for outage in (outages.UNREACHABLE, *outages.CANNOT_WRITE.values()):
        outage._since, outage._count = None, 0


def outage_messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the beginnings of the messages about outages."""
    records = [record for record in caplog.records if record.name == "webapp.outages"]
    return [record.getMessage().partition(":")[0].partition(",")[0] for record in records]
