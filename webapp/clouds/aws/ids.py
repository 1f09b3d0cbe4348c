"""What people paste for an AMI: the id itself, an ARN, or an address of the console."""

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
_AMI_IN_ADDRESS = re.compile(r"(?<![0-9a-z-])ami-[0-9a-z]+", _FLAGS)
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


def parse(text: str) -> ImageId:
    """The AMI that `text` names, and its region where `text` says it. Raises InvalidImageId with
    what is wrong. Linear in the length of `text`, which is bounded besides."""
    text = strip_pasted_text(text, "This is far too long for an AMI id. Paste the id alone.")
    if not text:
        raise InvalidImageId(f"Enter the id of an AMI, such as {EXAMPLE}.")
    if "://" in text or ".console." in text:
        return _from_address(unquote(text))
    arn = _ARN.fullmatch(text)
    if arn:
        return ImageId(_checked(arn[2]), arn[1].lower())
    if text.lower().startswith("arn:"):
        raise InvalidImageId(
            "This ARN is not that of an AMI, which looks like "
            f"arn:aws:ec2:us-east-1::image/{EXAMPLE}. Paste the AMI id itself."
        )
    return ImageId(_checked(text))


def _from_address(address: str) -> ImageId:
    found = sorted({match.lower() for match in _AMI_IN_ADDRESS.findall(address)})
    if not found:
        raise InvalidImageId("This address names no AMI. Open the AMI itself, or paste its id.")
    if len(found) > 1:
        raise InvalidImageId("This address names more than one AMI. Paste the id of one of them.")
    region = _REGION_PARAMETER.search(address) or _REGION_HOST.match(address)
    return ImageId(_checked(found[0]), region[1].lower() if region else "")


def _checked(text: str) -> str:
    value = text.lower()
    if AMI.fullmatch(value):
        return value
    kind, dash, rest = value.partition("-")
    if kind in _OTHER_KINDS and rest:
        raise InvalidImageId(
            f"This is the id of {_OTHER_KINDS[kind]}. The id of an AMI begins with “ami-”."
        )
    if kind != "ami" or not dash:
        raise InvalidImageId(f"The id of an AMI begins with “ami-”, as in {EXAMPLE}.")
    wrong = re.search(r"[^0-9a-f]", rest)
    if wrong:
        raise InvalidImageId(
            f"“{wrong[0]}” cannot occur in an AMI id: after “ami-” come only the digits 0 to 9 and "
            "the letters a to f."
        )
    raise InvalidImageId(
        f"This AMI id is {_misfit(len(rest))}: after “ami-” come 17 characters, or 8 in an older "
        f"one, and this has {len(rest)}. Copy the whole id."
    )


def _misfit(length: int) -> str:
    if length > 17:
        return "too long"
    return "too short" if length < 8 else "incomplete"
