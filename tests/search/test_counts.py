"""Counts are exact, or round numbers with a plus."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from models import is_sqlite
from tests.conftest import ActorOf, MakeImage, ScopeAt
from webapp.search import catalogue, planner
from webapp.search.catalogue import Listing
from webapp.search.counts import count_text, round_down
from webapp.search.language import parse


@pytest.mark.parametrize(
    ("count", "rounded"),
    [
        (0, 0), (1, 1), (4, 2), (9, 5), (10, 10), (19, 10), (463, 200), (999, 500), (1_000, 1_000),
        (9_999, 5_000), (49_999, 20_000), (56_880, 50_000), (100_000, 100_000), (-1, 0),
    ],
)  # fmt: skip
def test_a_count_is_rounded_down_to_one_two_or_five(count: int, rounded: int) -> None:
    assert round_down(count) == rounded


def test_a_plus_says_that_there_are_more() -> None:
    assert count_text(1_215, exact=True) == "1,215"
    assert count_text(50_000, exact=False) == "50,000+"


CountAtAcme = Callable[[str, int], str]


@pytest.fixture
def count_at_acme(
    actor_of: ActorOf, scope: ScopeAt, monkeypatch: pytest.MonkeyPatch
) -> CountAtAcme:
    """Return a function that returns the count of a search, if a scope sees very many images."""
    monkeypatch.setattr(planner, "FEW", 3)
    monkeypatch.setattr(planner, "SAMPLE", 2)
    monkeypatch.setattr(planner, "COUNT_SAMPLE", 8)

    def count(text: str, limit: int) -> str:
        monkeypatch.setattr(planner, "COUNT_LIMIT", limit)
        listing = Listing(parse(text), size=2)
        return catalogue.find_page(actor_of("scalr-admin"), scope("acme"), listing).count_text

    return count


@pytest.mark.parametrize(
    ("limit", "text", "shown"),
    [
        (30, "golden", "26"),
        (30, "-silver", "26"),
        (30, "size:>1", "26"),
        (30, "golden cloud:aws", "26"),
        (20, "-silver", "5+"),
        (20, "size:>1", "20+"),
    ],
)
def test_many_results_are_counted_up_to_a_limit(
    make_image: MakeImage, count_at_acme: CountAtAcme, limit: int, text: str, shown: str
) -> None:
    for number in range(26):
        make_image("acme", number + 1, name=f"golden {number}", size_gb=8)
    assert count_at_acme(text, limit) == shown


def test_a_word_is_counted_in_its_index_although_a_scope_sees_many_images(
    make_image: MakeImage, count_at_acme: CountAtAcme
) -> None:
    if not is_sqlite():
        pytest.skip("Only the index of SQLite returns its entries one by one.")
    for number in range(20):
        make_image("acme", number + 1, name="golden" if number % 2 else "silver")
    assert count_at_acme("golden", 10) == "10"
    assert count_at_acme("golden", 9) == "5+"
