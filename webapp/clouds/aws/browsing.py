"""List the AMIs of an account, and find the same AMI in other regions.

This module calls a client of EC2, but does not import the SDK.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from webapp.clouds.answers import parse_instant
from webapp.clouds.aws import ids
from webapp.clouds.aws.details import image_details
from webapp.clouds.browsing import MAX_PAGES, OWNED, SHARED, Browser
from webapp.clouds.details import ImageCopy, ImageDetails
from webapp.clouds.locators import ListedImage

PAGE_SIZE = 200
"""The number of AMIs that are read with one call. AWS allows 1,000. An AMI has about 100 elements,
so a page stays far below the maximum size of an answer."""
_WILDCARDS = str.maketrans({character: f"\\{character}" for character in "\\*?"})

DescribeImages = Callable[..., Mapping[str, Any]]
"""Call DescribeImages with the given arguments. Raises CloudUnreachable for other answers."""


def browse(describe_images: DescribeImages, browser: Browser) -> None:
    """Add the AMIs that the account owns, and the AMIs that are shared with it, to `browser`."""
    names = _name_filters(browser.words)
    not_public = {"Name": "is-public", "Values": ["false"]}
    _add_pages(describe_images, browser, names, Owners=["self"])
    # AWS also lists the account's own AMIs here. `browser` leaves them out.
    _add_pages(describe_images, browser, [*names, not_public], ExecutableUsers=["self"])


def copies_in(
    describe_images: DescribeImages, region: str, details: ImageDetails
) -> list[ImageCopy]:
    """Return the AMIs in `region` that have the name and the owner of `details`."""
    answer = describe_images(
        Owners=[details.owner],
        Filters=[{"Name": "name", "Values": [details.name.translate(_WILDCARDS)]}],
        IncludeDeprecated=True,
    )
    return [
        ImageCopy(region, image["ImageId"], image_details(image))
        for image in answer["Images"]
        if image.get("Name") == details.name
        and image.get("OwnerId") == details.owner
        and ids.AMI.fullmatch(image.get("ImageId") or "")
    ]


def _add_pages(
    describe_images: DescribeImages,
    browser: Browser,
    filters: Sequence[Mapping[str, Any]],
    **selection: Sequence[str],
) -> None:
    for image in _images(describe_images, browser, filters, selection):
        image_id = image.get("ImageId") or ""
        if not ids.AMI.fullmatch(image_id):
            continue
        is_own = "Owners" in selection
        owner = OWNED if is_own else f"{SHARED}{image.get('OwnerId') or 'another account'}"
        created = parse_instant(image.get("CreationDate"))
        browser.add(ListedImage(image_id, image.get("Name") or image_id, owner, created))


def _images(
    describe_images: DescribeImages,
    browser: Browser,
    filters: Sequence[Mapping[str, Any]],
    selection: Mapping[str, Sequence[str]],
) -> Iterator[Mapping[str, Any]]:
    """Yield the AMIs of all pages, until `browser` is full or MAX_PAGES pages were read."""
    arguments: dict[str, Any] = {"IncludeDeprecated": True, "IncludeDisabled": True}
    arguments["MaxResults"] = PAGE_SIZE
    if filters:
        arguments["Filters"] = filters
    for _ in range(MAX_PAGES):
        answer = describe_images(**selection, **arguments)
        yield from answer["Images"]
        token = answer.get("NextToken")
        if not token or browser.is_full:
            return
        arguments["NextToken"] = token
    browser.is_complete = False


def _name_filters(words: Sequence[str]) -> list[dict[str, Any]]:
    """Return filters that leave out AMIs that don't match the search.

    AWS compares names with case, so each word is searched in its usual spellings.
    """
    return [_name_filter(word) for word in words]


def _name_filter(word: str) -> dict[str, Any]:
    if word.startswith("ami-"):
        return {"Name": "image-id", "Values": [_pattern(word)]}
    spellings = (word, word.upper(), word.capitalize(), word.title())
    return {"Name": "name", "Values": [_pattern(each) for each in dict.fromkeys(spellings)]}


def _pattern(text: str) -> str:
    return f"*{text.translate(_WILDCARDS)}*"
