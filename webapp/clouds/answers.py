"""Reading values that the answers of several clouds contain in the same format."""

from __future__ import annotations

from datetime import UTC, datetime


def parse_instant(value: object) -> datetime | None:
    """Return the instant that an ISO 8601 text contains; it is in UTC unless it has a time zone.

    Returns None for any other value, which a private endpoint may send.
    """
    try:
        instant = datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
