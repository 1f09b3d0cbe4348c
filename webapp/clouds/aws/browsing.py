"""List the AMIs of an account, and find the same AMI in other regions.

This module calls a client of EC2, but does not import the SDK.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
_OWN, _SHARED = "own", "shared"
"""The two lists, as they are named in cursors."""
_WILDCARDS = str.maketrans({character: f"\\{character}" for character in "\\*?"})

DescribeImages = Callable[..., Mapping[str, Any]]
"""Call DescribeImages with the given arguments. Raises CloudUnreachable for other answers."""


def browse(describe_images: DescribeImages, browser: Browser) -> None:
    """Add the AMIs that the account owns, and then the AMIs that are shared with it, to `browser`.

    The cursor contains the list that the next page continues, the ID of the account if it is known,
    and AWS's token.
    """
    which, _, rest = browser.cursor.partition(":")
    account, _, token = rest.partition(":")
    for _ in range(MAX_PAGES):
        is_own = which != _SHARED
        answer = describe_images(**_arguments(browser.words, token, is_own=is_own))
        for image in answer["Images"]:
            owner = image.get("OwnerId") or ""
            if is_own:
                account = account or owner
            # AWS also lists the account's own AMIs among the AMIs that are shared with it.
            if is_own or not account or owner != account:
                _add(browser, image, OWNED if is_own else f"{SHARED}{owner or 'another account'}")
        token = answer.get("NextToken") or ""
        if not token and not is_own:
            browser.next_cursor = ""
            return
        which = _OWN if token and is_own else _SHARED
        browser.next_cursor = f"{which}:{account}:{token}"
        if browser.has_enough:
            return


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


def _arguments(words: Sequence[str], token: str, *, is_own: bool) -> dict[str, Any]:
    """Return the arguments that list a page of the account's own AMIs or of shared AMIs."""
    filters = _name_filters(words)
    arguments: dict[str, Any] = {"IncludeDeprecated": True, "IncludeDisabled": True}
    arguments["MaxResults"] = PAGE_SIZE
    if is_own:
        arguments["Owners"] = ["self"]
    else:
        arguments["ExecutableUsers"] = ["self"]
        filters.append({"Name": "is-public", "Values": ["false"]})
    if filters:
        arguments["Filters"] = filters
    if token:
        arguments["NextToken"] = token
    return arguments


def _add(browser: Browser, image: Mapping[str, Any], origin: str) -> None:
    image_id = image.get("ImageId") or ""
    if ids.AMI.fullmatch(image_id):
        created = parse_instant(image.get("CreationDate"))
        browser.add(ListedImage(image_id, image.get("Name") or image_id, origin, created))


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
