"""What people paste for an image of Compute Engine: the part of a self link that says which image,
a whole self link, a full resource name, an address of the console, or an image family."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from webapp.clouds.base import ImageId, InvalidImageId
from webapp.clouds.pasted_text import strip_pasted_text

EXAMPLE = "debian-cloud/global/images/debian-13-trixie-v20261112"

NAME = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")
NUMBER = re.compile(r"[1-9][0-9]{0,19}")
PROJECT = re.compile(
    r"(?:(?:[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?\.){1,4}[a-z]{2,20}:)?"
    r"(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?|[1-9][0-9]{0,18})"
)
"""A project's id, with its organisation's domain before it in old ones, or its number."""

_OTHER_KINDS = {
    "disks": "a disk",
    "disksDetail": "a disk",
    "instances": "a server",
    "instancesDetail": "a server",
    "instanceTemplates": "an instance template",
    "instanceTemplatesDetail": "an instance template",
    "instantSnapshots": "an instant snapshot",
    "licenses": "a licence",
    "machineImages": "a machine image",
    "machineImagesDetail": "a machine image",
    "repositories": "a repository",
    "snapshots": "a snapshot",
    "snapshotsDetail": "a snapshot",
    "storagePools": "a storage pool",
}
_FORM = f"An image is written PROJECT-ID/global/images/NAME, as in {EXAMPLE}."


@dataclass(frozen=True)
class ImageRef:
    """What a canonical id names: an image, by its name or its number, or the present one of a
    family."""

    project: str
    name: str
    family: bool = False

    def __str__(self) -> str:
        return f"{self.project}/global/images/{'family/' if self.family else ''}{self.name}"


def parse(text: str) -> ImageId:
    """The image that `text` names. Raises InvalidImageId with what is wrong. Linear in the length
    of `text`, which is bounded besides."""
    return ImageId(str(reference(text)))


def reference(text: str) -> ImageRef:
    """As `parse`, in parts."""
    text = strip_pasted_text(
        text, "This is far too long for the id of an image. Paste the id alone."
    )
    if not text:
        raise InvalidImageId(f"Enter the id of an image, such as {EXAMPLE}.")
    is_address = "://" in text or text.startswith(("//", "console.")) or ".googleapis.com/" in text
    path = unquote(re.split(r"[?#]", text, maxsplit=1)[0])
    parts = path.strip("/").split("/")
    if "projects" in parts:
        return _in_project(parts[parts.index("projects") + 1 :])
    if is_address:
        raise InvalidImageId(
            _other_kind(parts)
            or "This address names no image. Open the image itself, then REST, and copy its "
            "selfLink."
        )
    return _in_project(parts)


def _in_project(parts: list[str]) -> ImageRef:
    """From the project on."""
    match parts:
        case [project, "global", "images", "family", name] if name:
            return ImageRef(_project(project), _name(name, "an image family"), family=True)
        case [project, "zones", _, "imageFamilyViews", name]:
            return ImageRef(_project(project), _name(name, "an image family"), family=True)
        case [project, "global", "images", name] if name and name != "family":
            if NUMBER.fullmatch(name):
                return ImageRef(_project(project), name)
            return ImageRef(_project(project), _name(name, "an image"))
    raise InvalidImageId(_what_is_wrong(parts))


def _what_is_wrong(parts: list[str]) -> str:
    match parts:
        case _ if other := _other_kind(parts):
            wrong = other
        case ["global", "images", *_] | ["images", *_]:
            wrong = (
                "The project is missing: before “global/images/” comes the id of the project that "
                f"has the image, as in {EXAMPLE}."
            )
        case [_, "global", "images", *rest] if len(rest) < 2 or rest == ["family", ""]:
            wrong = (
                "The name is missing: after “global/images/” comes the name of the image, or "
                "“family/” and the name of a family."
            )
        case [_, "images", *_]:
            wrong = (
                "Between the project and “images” belongs “global”: write "
                "PROJECT-ID/global/images/NAME."
            )
        case [_, "regions" | "zones", _, "images", *_]:
            wrong = (
                "Images of Compute Engine belong to no region or zone: write "
                "PROJECT-ID/global/images/NAME."
            )
        case [project, name] if PROJECT.fullmatch(project) and NAME.fullmatch(name):
            wrong = (
                "This does not say whether an image or a family is meant. After the project write "
                f"“/global/images/”, or “/global/images/family/”, as in {EXAMPLE}."
            )
        case [name] if NAME.fullmatch(name) or NUMBER.fullmatch(name):
            wrong = (
                "The project is missing: this is a name alone. Put the project that has the image "
                f"before it, as in {EXAMPLE}."
            )
        case _:
            wrong = f"This is not the id of an image. {_FORM}"
    return wrong


def _other_kind(parts: list[str]) -> str:
    """The sentence for what is something else of Compute Engine."""
    found = next((_OTHER_KINDS[each] for each in parts if each in _OTHER_KINDS), "")
    return found and (
        f"This is {found}, not an image. Make an image of it in Compute Engine, or choose one "
        "under Images."
    )


def _project(text: str) -> str:
    if PROJECT.fullmatch(text):
        return text
    raise InvalidImageId(
        "The part before “/global/images/” is not the id of a project, which has only small "
        "letters, digits and hyphens. Copy it from the image's selfLink."
    )


def _name(text: str, what: str) -> str:
    if NAME.fullmatch(text):
        return text
    if len(text) > 63:
        raise InvalidImageId(
            f"The name of {what} has at most 63 characters, and this has {len(text)}. Copy it "
            "again."
        )
    wrong = re.search(r"[^-a-z0-9]", text)
    if wrong:
        raise InvalidImageId(
            f"The name of {what} cannot have {_shown(wrong[0])} in it: there are only small "
            "letters, digits and hyphens."
        )
    raise InvalidImageId(
        f"The name of {what} begins with a letter and ends with a letter or digit. Copy the whole "
        "name."
    )


def _shown(character: str) -> str:
    return f"“{character}”" if character.isprintable() else f"the character U+{ord(character):04X}"
