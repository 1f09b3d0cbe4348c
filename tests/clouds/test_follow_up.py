"""Follow-up calls, which are optional and limited in time."""

from __future__ import annotations

import time

import pytest

from webapp.clouds import base, follow_up
from webapp.clouds.outgoing.calls import current_call


def test_no_follow_up_call_outlasts_the_call_it_belongs_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(base, "CALL_SECONDS", 60.0)
    assert follow_up.seconds_left(follow_up.follow_up_deadline()) == follow_up.FOLLOW_UP_SECONDS
    assert follow_up.seconds_left(time.monotonic() + 1) <= 1


def test_a_failed_or_slow_call_has_no_result() -> None:
    def read_slowly() -> None:
        while True:
            current_call().seconds_left()
            time.sleep(0.01)

    deadline = time.monotonic() + 0.1
    assert follow_up.try_call(time.monotonic() + 5, abs, -1) == 1
    assert follow_up.try_call(deadline, divmod, 1, 0) is None
    assert follow_up.try_call(deadline, read_slowly) is None


def test_regions_without_the_image_and_failed_regions_are_left_out() -> None:
    def find(region: str) -> str | None:
        if region == "broken":
            raise ConnectionError
        return None if region == "empty" else f"image in {region}"

    found = follow_up.search_regions(find, ["b", "broken", "empty", "a"], time.monotonic() + 5)
    assert list(found.items()) == [("b", "image in b"), ("a", "image in a")]


@pytest.mark.parametrize(
    ("regions", "message"),
    [
        (["a"], "Not here, but it exists in a. Choose that location."),
        (["a", "b"], "Not here, but it exists in a and b. Choose one of those locations."),
        (["a", "b", "c"], "Not here, but it exists in a, b and c. Choose one of those locations."),
    ],
)
def test_the_error_names_the_other_regions(regions: list[str], message: str) -> None:
    error = follow_up.in_other_regions_error("Not here", regions)
    assert str(error) == message
    assert error.found_in == tuple(regions)
