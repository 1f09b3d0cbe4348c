"""Parsing of pasted OpenStack image IDs.

`parse` accepts a UUID in any usual spelling, and a URL of a dashboard (Horizon or Skyline), of the
Image API (Glance) or of the Compute API (Nova).
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from webapp.clouds.errors import InvalidImageId
from webapp.clouds.locators import ImageId
from webapp.clouds.pasted_text import MAX_LENGTH, parse_whole_or_part, strip_pasted_text

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
EXAMPLE = "6f2b8c1e-1a3d-4e5f-8a9b-0c1d2e3f4a5b"

_FLAGS = re.IGNORECASE | re.ASCII
_EXTRA_CHARACTERS = "|"
"""The border of the tables that OpenStack's command line prints."""
_ID_LABEL = re.compile(r"(?:(?:image[_ ]?)?id|image_?ref)[\"'\s]{0,3}[|:=][\"'\s]{0,3}", _FLAGS)
"""The label before the ID in a line that OpenStack's command line prints, for example in
`| id | 6f2b… |` or `"id": "6f2b…"`."""
_OTHER_LABEL = re.compile(
    r"[|\s\"']{0,9}((?:owner|project|tenant|user|domain)(?:[ _]id)?)[\"'\s]{0,9}[|:=]"
    r"[|\"'\s]{0,9}[0-9a-f-]{32,36}[|\s\"',]{0,9}",
    _FLAGS,
)
"""A line with another ID from an image's details, for example the ID of the project."""
_ID_IN_URL = re.compile(
    r"(?:(?:^|/)(?:v[123](?:\.[0-9]{1,3})?(?:/[\w-]{1,64})?|project|admin)"
    r"/images(?:_and_snapshots)?/"
    r"|(?:^|/)compute/image(?:-admin)?/detail/|OS::Glance::Image/)([0-9a-z-]+)",
    _FLAGS,
)
_OPENSTACK_URL = re.compile(
    r"/(?:(?:dashboard|horizon)/(?:project|admin)|(?:project|admin)/(?:instances|volumes|images)"
    r"|compute/(?:instance|volume|image)(?:-admin)?(?:/|$)|ngdetails/OS::)",
    _FLAGS,
)
"""The URL of a dashboard page, which may be about something other than an image."""
_UUID_BETWEEN_WORDS = re.compile(
    r"(?<![\w/:-])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![\w/:-])", _FLAGS
)
_REGION_IN_URL = re.compile(r"[?&]region=([\w.-]{1,64})(?![\w.-])", _FLAGS)
_DIGITS = 32
_MIN_DIGITS = 24
"""A text with fewer digits is not recognized as an incomplete UUID."""


def parse(text: str) -> ImageId:
    """Return the canonical ID of the image that `text` names, and the region in `text`, if any.

    Raises InvalidImageId with the reason. The time is linear in the length of `text`, which is
    limited.
    """
    if other := _OTHER_LABEL.fullmatch(text[: MAX_LENGTH + 1]):
        raise InvalidImageId(
            f"This is the {other[1].lower()} of the image, not its ID. Copy the value of “id”.",
            recognized=True,
        )
    try:
        return parse_whole_or_part(text, _parse_part)
    except InvalidImageId:
        found = {match.lower() for match in _UUID_BETWEEN_WORDS.findall(text[: MAX_LENGTH + 1])}
        if len(found) != 1 or len(text) > MAX_LENGTH:
            raise
    return ImageId(found.pop())


def _parse_part(text: str) -> ImageId:
    text = strip_pasted_text(
        text, "This is too long for an image ID. Paste only the UUID.", _EXTRA_CHARACTERS
    )
    if label := _ID_LABEL.match(text):
        text = text[label.end() :]
    if not text:
        raise InvalidImageId(f"Enter the UUID of an image, such as {EXAMPLE}.")
    if "/" in text:
        return _parse_url(unquote(text))
    return ImageId(_parse_uuid(text))


def _parse_url(url: str) -> ImageId:
    image_ids = sorted({image_id.lower() for image_id in _ID_IN_URL.findall(url)})
    if not image_ids:
        raise InvalidImageId(
            "This URL isn’t the URL of an OpenStack image. Open the page of the image and copy its "
            "URL, or paste the UUID.",
            recognized=bool(_OPENSTACK_URL.search(url)),
        )
    if len(image_ids) > 1:
        raise InvalidImageId(
            "This URL contains more than one image ID. Paste one UUID.", recognized=True
        )
    region = _REGION_IN_URL.search(url)
    return ImageId(_parse_uuid(image_ids[0]), region[1] if region else "")


def _parse_uuid(text: str) -> str:
    value = text.lower().removeprefix("urn:").removeprefix("uuid:")
    if value[:1] + value[-1:] in {"{}", "()", "[]"}:
        value = value[1:-1].strip()
    if UUID.fullmatch(value):
        return value
    digits = value.replace("-", "")
    wrong = re.search(r"[^0-9a-f]", digits)
    if wrong and not re.fullmatch(r"[0-9a-z-]{30,40}", value):
        raise InvalidImageId(
            f"An OpenStack image ID is a UUID, such as {EXAMPLE}. You can’t enter a name here."
        )
    if wrong:
        raise InvalidImageId(
            f"“{wrong[0]}” isn’t allowed in a UUID. A UUID contains only the digits 0 to 9, the "
            "letters a to f, and hyphens. Copy the ID again.",
            recognized=bool(re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", value)),
        )
    if len(digits) != _DIGITS:
        raise InvalidImageId(
            f"This UUID is too {'short' if len(digits) < _DIGITS else 'long'}: it has "
            f"{len(digits)} digits and letters instead of {_DIGITS}. Copy the whole ID.",
            recognized=len(digits) >= _MIN_DIGITS,
        )
    if "-" in value:
        raise InvalidImageId(
            "The hyphens in this UUID are in the wrong positions. They belong after 8, 12, 16 and "
            "20 digits and letters. Copy the ID again.",
            recognized=True,
        )
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
