"""Parse the builds in a manifest of HashiCorp Packer into lines of an import.

Some builders write too little into the manifest to identify an image. If an image cannot be
identified without another value, such as the location, its line says which value is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from webapp.clouds import CLOUDS, clouds_for_image_id
from webapp.clouds.base import Cloud
from webapp.clouds.errors import IncompleteArtifact, InvalidImageId
from webapp.clouds.locators import Locator, NamedImage
from webapp.images.choices import is_valid_name
from webapp.images.identity import ImageIdentity
from webapp.transfer.export import IMPORT_COLUMNS
from webapp.transfer.import_file import (
    FileLine,
    UnreadableFile,
    first_errors,
    json_values,
    printable,
)

_IMAGE_ID = re.compile(r"[^\s\"'`“”‘’<>;|]{1,512}")
"""An artifact ID that can show the cloud of a build.

The length is limited, because the registry can't store longer image IDs. The resource ID of a
version in an Azure gallery has up to about 400 characters. A text with blanks or quotes must
not match, because the adapters would try to parse many parts of it.
"""

_CLOUDS_BY_BUILDER = {
    builder: cloud for cloud in CLOUDS.values() for builder in cloud.packer_builders
}


def parse_builds(builds: Sequence[Any], max_lines: int) -> tuple[list[FileLine], list[str]]:
    """Return a line for each image of the builds, and notes for the person.

    Every run of Packer adds its builds to the manifest. If several builds produced the same image,
    only the newest build is used. Raises UnreadableFile if all builds together have more than
    `max_lines` images.
    """
    newest: dict[object, tuple[float, FileLine]] = {}
    errors: list[FileLine] = []
    line_count = older_count = 0
    for number, build in enumerate(builds, start=1):
        for line in _build_lines(number, build):
            line_count += 1
            if line_count > max_lines:
                raise UnreadableFile(
                    f"The manifest has more than {max_lines:,} images, including older builds. "
                    "Remove the older builds."
                )
            if line.errors:
                errors.append(line)
                continue
            key, built_at = _image_key(line), _build_time(build)
            older_count += key in newest
            if key not in newest or built_at >= newest[key][0]:
                newest[key] = (built_at, line)
    note = f"Older builds of the same images were skipped: {older_count}."
    lines = [*errors, *(line for _, line in newest.values())]
    return lines, [note] if older_count else []


def complete(line: FileLine, answers: Mapping[str, str]) -> FileLine:
    """Return the line, and identify its image if `answers` contains the value that the line lacks.

    `answers` maps the name of a missing value to the value that the person entered for this cloud.
    Raises InvalidImageId.
    """
    if not line.missing or not answers.get(line.missing):
        return line
    custom = {**line.values, line.missing: answers[line.missing]}
    (image,) = CLOUDS[line.values["cloud"]].packer_images(line.artifact, custom)
    return _with_image(replace(line, missing=""), image)


def _build_lines(number: int, build: Any) -> Iterator[FileLine]:
    """Yield a line for each image of a build, or one line with errors."""
    if not isinstance(build, dict):
        yield FileLine(f"build {number}", errors=("This build isn’t a JSON object.",))
        return
    builder, name = printable(str(build.get("builder_type") or "")), build.get("name")
    name = name.strip() if isinstance(name, str) else ""
    shown_name = printable(name)
    position = f"build {number} ({shown_name})" if shown_name else f"build {number}"
    cloud = _cloud_of(builder, build.get("artifact_id"))
    if cloud is None:
        message = f"The Packer builder “{builder}” doesn’t build images that can be imported."
        yield FileLine(position, errors=(message,))
        return
    data = build.get("custom_data") or {}
    if not isinstance(data, dict):
        message = "The custom_data of this build isn’t a JSON object."
        yield FileLine(position, errors=(message,))
        return
    custom, errors = json_values({**data, "artifact_id": build.get("artifact_id")})
    values = {"cloud": cloud.key}
    # If a build has no name, Packer writes the name of the builder, for example `amazon-ebs`, which
    # does not describe the image. Ignore the name of a builder, and a name that is not valid for an
    # image. If custom_data has no name either, the image gets its name from the look-up or, without
    # a look-up, from the `default_name` of the line.
    if name not in _CLOUDS_BY_BUILDER and is_valid_name(name):
        values["name"] = name
    columns = {name: custom[name] for name in (*IMPORT_COLUMNS, *_EXTRA_VALUES) if name in custom}
    line = FileLine(position, {**values, **columns, "cloud": cloud.key}, first_errors(errors))
    if errors:
        yield replace(line, unidentified=True)
        return
    yield from _image_lines(cloud, line, custom)


def _cloud_of(builder: str, artifact: Any) -> Cloud | None:
    """Return the cloud of a build, or None.

    A post-processor, such as `amazon-import`, can import the image into a cloud for which the
    builder builds no images. Then only the artifact ID shows which cloud has the image.
    """
    cloud = _CLOUDS_BY_BUILDER.get(builder)
    first = artifact.partition(",")[0].strip() if isinstance(artifact, str) else ""
    found = clouds_for_image_id(first) if _IMAGE_ID.fullmatch(first) else []
    if cloud is None:
        return found[0][0] if len(found) == 1 else None
    # A name or a UUID can look like an ID of another cloud. An ID that contains a location cannot.
    if len(found) == 1 and found[0][1].location and found[0][0].packer_builders:
        return found[0][0]
    return cloud


_EXTRA_VALUES = ("project", "project_id")
"""Values of custom_data that are not columns. A cloud's adapter needs them to identify an image."""


def _image_lines(cloud: Cloud, line: FileLine, custom: Mapping[str, str]) -> Iterator[FileLine]:
    artifact = custom.get("artifact_id", "")
    try:
        images = cloud.packer_images(artifact, custom)
    except IncompleteArtifact as error:
        yield replace(line, artifact=artifact, missing=error.missing, default_name=artifact)
    except InvalidImageId as error:
        yield replace(line, errors=(str(error),), unidentified=True)
    else:
        for image in images:
            yield _with_image(line, image)


def _with_image(line: FileLine, image: Locator | NamedImage) -> FileLine:
    """Return the line with the columns that identify `image`."""
    values = {**line.values, "location": image.location, "compute_resource": image.compute_resource}
    name = ""
    if isinstance(image, NamedImage):
        name = default_name = image.name
    else:
        values["cloud_image_id"] = image.image_id
        suggested = CLOUDS[values["cloud"]].suggest_name(image.image_id)
        default_name = suggested or image.image_id.rpartition("/")[2]
    values = {column: value for column, value in values.items() if value}
    return replace(line, values=values, image_name=name, default_name=default_name)


def _image_key(line: FileLine) -> object:
    """Return a key that is equal for two builds of the same image."""
    values = line.values
    location, resource = values.get("location", ""), values.get("compute_resource", "")
    if "cloud_image_id" in values:
        locator = Locator(location, values["cloud_image_id"], resource)
        return ImageIdentity.from_locator(values["cloud"], locator)
    project = [values.get(name, "") for name in _EXTRA_VALUES]
    return (values["cloud"], line.artifact, line.image_name, location, resource, *project)


def _build_time(build: Mapping[str, Any]) -> float:
    """Return when an image was built, in Unix seconds, or 0 if the build has no valid time."""
    try:
        return float(build.get("build_time") or 0)
    except (TypeError, ValueError):
        return 0
