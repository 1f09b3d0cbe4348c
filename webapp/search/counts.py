"""Format counts so that people see whether a count is exact."""

from __future__ import annotations


def round_down(count: int) -> int:
    """Return the largest number 1, 2 or 5 × 10ⁿ that is at most `count`, or 0 if `count` is 0.

    >>> round_down(56_880), round_down(463), round_down(0)
    (50000, 200, 0)
    """
    if count < 1:
        return 0
    unit: int = 10 ** (len(str(count)) - 1)
    return max(step * unit for step in (1, 2, 5) if step * unit <= count)


def count_text(count: int, *, exact: bool) -> str:
    """Return a count as text for people. A plus means that there are more.

    >>> count_text(1_215, exact=True), count_text(50_000, exact=False)
    ('1,215', '50,000+')
    """
    return f"{count:,}" + ("" if exact else "+")
