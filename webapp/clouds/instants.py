"""Parse the instants that several clouds return in ISO 8601."""

from __future__ import annotations

from datetime import UTC, datetime


def parse_instant(value: object) -> datetime | None:
    """Return the instant in an ISO 8601 text. A text without a time zone is in UTC.

    Returns None for any other value, because a private endpoint may send anything. Also returns
    None if the year of the instant in UTC is not from 1 to 9999.
    """
    try:
        instant = datetime.fromisoformat(value if isinstance(value, str) else "")
        aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
        aware.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return aware
