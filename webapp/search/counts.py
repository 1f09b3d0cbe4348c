"""The number of images that match a search, and whether the number is exact."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Count:
    """The number of images that match a search.

    If `exact` is False, more than `number` images match. If `counted` is False, the images were not
    counted, and `number` is only derived from one page of results.
    """

    number: int
    exact: bool = True
    counted: bool = True

    @property
    def text(self) -> str:
        """The number for people, such as “1,215” or “10,000+”."""
        if self.exact:
            return f"{self.number:,}"
        return f"{round_down(self.number):,}+"


def round_down(count: int) -> int:
    """Return the largest of the numbers 1, 2, 5, 10, 20, 50, … that is at most `count`, or 0.

    >>> round_down(56_880), round_down(463), round_down(0)
    (50000, 200, 0)
    """
    if count < 1:
        return 0
    unit: int = 10 ** (len(str(count)) - 1)
    return max(step * unit for step in (1, 2, 5) if step * unit <= count)
