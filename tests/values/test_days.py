"""The rule for days."""

from __future__ import annotations

from datetime import date

import pytest

from webapp.values.days import InvalidDay, parse_day, require_plausible


def test_a_plausible_day_is_parsed() -> None:
    assert parse_day("2026-12-31") == date(2026, 12, 31)
    assert parse_day(" 2100-12-31 ") == date(2100, 12, 31)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0027-01-01", "Check the year 0027. Enter a date from 2000-01-01 to 2100-12-31."),
        ("0026-12-31", "Check the year 0026"),
        ("26-12-31", "Check the year 26"),
        ("1999-12-31", "Check the year 1999"),
        ("20266-01-01", "Check the year 20266"),
        ("2101-01-01", "Check the year 2101"),
        ("2026-02-30", "2026-02-30 doesn’t exist"),
        ("2026-13-01", "doesn’t exist"),
        ("31.1.2026", "YYYY-MM-DD"),
        ("20260131", "YYYY-MM-DD"),
        ("2026-W01-1", "YYYY-MM-DD"),
        ("٢٠٢٦-01-01", "YYYY-MM-DD"),
        ("9" * 5000, "YYYY-MM-DD"),
        ("2026-01-01T00:00", "YYYY-MM-DD"),
    ],
)
def test_any_other_text_is_refused_with_the_reason(text: str, words: str) -> None:
    with pytest.raises(InvalidDay) as caught:
        parse_day(text)
    assert words in caught.value.message


def test_a_day_from_elsewhere_must_be_plausible_too() -> None:
    with pytest.raises(InvalidDay, match="0027"):
        require_plausible(date(27, 1, 1))
