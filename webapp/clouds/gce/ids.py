"""Parsing of pasted Compute Engine image IDs.

`parse` accepts PROJECT/global/images/NAME, a selfLink, a full resource name, a link to the Google
Cloud console, an image family, and a gcloud command with options such as `--image-project`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from webapp.clouds.errors import InvalidImageId
from webapp.clouds.locators import ImageId
from webapp.clouds.pasted_text import MAX_LENGTH, parse_whole_or_part, strip_pasted_text

EXAMPLE = "debian-cloud/global/images/debian-13-trixie-v20261112"

NAME = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")
NUMBER = re.compile(r"[1-9][0-9]{0,19}")
PROJECT = re.compile(
    r"(?:[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
    r"(?:\.[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?){0,4}:)?"
    r"(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?|[1-9][0-9]{0,18})"
)
"""A project ID or number.

Some old IDs begin with the domain of an organization (`example.com:web`). IDs in a sovereign cloud
begin with the prefix of that cloud (`eu0:web`). See `universes`.
"""

_OTHER_KINDS = {
    "disks": "a disk",
    "disksDetail": "a disk",
    "instances": "an instance",
    "instancesDetail": "an instance",
    "instanceTemplates": "an instance template",
    "instanceTemplatesDetail": "an instance template",
    "instantSnapshots": "an instant snapshot",
    "licenses": "a license",
    "machineImages": "a machine image",
    "machineImagesDetail": "a machine image",
    "repositories": "a repository",
    "snapshots": "a snapshot",
    "snapshotsDetail": "a snapshot",
    "storagePools": "a storage pool",
}
_OPTION = re.compile(
    r"(?<!\S)--(image|image-family|image-project)(?:=|[ \t]{1,9})"
    r"[\"']?([^\s\"'/]{1,80})[\"']?(?!\S)",
    re.IGNORECASE,
)
"""An option of gcloud that names an image, its family or its project."""
_GOOGLE_HOST = re.compile(r"(?:^|[/.])(?:google|googleapis)\.com(?:/|$)")
_FORMAT = f"The format is PROJECT-ID/global/images/NAME, for example {EXAMPLE}."


@dataclass(frozen=True)
class ImageRef:
    """A parsed image ID, which refers to an image or to an image family.

    `name` is the name or the number of the image, or the name of the family. Compute Engine
    resolves a family to its current image.
    """

    project: str
    name: str
    is_family: bool = False

    def __str__(self) -> str:
        return f"{self.project}/global/images/{'family/' if self.is_family else ''}{self.name}"


def parse(text: str) -> ImageId:
    """Return the canonical ID of the image that `text` names.

    Raises InvalidImageId with the reason. The time is linear in the length of `text`, which is
    limited.
    """
    return parse_whole_or_part(_path_in_options(text), _parse_part)


def name_pattern(words: Sequence[str]) -> str:
    """Return a regular expression for names that contain the first of `words`, or ''.

    Names consist of up to 63 lower-case letters, digits and hyphens. The expression is '' if there
    are no words, or if no name can contain the first word.
    """
    word = words[0] if words else ""
    return f".*{word}.*" if re.fullmatch("[a-z0-9-]{1,63}", word) else ""


def _path_in_options(text: str) -> str:
    """Return the image ID that the gcloud options in `text` describe together.

    For example, return `acme/global/images/web` for `--image=web --image-project=acme`. If the
    options do not describe exactly one image or family, return `text`.
    """
    options = {name.lower(): value for name, value in _OPTION.findall(text[: MAX_LENGTH + 1])}
    project = options.get("image-project", "")
    name, family = options.get("image", ""), options.get("image-family", "")
    if not project or bool(name) == bool(family):
        return text
    return f"{project}/global/images/{f'family/{family}' if family else name}"


def _parse_part(text: str) -> ImageId:
    reference = parse_reference(text)
    return ImageId(str(reference), is_alias=reference.is_family)


def parse_reference(text: str) -> ImageRef:
    """Return the image or family that `text` names. Raises InvalidImageId with the reason."""
    text = strip_pasted_text(text, "This is too long for an image ID. Paste only the ID.")
    if not text:
        raise InvalidImageId(f"Enter an image ID, such as {EXAMPLE}.")
    is_url = "://" in text or text.startswith(("//", "console.")) or ".googleapis.com/" in text
    path = unquote(re.split(r"[?#]", text, maxsplit=1)[0])
    parts = path.strip("/").split("/")
    if "projects" in parts:
        return _parse_path(parts[parts.index("projects") + 1 :])
    if is_url:
        raise InvalidImageId(
            _explain_other_kind(parts)
            or "This URL doesn’t contain an image. Open the page of the image, select Equivalent "
            "REST, and copy its selfLink.",
            recognized=bool(_GOOGLE_HOST.search(text)),
        )
    return _parse_path(parts)


def _parse_path(parts: list[str]) -> ImageRef:
    """Parse the segments of a path that begins with the project."""
    match parts:
        case [project, "global", "images", "family", name] if name:
            return ImageRef(
                _valid_project(project), _valid_name(name, "an image family"), is_family=True
            )
        case [project, "zones", _, "imageFamilyViews", name]:
            return ImageRef(
                _valid_project(project), _valid_name(name, "an image family"), is_family=True
            )
        case [project, "global", "images", name] if name and name != "family":
            if NUMBER.fullmatch(name):
                return ImageRef(_valid_project(project), name)
            return ImageRef(_valid_project(project), _valid_name(name, "an image"))
    raise _wrong_path(parts)


def _wrong_path(parts: list[str]) -> InvalidImageId:
    """Return the error that explains why a path is not an image ID."""
    recognized = True
    match parts:
        case _ if explanation := _explain_other_kind(parts):
            recognized = parts[1:2] in (["global"], ["regions"], ["zones"])
            problem = explanation
        case ["global", "images", *_] | ["images", *_]:
            problem = (
                "The project is missing. Enter the project ID of the image before “global/images/”"
                f", for example {EXAMPLE}."
            )
        case [_, "global", "images", *rest] if len(rest) < 2 or rest == ["family", ""]:
            problem = (
                "The name is missing. Enter the image name after “global/images/”, or “family/” "
                "and the name of an image family."
            )
        case [_, "images", *_]:
            problem = (
                "“global” is missing between the project and “images”. Enter "
                "PROJECT-ID/global/images/NAME."
            )
        case [_, "regions" | "zones", _, "images", *_]:
            problem = (
                "Compute Engine images don’t belong to a region or zone. Enter "
                "PROJECT-ID/global/images/NAME."
            )
        case [project, name] if PROJECT.fullmatch(project) and NAME.fullmatch(name):
            problem = (
                "This could be an image or an image family. Enter “/global/images/” or "
                f"“/global/images/family/” after the project, for example {EXAMPLE}."
            )
        case [name] if NAME.fullmatch(name) or NUMBER.fullmatch(name):
            recognized = False
            problem = (
                "The project is missing. Enter the project and “/global/images/” before the name, "
                f"for example {EXAMPLE}."
            )
        case _:
            recognized = False
            problem = f"This isn’t an image ID. {_FORMAT}"
    return InvalidImageId(problem, recognized=recognized)


def _explain_other_kind(parts: list[str]) -> str:
    """Return the message for the path of another kind of resource, such as a disk.

    Returns '' if `parts` is not such a path.
    """
    kind = next((_OTHER_KINDS[part] for part in parts if part in _OTHER_KINDS), "")
    return kind and (
        f"This is {kind}, not an image. Enter the ID of an image. In Compute Engine, you can "
        "create an image from a disk or a snapshot."
    )


def _valid_project(text: str) -> str:
    if PROJECT.fullmatch(text):
        return text
    raise InvalidImageId(
        "The project in this text isn’t a project ID. A project ID usually contains only lowercase "
        "letters, digits and hyphens. Copy it from the selfLink of the image.",
        recognized=True,
    )


def _valid_name(text: str, kind: str) -> str:
    if NAME.fullmatch(text):
        return text
    if len(text) > 63:
        raise InvalidImageId(
            f"The name of {kind} has at most 63 characters, but this name has {len(text)}. Copy "
            "the name again.",
            recognized=True,
        )
    invalid = re.search(r"[^-a-z0-9]", text)
    if invalid:
        raise InvalidImageId(
            f"The name of {kind} can’t contain {_printable(invalid[0])}. Only lowercase letters, "
            "digits and hyphens are allowed.",
            recognized=True,
        )
    raise InvalidImageId(
        f"The name of {kind} must begin with a letter and end with a letter or digit. Copy the "
        "complete name.",
        recognized=True,
    )


def _printable(character: str) -> str:
    return f"“{character}”" if character.isprintable() else f"the character U+{ord(character):04X}"
