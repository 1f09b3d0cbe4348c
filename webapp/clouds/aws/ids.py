"""Parsing of pasted AMI IDs.

`parse` accepts an ID, an ARN, and a link to the AWS console. It also accepts the output of a tool
if the output contains only one AMI ID.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import unquote

from webapp.clouds.errors import InvalidImageId
from webapp.clouds.locators import ImageId
from webapp.clouds.messages import join_first
from webapp.clouds.pasted_text import strip_pasted_text

AMI = re.compile(r"ami-(?:[0-9a-f]{8}|[0-9a-f]{17})")
REGION = r"[a-z]{2,6}(?:-[a-z]{2,12}){1,3}-[0-9]{1,2}"
ZONE = rf"{REGION}(?:[a-z]|(?:-[a-z0-9]{{2,12}}){{1,3}}-[0-9]{{1,2}}[a-z]?)"
"""An availability zone, a local zone or a Wavelength zone: us-east-1a, us-west-2-lax-1a."""
ZONE_ID = r"[a-z]{3,6}[0-9]{1,2}(?:-[a-z0-9]{2,12}){0,2}-az[0-9]{1,2}"
"""The ID of a zone, such as use1-az1. It begins with an abbreviation of the region."""
EXAMPLE = "ami-0123456789abcdef0"

_FLAGS = re.IGNORECASE | re.ASCII
REGION_OR_ZONE = rf"(?:{ZONE}|{ZONE_ID}|{REGION})"
"""A region, or a zone that a person enters by mistake. `locations.parse` refuses a zone."""
_ARN = re.compile(
    rf"arn:aws[a-z-]{{0,20}}:ec2:({REGION_OR_ZONE}):[0-9]{{0,12}}:image/(\S+)", _FLAGS
)
_AMI_IN_TEXT = re.compile(r"(?<![\w-])ami-[0-9a-z]+(?![\w-])", _FLAGS)
_AMI_NOT_IN_PATH = re.compile(r"(?<![\w/-])ami-[0-9a-z]+(?![\w-])", _FLAGS)
"""An AMI ID without a slash before it.

In a path of another cloud, a slash precedes each name. So the pattern does not match a name that
looks like an AMI ID.
"""
_OTHER_PATH = re.compile(
    r"://|/global/images|(?:^|/)(?:subscriptions|providers|communitygalleries|sharedgalleries)/",
    _FLAGS,
)
"""A URL, or a path of Azure or Google Cloud. In these clouds, a name can look like an AMI ID."""
_HEXADECIMAL_AMI = re.compile(r"ami-[0-9a-f]+")
_REGION_BEFORE_AMI = re.compile(
    rf"(?<![\w-])({REGION_OR_ZONE})(?:[\"']?\s{{0,9}}[:=/]\s{{0,9}}[\"']?"
    r"|:[0-9]{0,12}:image/)(ami-[0-9a-z]+)(?![\w-])",
    _FLAGS,
)
"""A region and its AMI, as in Packer's `us-east-1:ami-…`, `us-east-1/ami-…` or an ARN."""
_REGION_BESIDE_AMI = re.compile(
    r"(?<![\w-])(?:(?P<before>{0})[ \t]+)?(?P<ami>ami-[0-9a-z]+)"
    r"(?:[\"'`]?(?:[ \t]+in[ \t]+|[ \t]*[@,]?[ \t]*)(?P<after>{0})(?![\w-]))?".format(
        r"(?:af|ap|ca|cn|eu|eusc|il|me|mx|sa|us)(?:-[a-z]{2,5})?"
        r"-(?:north|south)?(?:north|south|east|west|central)-[0-9](?:[a-z]|-[a-z]{2,9}-[0-9][a-z]?)?"
    ),
    _FLAGS,
)
"""An AMI beside a region: `us-east-1 ami-…` or `ami-… in us-east-1`.

The pattern matches only words that are certainly regions or zones. Any other word could be a name.
"""
_LABELED_REGION = re.compile(
    rf"(?:(?<![a-z])region[\"']?\s{{0,9}}[:=]?\s{{0,9}}[\"']?)({REGION_OR_ZONE})(?![\w-])", _FLAGS
)
"""A region in `?region=us-east-1`, `"Region": "us-east-1"` or `--region us-east-1`."""
_REGION_HOST = re.compile(rf"(?:https?://)?({REGION_OR_ZONE})\.console\.", _FLAGS)
_OTHER_ID = re.compile(
    r"(?<![\w/-])(aki|ari|eni|i|lt|sg|snap|subnet|vol|vpc)-[0-9a-f]{4,40}(?![\w-])", _FLAGS
)
_AWS_HOST = re.compile(r"(?:console\.|\.)(?:aws|amazon)", _FLAGS)
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


def region_in(text: str) -> str:
    """Return the region in a URL or in the output of a tool, or '' if there is not exactly one."""
    regions = {region.lower() for region in _LABELED_REGION.findall(text)}
    host = _REGION_HOST.match(text)
    if not regions and host:
        regions = {host[1].lower()}
    return regions.pop() if len(regions) == 1 else ""


def contains_ami(text: str) -> bool:
    """Return whether `text` contains an AMI ID, alone or between other words."""
    return any(AMI.fullmatch(match.lower()) for match in _amis_in(text))


def _amis_in(text: str) -> list[str]:
    is_other_cloud = _OTHER_PATH.search(text) and not _AWS_HOST.search(text)
    amis: list[str] = (_AMI_NOT_IN_PATH if is_other_cloud else _AMI_IN_TEXT).findall(text)
    return amis


def parse(text: str) -> ImageId:
    """Return the ID of the AMI that `text` names, and the region in `text`, if any.

    The text may contain other words, but only one AMI ID. Raises InvalidImageId with an explanation
    of the problem. The time is linear in the length of `text`, which is limited.
    """
    text = strip_pasted_text(text, "This is too long for an AMI ID. Paste only the ID.")
    if not text:
        raise InvalidImageId(f"Enter an AMI ID, such as {EXAMPLE}.")
    arn = _ARN.fullmatch(text)
    if arn:
        return ImageId(_canonical_id(arn[2]), arn[1].lower())
    plain = unquote(text) if "://" in text or ".console." in text else text
    pairs = [(ami.lower(), region.lower()) for region, ami in _REGION_BEFORE_AMI.findall(plain)]
    regions = dict(pairs)
    candidates = {*regions, *(match.lower() for match in _amis_in(plain))}
    amis = sorted(candidate for candidate in candidates if AMI.fullmatch(candidate))
    if len(amis) > 1:
        raise InvalidImageId(_several_amis_message(amis, regions), recognized=True)
    if amis:
        if len(set(pairs)) > 1:
            raise InvalidImageId(
                "This text contains more than one region: "
                f"{join_first(sorted({region for _, region in pairs}), 3)}. Paste the ID with "
                "only one of them.",
                recognized=True,
            )
        region = regions.get(amis[0]) or region_in(plain) or _region_beside_ami(plain)
        return ImageId(amis[0], region)
    if text.lower().startswith("arn:"):
        raise InvalidImageId(
            "This isn’t the ARN of an AMI, which looks like "
            f"arn:aws:ec2:us-east-1::image/{EXAMPLE}. Paste the AMI ID instead.",
            recognized=True,
        )
    _refuse_other_kind(plain)
    if "://" in text or ".console." in text:
        if candidates:
            return ImageId(_canonical_id(min(candidates)))
        raise InvalidImageId(
            "This URL doesn’t contain an AMI ID. Open the page of the AMI, or paste its ID.",
            recognized=bool(_AWS_HOST.search(text)),
        )
    incomplete_amis = sorted(filter(_HEXADECIMAL_AMI.fullmatch, candidates))
    if incomplete_amis and not text.lower().startswith("ami-"):
        return ImageId(_canonical_id(incomplete_amis[0]))
    return ImageId(_canonical_id(text))


def _region_beside_ami(text: str) -> str:
    matches = _REGION_BESIDE_AMI.finditer(text)
    regions = {(match["before"] or match["after"] or "").lower() for match in matches}
    return regions.pop() if len(regions) == 1 else ""


def _several_amis_message(amis: Sequence[str], regions: Mapping[str, str]) -> str:
    descriptions = [f"{ami} in {regions[ami]}" if ami in regions else ami for ami in amis]
    return (
        f"This text contains more than one AMI ID: {join_first(descriptions, 3)}. Paste only one "
        "of them."
    )


def _refuse_other_kind(text: str) -> None:
    """Raise InvalidImageId if the text contains the ID of something else, such as an instance."""
    if other := _OTHER_ID.search(text):
        raise InvalidImageId(
            f"This is the ID of {_OTHER_KINDS[other[1].lower()]}. An AMI ID begins with “ami-”.",
            recognized=True,
        )


def _canonical_id(text: str) -> str:
    value = text.lower()
    if AMI.fullmatch(value):
        return value
    _refuse_other_kind(value)
    kind, dash, suffix = value.partition("-")
    if kind != "ami" or not dash:
        raise InvalidImageId(f"An AMI ID begins with “ami-”, for example {EXAMPLE}.")
    invalid = re.search(r"[^0-9a-f]", suffix)
    if invalid:
        raise InvalidImageId(
            f"An AMI ID can’t contain “{invalid[0]}”. After “ami-”, only the digits 0 to 9 and the "
            "letters a to f are allowed.",
            recognized=True,
        )
    raise InvalidImageId(
        f"This AMI ID is {_length_problem(len(suffix))}. It has {len(suffix)} characters after "
        "“ami-” instead of 17, or 8 in older IDs. Copy the complete ID.",
        recognized=True,
    )


def _length_problem(length: int) -> str:
    if length > 17:
        return "too long"
    return "too short" if length < 8 else "incomplete"
