"""List the AMIs of an account, and find the copies of an AMI in other regions.

A copy is an AMI with the same name and owner. This module calls a client of EC2, but does not
import the SDK.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

from webapp.clouds.aws import ids
from webapp.clouds.aws.details import image_details
from webapp.clouds.browsing import MAX_PAGES, OWNED, SHARED_BY, ImageCollector
from webapp.clouds.details import ImageCopy, ImageDetails
from webapp.clouds.instants import parse_instant
from webapp.clouds.locators import ListedImage

PAGE_SIZE = 200
"""The number of AMIs that are read with one call. AWS allows 1,000. The description of an AMI has
about 100 XML elements, so a response stays far below `outgoing.calls.MAX_RESPONSE_ELEMENTS`."""
LETTERS_IN_BOTH_CASES = 5
"""A search tries this many letters of a word in both lower and upper case.

Each of these letters doubles the number of patterns in the filter for the word. AWS allows 200
patterns in one filter.
"""
MAX_SEARCHED_WORDS = 40
"""The maximum number of search words to send to AWS. EC2 allows 50 filters in one request."""
MAX_SEARCHED_CHARACTERS = 120
"""The maximum number of characters of a search word to send to AWS.

EC2 allows 255 characters in a value of a filter, and an escaped character takes two.
"""
_OWN, _SHARED = "own", "shared"
"""How a cursor names the two lists: the account's own AMIs, and the AMIs shared with it."""
_WILDCARDS = str.maketrans({character: f"\\{character}" for character in "\\*?"})

DescribeImages = Callable[..., Mapping[str, Any]]
"""A function that calls DescribeImages with the given arguments, and returns the response.

Raises CloudUnreachable if the response has no list of images, which means that it is not from AWS.
"""


def browse(describe_images: DescribeImages, collector: ImageCollector) -> None:
    """Add to `collector` the AMIs that the account owns, and then the AMIs that are shared with it.

    The cursor consists of the name of the list that the next result page continues, the ID of the
    account if it is known, and the NextToken from AWS.
    """
    list_name, _, rest = collector.cursor.partition(":")
    account, _, token = rest.partition(":")
    for _ in range(MAX_PAGES):
        is_own = list_name != _SHARED
        response = describe_images(**_arguments(collector.words, token, is_own=is_own))
        for image in response["Images"]:
            owner = image.get("OwnerId") or ""
            if is_own:
                account = account or owner
            # AWS also lists the account's own AMIs among the AMIs that are shared with it.
            if is_own or not account or owner != account:
                _add(
                    collector,
                    image,
                    OWNED if is_own else f"{SHARED_BY}{owner or 'another account'}",
                )
        token = response.get("NextToken") or ""
        if not token and not is_own:
            collector.next_cursor = ""
            return
        list_name = _OWN if token and is_own else _SHARED
        collector.next_cursor = f"{list_name}:{account}:{token}"
        if collector.has_enough:
            return


def copies_in(
    describe_images: DescribeImages, region: str, details: ImageDetails
) -> list[ImageCopy]:
    """Return the copies in `region`: the AMIs whose name and owner equal those in `details`."""
    response = describe_images(
        Owners=[details.owner],
        Filters=[{"Name": "name", "Values": [details.name.translate(_WILDCARDS)]}],
        IncludeDeprecated=True,
    )
    return [
        ImageCopy(region, image["ImageId"], image_details(image))
        for image in response["Images"]
        if image.get("Name") == details.name
        and image.get("OwnerId") == details.owner
        and ids.AMI.fullmatch(image.get("ImageId") or "")
    ]


def _arguments(words: Sequence[str], token: str, *, is_own: bool) -> dict[str, Any]:
    """Return the arguments that request a response page of own AMIs or of shared AMIs.

    The filters contain only the first words of the search, and only the beginning of a long word.
    `ImageCollector.add` leaves out the AMIs that do not match the whole search.
    """
    filters = [_name_filter(word[:MAX_SEARCHED_CHARACTERS]) for word in words[:MAX_SEARCHED_WORDS]]
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


def _add(collector: ImageCollector, image: Mapping[str, Any], origin: str) -> None:
    image_id = image.get("ImageId") or ""
    if ids.AMI.fullmatch(image_id):
        created = parse_instant(image.get("CreationDate"))
        collector.add(ListedImage(image_id, image.get("Name") or image_id, origin, created))


def _name_filter(word: str) -> dict[str, Any]:
    """Return the filter that makes AWS search for `word`.

    If the word begins with `ami-`, AWS searches for it in the IDs, otherwise in the names.
    """
    if word.startswith("ami-"):
        return {"Name": "image-id", "Values": [f"*{word.translate(_WILDCARDS)}*"]}
    return {"Name": "name", "Values": _name_patterns(word)}


def _name_patterns(word: str) -> list[str]:
    """Return patterns that match all names with `word`, in any mixture of cases.

    AWS distinguishes case in names. So there is a pattern for each spelling of the first
    LETTERS_IN_BOTH_CASES letters. In place of the other letters, the patterns have wildcards, which
    also match names without `word`. `ImageCollector.add` leaves out these names.
    """
    choices: list[Sequence[str]] = []
    letters = 0
    for character in word:
        spellings = tuple(dict.fromkeys((character, character.upper())))
        letters += len(spellings) > 1
        is_wildcard = len(spellings) > 1 and letters > LETTERS_IN_BOTH_CASES
        choices.append("?" if is_wildcard else [each.translate(_WILDCARDS) for each in spellings])
    return [f"*{''.join(spelling)}*" for spelling in product(*choices)]
