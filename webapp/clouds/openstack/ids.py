"""What people paste for an image of OpenStack: its UUID in any of the forms in which one is
written, or an address of Horizon or of the Image API."""

from __future__ import annotations

import re
from urllib.parse import unquote

from webapp.clouds.base import ImageId, InvalidImageId
from webapp.clouds.pasted_text import strip_pasted_text

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
EXAMPLE = "6f2b8c1e-1a3d-4e5f-8a9b-0c1d2e3f4a5b"

_FLAGS = re.IGNORECASE | re.ASCII
_ALSO_AROUND = "|"
_NAMED = re.compile(r"(?:image[_ ]?)?id[\"'\s]{0,3}[|:=][\"'\s]{0,3}", _FLAGS)
"""A line of what the command line prints of an image: `| id | 6f2b… |`, `"id": "6f2b…"`."""
_IN_ADDRESS = re.compile(
    r"(?:(?:^|/)(?:v[12](?:\.[0-9])?|project|admin)/images(?:_and_snapshots)?/"
    r"|OS::Glance::Image/)([0-9a-z-]+)",
    _FLAGS,
)
_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—−", "-"))
"""What word processors make of a dash."""
_REGION_PARAMETER = re.compile(r"[?&]region=([\w.-]{1,64})(?![\w.-])", _FLAGS)
_DIGITS = 32


def parse(text: str) -> ImageId:
    """The image that `text` names, and its region where `text` says it. Raises InvalidImageId with
    what is wrong. Linear in the length of `text`, which is bounded besides."""
    text = strip_pasted_text(
        text, "This is far too long for the id of an image. Paste the UUID alone.", _ALSO_AROUND
    )
    if named := _NAMED.match(text):
        text = text[named.end() :]
    if not text:
        raise InvalidImageId(f"Enter the UUID of an image, such as {EXAMPLE}.")
    if "/" in text:
        return _from_address(unquote(text))
    return ImageId(_checked(text))


def _from_address(address: str) -> ImageId:
    found = sorted({match.lower() for match in _IN_ADDRESS.findall(address)})
    if not found:
        raise InvalidImageId(
            "This address names no image of OpenStack. Open the image itself, or paste its UUID."
        )
    if len(found) > 1:
        raise InvalidImageId("This address names more than one image. Paste the UUID of one.")
    region = _REGION_PARAMETER.search(address)
    return ImageId(_checked(found[0]), region[1] if region else "")


def _checked(text: str) -> str:
    value = text.lower().translate(_DASHES).removeprefix("urn:").removeprefix("uuid:")
    if value[:1] + value[-1:] in {"{}", "()", "[]"}:
        value = value[1:-1].strip()
    if UUID.fullmatch(value):
        return value
    digits = value.replace("-", "")
    wrong = re.search(r"[^0-9a-f]", digits)
    if wrong and not re.fullmatch(r"[0-9a-z-]{30,40}", value):
        raise InvalidImageId(
            f"The id of an image in OpenStack is a UUID, such as {EXAMPLE}. A name will not do."
        )
    if wrong:
        raise InvalidImageId(
            f"“{wrong[0]}” cannot occur in a UUID, which has only the digits 0 to 9 and the "
            "letters a to f. Copy it again."
        )
    if len(digits) != _DIGITS:
        raise InvalidImageId(
            f"This UUID is too {'short' if len(digits) < _DIGITS else 'long'}: it has "
            f"{len(digits)} digits and letters in place of {_DIGITS}. Copy the whole id."
        )
    if "-" in value:
        raise InvalidImageId(
            "The dashes of this UUID are not where they belong, which is after 8, 12, 16 and 20 "
            "digits and letters. Copy it again."
        )
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
