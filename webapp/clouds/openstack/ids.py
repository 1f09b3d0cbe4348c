"""Parsing of pasted OpenStack image IDs.

Accepts a UUID in any usual spelling, and a URL of the dashboard (Horizon) or of the Image API.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from webapp.clouds.base import ImageId, InvalidImageId
from webapp.clouds.pasted_text import strip_pasted_text

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
EXAMPLE = "6f2b8c1e-1a3d-4e5f-8a9b-0c1d2e3f4a5b"

_FLAGS = re.IGNORECASE | re.ASCII
_EXTRA_CHARACTERS = "|"
"""The border of the tables that OpenStack's command line prints."""
_ID_LABEL = re.compile(r"(?:image[_ ]?)?id[\"'\s]{0,3}[|:=][\"'\s]{0,3}", _FLAGS)
"""The label before the ID in a line that OpenStack's command line prints, for example in
`| id | 6f2b… |` or `"id": "6f2b…"`."""
_ID_IN_URL = re.compile(
    r"(?:(?:^|/)(?:v[12](?:\.[0-9])?|project|admin)/images(?:_and_snapshots)?/"
    r"|OS::Glance::Image/)([0-9a-z-]+)",
    _FLAGS,
)
_HYPHENS = str.maketrans(dict.fromkeys("‐‑‒–—−", "-"))
"""Characters that word processors put in place of a hyphen."""
_REGION_IN_URL = re.compile(r"[?&]region=([\w.-]{1,64})(?![\w.-])", _FLAGS)
_DIGITS = 32


def parse(text: str) -> ImageId:
    """Return the image that `text` names, with its region if `text` contains one.

    Raises InvalidImageId with the reason. Takes time linear in the length of `text`, which is
    limited.
    """
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
            "URL, or paste the UUID."
        )
    if len(image_ids) > 1:
        raise InvalidImageId("This URL contains more than one image ID. Paste one UUID.")
    region = _REGION_IN_URL.search(url)
    return ImageId(_parse_uuid(image_ids[0]), region[1] if region else "")


def _parse_uuid(text: str) -> str:
    value = text.lower().translate(_HYPHENS).removeprefix("urn:").removeprefix("uuid:")
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
            f"“{wrong[0]}” isn’t allowed in a UUID, which contains only the digits 0 to 9 and the "
            "letters a to f. Copy the ID again."
        )
    if len(digits) != _DIGITS:
        raise InvalidImageId(
            f"This UUID is too {'short' if len(digits) < _DIGITS else 'long'}: it has "
            f"{len(digits)} digits and letters instead of {_DIGITS}. Copy the whole ID."
        )
    if "-" in value:
        raise InvalidImageId(
            "The hyphens in this UUID are in the wrong positions. They belong after 8, 12, 16 and "
            "20 digits and letters. Copy the ID again."
        )
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
