"""Follow-up calls: requests that an adapter sends to understand the first response of a cloud.

For example, an adapter asks the cloud whether the credentials or the region caused an error, or
which other regions have an image. A follow-up call is optional: it must not take long, and its
failure must not hide the first response.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import ParamSpec, TypeVar

from webapp.clouds import base
from webapp.clouds.errors import ImageNotFound
from webapp.clouds.messages import join_names
from webapp.clouds.outgoing.calls import call_each_within, call_within

P = ParamSpec("P")
T = TypeVar("T")

FOLLOW_UP_SECONDS = 3.0
"""The usual time limit of one follow-up call, or of one search of the other regions."""
PARALLEL_CALLS = 8
"""The maximum number of follow-up calls that run at the same time, for example one per region."""
RESERVED_SECONDS = 1.0
"""Follow-up calls must end this many seconds before the time limit of the whole adapter call."""


def follow_up_deadline() -> float:
    """Return the time when all follow-up calls must end, for an adapter call that starts now.

    Compare the time with `time.monotonic()`.
    """
    return time.monotonic() + base.CALL_SECONDS - RESERVED_SECONDS


def seconds_left(deadline: float) -> float:
    """Return how many seconds the next follow-up call may take. 0 or less means no time is left."""
    return min(FOLLOW_UP_SECONDS, deadline - time.monotonic())


def try_call(deadline: float, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
    """Return the result of `call`, or None if it fails or takes too long."""
    try:
        return call_within(seconds_left(deadline), call, *args, **kwargs)
    except Exception:  # noqa: BLE001  the first response is reported instead
        return None


def search_regions(
    find: Callable[[str], T | None],
    regions: Iterable[str],
    deadline: float,
    seconds: float | None = None,
) -> dict[str, T]:
    """Return the results of `find` by region, in the order of `regions`.

    The search ends after `seconds`, by default FOLLOW_UP_SECONDS, or at `deadline` if that is
    earlier.

    `find` returns a false value, such as None, if a region does not have the image. The result
    leaves out such a region, and also a region for which `find` fails or takes too long.
    """
    regions = list(regions)
    limit = min(seconds or FOLLOW_UP_SECONDS, deadline - time.monotonic())
    found = call_each_within(limit, find, regions, PARALLEL_CALLS)
    return {region: result for region in regions if (result := found.get(region))}


def in_other_regions_error(problem: str, regions: Sequence[str]) -> ImageNotFound:
    """Return the error for an image that is not in the requested region, but in `regions`.

    `problem` is the first half of the message, for example "There is no image X in Y".
    """
    choose = "Choose that location." if len(regions) == 1 else "Choose one of those locations."
    return ImageNotFound(
        f"{problem}, but it exists in {join_names(regions)}. {choose}", tuple(regions)
    )
