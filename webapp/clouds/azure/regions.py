"""Find the regions in which an image exists, and write lists of names for messages.

This module imports the SDK through `sdk`, so it is itself imported only on first use.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from webapp.clouds.azure import details
from webapp.clouds.azure.errors import translate, unknown_location
from webapp.clouds.azure.sdk import LOCATIONS_SECONDS, Session
from webapp.clouds.errors import ImageNotFound, PermissionDenied, UnknownLocation
from webapp.clouds.follow_up import PARALLEL_CALLS, seconds_left
from webapp.clouds.messages import join_names
from webapp.clouds.outgoing.calls import call_each_within

T = TypeVar("T")

LISTED_NAMES_LENGTH = 90
"""The maximum total length, in characters, of the names that `list_in_words` shows.

The first name is always shown, even if it is longer.
"""
SENTENCE_LENGTH = 300
"""A sentence with this many characters or more is too long for a message."""


def region_names(session: Session) -> dict[str, str]:
    """Return the display names of the subscription's regions by key, recommended regions first.

    Logical regions, such as "europe", are left out because they have no images. The session caches
    the names for an hour.
    """
    names: dict[str, str] | None = session.cache.get(("locations",))
    if names is None:
        regions = [each for each in session.locations() if _is_physical_region(each)]
        # This sort keeps Azure's order among the recommended regions, and among the others.
        regions.sort(key=lambda each: not _is_recommended(each))
        names = {
            details.text(each, "name"): details.text(each, "displayName")
            or details.text(each, "name")
            for each in regions
        }
        session.cache.set(("locations",), names, time.time() + LOCATIONS_SECONDS)
    return names


def require_first_region(session: Session) -> str:
    """Return the region to read first. Raises PermissionDenied if Azure lists no regions."""
    first_region = next(iter(region_names(session)), "")
    if not first_region:
        raise PermissionDenied(
            "Azure lists no locations for this subscription. Enter a location, or ask the owner "
            "of the subscription whether it is enabled."
        )
    return first_region


def search(
    find: Callable[[str], T | None], regions: Sequence[str], deadline: float
) -> tuple[dict[str, T], bool]:
    """Return the results of `find` by region, and whether all regions responded in time.

    `find` returns None if a region does not have the image. If `find` fails because a region does
    not offer this kind of image, the region counts as having responded. If `find` fails for any
    other reason, the region counts as not having responded. The search ends after FOLLOW_UP_SECONDS
    or, if earlier, at `deadline`.
    """
    find_or_none = partial(find_if_offered, find)
    results = call_each_within(seconds_left(deadline), find_or_none, regions, PARALLEL_CALLS)
    found = {region: result for region in regions if (result := results.get(region)) is not None}
    return found, len(results) == len(regions)


def find_if_offered(find: Callable[[str], T | None], region: str) -> T | None:
    """Return the result of `find`, or None if `region` does not offer this kind of image."""
    try:
        return find(region)
    except Exception as error:
        if isinstance(translate(error), UnknownLocation):
            return None
        raise


def in_other_regions_error(
    session: Session, subject: str, region: str, regions: tuple[str, ...]
) -> ImageNotFound:
    """Return the error for an image that is not in `region`, but in `regions`.

    `region` is the requested region. `subject` is the beginning of the message, such as "The image
    web". Raises UnknownLocation if Azure has no region named `region`.
    """
    try:
        names = region_names(session)
    except Exception as error:
        if translate(error) is None:
            raise
        names = {}
    if names and region not in names:
        raise unknown_location()
    choice = "that location" if len(regions) == 1 else "one of those locations"
    return ImageNotFound(
        shorter_if_too_long(
            f"{subject} isn’t available in {region}, but it exists in {list_in_words(regions)}. "
            f"Choose {choice}, or leave the location empty.",
            f"{subject} isn’t available in {region}. Choose another location, or leave it empty.",
        ),
        regions,
    )


def list_in_words(names: tuple[str, ...]) -> str:
    """Return the names as a short list in words, such as "a, b and 3 more"."""
    first_names = [names[0]]
    for name in names[1:]:
        if len(", ".join((*first_names, name))) > LISTED_NAMES_LENGTH:
            return f"{', '.join(first_names)} and {len(names) - len(first_names)} more"
        first_names.append(name)
    return join_names(first_names)


def shorter_if_too_long(sentence: str, shorter: str) -> str:
    """Return `sentence`, or `shorter` if `sentence` is too long for a message."""
    return sentence if len(sentence) < SENTENCE_LENGTH else shorter


def _is_physical_region(region: Mapping[str, Any]) -> bool:
    kind = details.text(details.mapping_at(region, "metadata"), "regionType")
    return bool(details.text(region, "name")) and kind in {"", "Physical"}


def _is_recommended(region: Mapping[str, Any]) -> bool:
    return details.mapping_at(region, "metadata").get("regionCategory") == "Recommended"
