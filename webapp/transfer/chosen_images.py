"""Make the lines of an import without a file, from pasted image IDs or from selected images."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from webapp.clouds import CLOUDS, recognize_image_id
from webapp.clouds.base import Cloud
from webapp.clouds.errors import InvalidImageId
from webapp.clouds.locators import Locator
from webapp.images.choices import ImageChoices
from webapp.transfer.import_file import IDS, SELECTION, FileLine, ParsedFile, UnreadableFile
from webapp.values.tags import join_tags

MAX_IMAGES = 1_000
"""The maximum number of images that a person can paste or select for one import.

An import of at most this many images is prepared within the request.
"""
MAX_ID_LENGTH = 2_000
"""The maximum length of a pasted or selected image ID, in characters."""


def lines_of_ids(
    text: str, preferred_clouds: Collection[str], cloud: Cloud | None, settings: Mapping[str, str]
) -> ParsedFile:
    """Return an import line for each image ID in `text`, which has one ID per line.

    Blank lines and repeated IDs are left out. All IDs belong to `cloud`. If `cloud` is None, the
    cloud of each ID is detected. If an ID may belong to several clouds, the clouds in
    `preferred_clouds` take precedence. `preferred_clouds` contains the keys of the clouds for which
    the person chose credentials. `settings` contains the values for all images, by column. Raises
    UnreadableFile if there are no IDs or too many.
    """
    numbers: dict[str, int] = {}
    repeated = 0
    for number, each in enumerate(text.splitlines(), start=1):
        pasted = each.strip()
        repeated += pasted in numbers
        if pasted:
            numbers.setdefault(pasted, number)
    if not numbers:
        raise UnreadableFile("Paste at least one image ID.")
    _require_allowed_count(len(numbers))
    lines = [
        _line_of_id(f"line {number}", pasted, preferred_clouds, cloud, settings)
        for pasted, number in numbers.items()
    ]
    note = f"Repeated IDs were skipped: {repeated}."
    return ParsedFile(IDS, lines, notes=(note,) if repeated else ())


def selected_lines(
    cloud: Cloud, locators: Sequence[Locator], settings: Mapping[str, str]
) -> ParsedFile:
    """Return an import line for each selected image.

    Raises UnreadableFile if there are no images or too many.
    """
    if not locators:
        raise UnreadableFile("Select at least one image.")
    _require_allowed_count(len(locators))
    return ParsedFile(SELECTION, list(_lines(cloud, locators, settings)))


def settings_of(choices: ImageChoices) -> dict[str, str]:
    """Return the values that a person entered for an image, as the texts of a line."""
    values = {
        "name": choices.name,
        "os_family": choices.os_family,
        "os_version": choices.os_version,
        "size_gb": str(choices.size_gb or ""),
        "tags": join_tags(choices.tags),
    }
    return {
        **values,
        **yes_no_values(agent_installed=choices.agent_installed, shared=choices.shared),
    }


def yes_no_values(*, agent_installed: bool, shared: bool) -> dict[str, str]:
    """Return boolean settings as “yes” or “no”, as an import line contains them."""
    values = {"agent_installed": agent_installed, "shared": shared}
    return {name: "yes" if value else "no" for name, value in values.items()}


def _require_allowed_count(count: int) -> None:
    if count > MAX_IMAGES:
        raise UnreadableFile(
            f"{count:,} images are too many. Register at most {MAX_IMAGES:,} at once, or import a "
            "file."
        )


def _lines(
    cloud: Cloud, locators: Iterable[Locator], settings: Mapping[str, str]
) -> Iterable[FileLine]:
    for number, locator in enumerate(locators, start=1):
        values = {
            "cloud": cloud.key,
            "location": locator.location,
            "cloud_image_id": locator.image_id,
            "compute_resource": locator.compute_resource,
            **settings,
        }
        yield FileLine(f"image {number}", {name: text for name, text in values.items() if text})


def _line_of_id(
    position: str,
    text: str,
    preferred_clouds: Collection[str],
    cloud: Cloud | None,
    settings: Mapping[str, str],
) -> FileLine:
    shown = text[:MAX_ID_LENGTH]
    if len(text) > MAX_ID_LENGTH:
        message = "This line is too long for an image ID. Copy only the ID."
        return FileLine(position, errors=(message,), artifact=shown)
    try:
        key = cloud.key if cloud else _cloud_of(text, preferred_clouds)
    except InvalidImageId as error:
        return FileLine(position, errors=(str(error),), artifact=shown)
    return FileLine(position, {"cloud": key, "cloud_image_id": text, **settings})


def _cloud_of(text: str, preferred_clouds: Collection[str]) -> str:
    """Return the key of the cloud that the ID belongs to.

    The clouds in `preferred_clouds` take precedence. Raises InvalidImageId if there is no such
    cloud or more than one.
    """
    found, problems = recognize_image_id(text)
    keys = [cloud.key for cloud, _ in found]
    candidates = [key for key in keys if key in preferred_clouds] or keys
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        names = " and ".join(CLOUDS[key].label for key in candidates)
        raise InvalidImageId(
            f"{names} use IDs like this one. Go back and choose a cloud for your list."
        )
    if problems:
        raise problems[0][1]
    raise InvalidImageId(
        "This doesn’t look like an image ID from any supported cloud. Check that you copied all of "
        "it."
    )
