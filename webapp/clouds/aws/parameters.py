"""Parameters of the Systems Manager Parameter Store that contain an AMI ID.

AWS publishes its current AMIs as parameters, for example
`/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64`. Launch templates use
`resolve:ssm:NAME` to refer to the current value of the parameter NAME. A version or label can
follow the name, for example `resolve:ssm:NAME:3`. The canonical ID of a parameter has the same
format.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from webapp.clouds.aws.ids import AMI, REGION_OR_ZONE, contains_ami, region_in
from webapp.clouds.errors import ImageNotVisible, InvalidImageId
from webapp.clouds.locators import ImageId
from webapp.clouds.messages import shorten
from webapp.clouds.pasted_text import strip_pasted_text

PREFIX = "resolve:ssm:"
EXAMPLE = f"{PREFIX}/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"

_FLAGS = re.IGNORECASE | re.ASCII
_NAME = r"[\w./-]{1,1011}"
_SELECTOR = r"(?::([\w.-]{1,100}))?"
"""A version or a label."""
_ARN = re.compile(
    rf"arn:(aws[a-z-]{{0,20}}):ssm:({REGION_OR_ZONE}):([0-9]{{0,12}})"
    rf":parameter/({_NAME}){_SELECTOR}",
    _FLAGS,
)
_REFERENCE = re.compile(r"(?<![\w:-])(?:resolve:)?ssm:(?://(?=/))?([^\s\"'{}\[\]<>,;]+)", _FLAGS)
"""A reference, alone or in the output of a tool, such as `{{resolve:ssm:/golden/web:3}}`."""
_ENCRYPTED = re.compile(r"(?<![\w-])resolve:(ssm-secure|secretsmanager):", _FLAGS)
_PUBLIC = re.compile(rf"(?<![\w/.-])(/aws/service/{_NAME}){_SELECTOR}", _FLAGS)
_PATH = re.compile(rf"((?:/[\w.-]+){{2,15}}){_SELECTOR}/?", re.ASCII)
_PARAMETER = re.compile(rf"({_NAME}){_SELECTOR}", re.ASCII)
_IN_CONSOLE = re.compile(
    r"(?:\.|//)console\.[^/]+/systems-manager/parameters/([^?#]+?)"
    r"/(?:description|overview|history|tags)(?![^?#/])",
    _FLAGS,
)
_OTHER_PATHS = re.compile(
    # Resource IDs of Azure, links of Google Cloud, and paths of OpenStack, which contain a UUID.
    r"/(?:subscriptions|providers|resourcegroups|communitygalleries|sharedgalleries"
    r"|projects/[^/]+/global|[^/]+/global/images)/"
    r"|.*[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    _FLAGS,
)


def parse(text: str) -> ImageId | None:
    """Return the canonical reference to the parameter that `text` names, and the region in `text`.

    Returns None if the text does not name a parameter. Also returns None if the text contains an
    AMI ID, because an AMI ID is more exact than a parameter.

    Raises InvalidImageId if the text names a secret or several parameters, or if the name is
    invalid. The time is linear in the length of `text`, which is limited.
    """
    text = strip_pasted_text(text, "This is too long for an AMI ID. Paste only the ID.")
    if contains_ami(text):
        return None
    if _ENCRYPTED.search(text):
        raise InvalidImageId(
            "This refers to a secret, which the registry doesn’t read. Store the AMI ID in a "
            "parameter of type String, or paste the AMI ID.",
            recognized=True,
        )
    references = set(_parameters_in(text))
    if len(references) > 1:
        raise InvalidImageId(
            "This text contains more than one parameter. Paste only one of them.", recognized=True
        )
    return references.pop() if references else None


def _parameters_in(text: str) -> Iterable[ImageId]:
    arns = [_from_arn(match) for match in _ARN.finditer(text)]
    if arns:
        return arns
    region = region_in(text)
    names = [match[1] for match in _REFERENCE.finditer(text)]
    names = names or [match[0].rstrip("/") for match in _PUBLIC.finditer(text)]
    names = names or [_name_in_console(page[1]) for page in _IN_CONSOLE.finditer(text)]
    if not names and _PATH.fullmatch(text) and not _OTHER_PATHS.match(text):
        names = [text.rstrip("/")]
    return [ImageId(_canonical_reference(name), region, is_alias=True) for name in names]


def parameter_in(image_id: str) -> str:
    """Return the name to pass to GetParameter for a canonical reference, or '' for an AMI ID."""
    return image_id.removeprefix(PREFIX) if image_id.startswith(PREFIX) else ""


def ami_in(parameter: Mapping[str, Any], name: str) -> str:
    """Return the AMI ID in the value of `parameter`, which comes from a response of GetParameter.

    The value is the ID or, for the recommended AMIs of ECS and EKS, a JSON object that contains the
    ID. Raises ImageNotVisible if the value has no ID. No message contains the value, because it may
    be a secret.
    """
    kind = parameter.get("Type")
    if kind == "SecureString":
        raise ImageNotVisible(
            f"The parameter {name} is encrypted (SecureString), so the registry doesn’t read it. "
            "Store the AMI ID in a parameter of type String, or enter the AMI ID."
        )
    value = str(parameter.get("Value") or "").strip()
    if value.startswith("{"):
        value = _image_id_in_json(value)
    if kind == "StringList" or not AMI.fullmatch(value):
        raise ImageNotVisible(
            f"The value of the parameter {name} isn’t an AMI ID. Choose a parameter that contains "
            "one AMI ID, or enter the AMI ID."
        )
    return value


def _from_arn(arn: re.Match[str]) -> ImageId:
    partition, region, account, name, selector = arn.groups()
    if account:
        # The parameter may belong to another account, which only the ARN names.
        name = f"arn:{partition}:ssm:{region}:{account}:parameter/".lower() + name
    else:
        name = f"/{name}"
    value = f"{PREFIX}{name}:{selector}" if selector else f"{PREFIX}{name}"
    return ImageId(value, region.lower(), is_alias=True)


def _canonical_reference(text: str) -> str:
    match = _PARAMETER.fullmatch(text)
    if not match:
        raise InvalidImageId(
            f"“{shorten(text, 60)}” isn’t the name of a parameter. A name has only letters, "
            "digits, dots, hyphens, underscores and slashes, and a version or label can follow "
            f"after a colon. A reference looks like {EXAMPLE}.",
            recognized=True,
        )
    return PREFIX + match[0]


def _name_in_console(text: str) -> str:
    """Return the name of a parameter from the part of a console URL that contains the name.

    If the name of a parameter contains a slash, the name also begins with a slash. The URL may omit
    the slash at the beginning.
    """
    name = unquote(unquote(text))
    return f"/{name.removeprefix('/')}" if "/" in name else name


def _image_id_in_json(text: str) -> str:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    return str(value.get("image_id") or "") if isinstance(value, dict) else ""
