"""Parsing of pasted AMI IDs: the ID itself, an ARN, or a link to the AWS console."""

from __future__ import annotations

import re
from urllib.parse import unquote

from webapp.clouds.base import ImageId, InvalidImageId
from webapp.clouds.pasted_text import strip_pasted_text

AMI = re.compile(r"ami-(?:[0-9a-f]{8}|[0-9a-f]{17})")
REGION = r"[a-z]{2,6}(?:-[a-z]{2,12}){1,3}-[0-9]{1,2}"
EXAMPLE = "ami-0123456789abcdef0"

_FLAGS = re.IGNORECASE | re.ASCII
_ARN = re.compile(rf"arn:aws[a-z-]{{0,20}}:ec2:({REGION}):[0-9]{{0,12}}:image/(\S+)", _FLAGS)
_AMI_IN_URL = re.compile(r"(?<![0-9a-z-])ami-[0-9a-z]+", _FLAGS)
_REGION_PARAMETER = re.compile(rf"[?&;#]region=({REGION})(?![0-9a-z-])", _FLAGS)
_REGION_HOST = re.compile(rf"(?:https?://)?({REGION})\.console\.", _FLAGS)
_OTHER_KINDS = {
    "aki": "a kernel image",
    "ari": "a ramdisk image",
    "eni": "a network interface",
    "i": "an instance",
    "lt": "a launch template",
    "sg": "a security group",
    "snap": "a snapshot",
    "subnet": "a subnet",
    "vol": "a volume",
    "vpc": "a network",
}


def is_region(text: str) -> bool:
    """Return whether `text` can be the name of a region."""
    return bool(re.fullmatch(REGION, text, re.ASCII))


def parse(text: str) -> ImageId:
    """Return the AMI that `text` names, and its region if `text` contains it.

    Raises InvalidImageId with an explanation of the problem. Takes time linear in the length of
    `text`, which is limited.
    """
    text = strip_pasted_text(text, "This is too long for an AMI ID. Paste only the ID.")
    if not text:
        raise InvalidImageId(f"Enter an AMI ID, such as {EXAMPLE}.")
    if "://" in text or ".console." in text:
        return _parse_url(unquote(text))
    arn = _ARN.fullmatch(text)
    if arn:
        return ImageId(_canonical_id(arn[2]), arn[1].lower())
    if text.lower().startswith("arn:"):
        raise InvalidImageId(
            "This isn’t the ARN of an AMI, which looks like "
            f"arn:aws:ec2:us-east-1::image/{EXAMPLE}. Paste the AMI ID instead."
        )
    return ImageId(_canonical_id(text))


def _parse_url(url: str) -> ImageId:
    found = sorted({match.lower() for match in _AMI_IN_URL.findall(url)})
    if not found:
        raise InvalidImageId(
            "This URL doesn’t contain an AMI ID. Open the page of the AMI, or paste its ID."
        )
    if len(found) > 1:
        raise InvalidImageId("This URL contains more than one AMI ID. Paste one of the IDs.")
    region = _REGION_PARAMETER.search(url) or _REGION_HOST.match(url)
    return ImageId(_canonical_id(found[0]), region[1].lower() if region else "")


def _canonical_id(text: str) -> str:
    value = text.lower()
    if AMI.fullmatch(value):
        return value
    kind, dash, suffix = value.partition("-")
    if kind in _OTHER_KINDS and suffix:
        raise InvalidImageId(
            f"This is the ID of {_OTHER_KINDS[kind]}. An AMI ID begins with “ami-”."
        )
    if kind != "ami" or not dash:
        raise InvalidImageId(f"An AMI ID begins with “ami-”, for example {EXAMPLE}.")
    invalid = re.search(r"[^0-9a-f]", suffix)
    if invalid:
        raise InvalidImageId(
            f"An AMI ID can’t contain “{invalid[0]}”. After “ami-”, only the digits 0 to 9 and the "
            "letters a to f are allowed."
        )
    raise InvalidImageId(
        f"This AMI ID is {_length_problem(len(suffix))}. It has {len(suffix)} characters after "
        "“ami-” instead of 17, or 8 in older IDs. Copy the complete ID."
    )


def _length_problem(length: int) -> str:
    if length > 17:
        return "too long"
    return "too short" if length < 8 else "incomplete"
